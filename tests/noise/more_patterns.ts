/**
 * Patterns that the vectors use and MXP does not, and psk modifiers (Noise framework §7.4, §7.5, §9.4).
 *
 * @module
 */

import {
  type HandshakePattern,
  PATTERN_IK,
  PATTERN_NNPSK0,
  PATTERN_X,
  PATTERN_XX,
  type Token,
} from "../../lib/noise/patterns.ts";

function pattern(
  name: string,
  known: "" | "initiator" | "responder" | "both",
  ...messages: string[]
): HandshakePattern {
  return {
    name,
    initiatorStaticKnown: known === "initiator" || known === "both",
    responderStaticKnown: known === "responder" || known === "both",
    messages: messages.map((message) => message.split(" ") as Token[]),
  };
}

const BASE: readonly HandshakePattern[] = [
  PATTERN_IK,
  PATTERN_XX,
  PATTERN_X,
  pattern("N", "responder", "e es"),
  pattern("K", "both", "e es ss"),
  pattern("NN", "", "e", "e ee"),
  pattern("NK", "responder", "e es", "e ee"),
  pattern("NX", "", "e", "e ee s es"),
  pattern("XK", "responder", "e es", "e ee", "s se"),
  pattern("KK", "both", "e es ss", "e ee se"),
  pattern("IX", "", "e s", "e ee se s es"),
  pattern("I1K", "responder", "e es s", "e ee", "se"),
  pattern("IK1", "responder", "e s", "e ee se es"),
  pattern("I1K1", "responder", "e s", "e ee es", "se"),
];

/** A pattern with psk tokens: position 0 is the start of the first message, n the end of the n-th. */
export function withPsks(base: HandshakePattern, positions: readonly number[]): HandshakePattern {
  const messages = base.messages.map((message) => [...message]);
  for (const position of positions) {
    if (position === 0) messages[0].unshift("psk");
    else messages[position - 1].push("psk");
  }
  return { ...base, name: base.name + positions.map((position) => `psk${position}`).join("+"), messages };
}

/** Finds `IK`, `XXpsk3`, `NNpsk0+psk2` and so on; undefined if the base pattern is not known. */
export function findPattern(name: string): HandshakePattern | undefined {
  if (name === PATTERN_NNPSK0.name) return PATTERN_NNPSK0;
  const match = /^([A-Z0-9]+)((?:psk\d\+?)*)$/.exec(name);
  const base = BASE.find((one) => one.name === match?.[1]);
  return base && withPsks(base, [...(match![2].matchAll(/psk(\d)/g))].map((found) => Number(found[1])));
}

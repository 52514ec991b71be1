/**
 * Handshake patterns as data (Noise framework §7). Further ones need no code, only a table like these.
 *
 * @module
 */

import type { Aead, Dh, Hash } from "../crypto/types.ts";

/** What a message carries (`e`, `s`) or mixes (the rest). */
export type Token = "e" | "s" | "ee" | "es" | "se" | "ss" | "psk";

/** A handshake. Messages alternate, the initiator's first; a pattern with a single message is one-way. */
export interface HandshakePattern {
  /** As in the protocol name, modifiers included: `IK`, `NNpsk0`. */
  readonly name: string;
  /** Whether the responder knows the initiator's static key beforehand. */
  readonly initiatorStaticKnown: boolean;
  /** Whether the initiator knows the responder's static key beforehand. */
  readonly responderStaticKnown: boolean;
  readonly messages: readonly (readonly Token[])[];
}

/** The initiator knows the responder's key and sends its own in the first message. */
export const PATTERN_IK: HandshakePattern = {
  name: "IK",
  initiatorStaticKnown: false,
  responderStaticKnown: true,
  messages: [["e", "es", "s", "ss"], ["e", "ee", "se"]],
};

/** Neither side knows the other's key: first contact. */
export const PATTERN_XX: HandshakePattern = {
  name: "XX",
  initiatorStaticKnown: false,
  responderStaticKnown: false,
  messages: [["e"], ["e", "ee", "s", "es"], ["s", "se"]],
};

/** Both sides share a secret from before and no static keys are used: resumption. */
export const PATTERN_NNPSK0: HandshakePattern = {
  name: "NNpsk0",
  initiatorStaticKnown: false,
  responderStaticKnown: false,
  messages: [["psk", "e"], ["e", "ee"]],
};

/** One sealed message to a known key: end-to-end encryption of a message (SPEC §2). */
export const PATTERN_X: HandshakePattern = {
  name: "X",
  initiatorStaticKnown: false,
  responderStaticKnown: true,
  messages: [["e", "es", "s", "ss"]],
};

/** The full name, such as `Noise_IK_25519_ChaChaPoly_SHA256`; it starts the transcript. */
export function protocolName(pattern: HandshakePattern, dh: Dh, aead: Aead, hash: Hash): string {
  return `Noise_${pattern.name}_${dh.noiseName}_${aead.noiseName}_${hash.noiseName}`;
}

/** How many pre-shared keys a pattern uses. */
export function pskCount(pattern: HandshakePattern): number {
  return pattern.messages.flat().filter((token) => token === "psk").length;
}

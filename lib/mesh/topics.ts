/**
 * What topics and patterns look like (SPEC §8.12).
 *
 * @module
 */

import { utf8Length } from "../codec/utf8.ts";

/** Longest topic or pattern, as UTF-8. */
export const MAX_TOPIC_BYTES = 1_024;
/** Most tokens of a topic or pattern. */
export const MAX_TOPIC_TOKENS = 64;
/** Stands for exactly one token. */
export const ANY_TOKEN = "*";
/** Stands for one token or more, as the last one. */
export const ANY_REST = ">";

const DOT = 0x2e;
const STAR = 0x2a;
const GREATER = 0x3e;

/**
 * What is wrong with a topic that something is published under, in words that go behind it; undefined if it is one.
 *
 * @example
 * ```ts
 * import { topicProblem } from "./topics.ts";
 * topicProblem("orders.created"); // undefined
 * topicProblem("orders..created"); // "has an empty token"
 * ```
 */
export function topicProblem(topic: string): string | undefined {
  return problemOf(topic, false);
}

/** The same for a pattern: a topic in which `*` may stand for a token, and `>` at the end for all that follow. */
export function patternProblem(pattern: string): string | undefined {
  return problemOf(pattern, true);
}

/** Tokens of a topic or pattern that has no {@link topicProblem}. */
export function tokensOf(topic: string): string[] {
  return topic.split(".");
}

function problemOf(text: string, isPattern: boolean): string | undefined {
  const { length } = text;
  if (length === 0) return "is empty";
  if (length > MAX_TOPIC_BYTES || (3 * length > MAX_TOPIC_BYTES && utf8Length(text) > MAX_TOPIC_BYTES)) {
    return `has ${utf8Length(text)} bytes, at most ${MAX_TOPIC_BYTES} are allowed`;
  }
  if (!text.isWellFormed()) return "is no valid text: half of a surrogate pair";
  let tokens = 1;
  let start = 0;
  for (let i = 0; i <= length; i++) {
    const code = i < length ? text.charCodeAt(i) : DOT;
    if (code === DOT) {
      if (i === start) return "has an empty token";
      start = i + 1;
      if (i < length) tokens++;
    } else if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return "has a control character";
    else if (code === STAR || code === GREATER) {
      const sign = code === STAR ? ANY_TOKEN : ANY_REST;
      if (!isPattern) return `has a ${sign}, which only patterns have`;
      const isWhole = i === start && (i + 1 === length || text.charCodeAt(i + 1) === DOT);
      if (!isWhole) return `has a ${sign} inside a token`;
      if (code === GREATER && i + 1 < length) return `has a ${sign} before its end`;
    }
  }
  return tokens > MAX_TOPIC_TOKENS ? `has ${tokens} tokens, at most ${MAX_TOPIC_TOKENS} are allowed` : undefined;
}

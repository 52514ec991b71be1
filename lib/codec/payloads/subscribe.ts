/**
 * Subscribe, extension type 0x81, and the Response to it (SPEC §2.5.16).
 *
 * @module
 */

import type { CodecError } from "../codec_error.ts";
import { PayloadReader, TlvReader } from "../payload_reader.ts";
import { measure, type PayloadWriter, write } from "../payload_writer.ts";

/** The most patterns in one message. */
export const MAX_PATTERNS = 1_024;
/** What becomes of events that a subscriber does not take fast enough; the place in the list is the number on the wire. */
export const SLOW_POLICIES = ["drop_oldest", "drop_newest", "close"] as const;
/** One of {@link SLOW_POLICIES}: those that have waited longest are dropped, or those that come, or the subscription ends. */
export type SlowPolicy = typeof SLOW_POLICIES[number];

/** A wish to be told of events. */
export interface Subscribe {
  /** 1 to {@link MAX_PATTERNS}; whether they are valid is not looked at here. */
  readonly patterns: readonly string[];
  /** What becomes of events if the subscriber is slow. */
  readonly policy: SlowPolicy;
  /** Whether events that were sent unreliably may come in DATAGRAM frames. */
  readonly unreliable: boolean;
  /** Events that may wait at the node; 0 leaves it to the node. */
  readonly maxEvents: number;
  /** Their bytes; 0 leaves it to the node. */
  readonly maxBytes: number;
}

/** What the node has granted. */
export interface SubscribeResponse {
  /** Events that may wait at the node. */
  readonly maxEvents: number;
  /** Their bytes. */
  readonly maxBytes: number;
}

function layOut(writer: PayloadWriter, subscribe: Subscribe): void {
  const { patterns, policy, unreliable, maxEvents, maxBytes } = subscribe;
  if (patterns.length < 1 || patterns.length > MAX_PATTERNS) {
    throw new RangeError(`${patterns.length} patterns, 1 to ${MAX_PATTERNS} allowed`);
  }
  writer.u8(SLOW_POLICIES.indexOf(policy), "policy");
  writer.u8(unreliable ? 1 : 0, "unreliable");
  writer.u32(maxEvents, "events that may wait");
  writer.u32(maxBytes, "bytes that may wait");
  writer.u16(patterns.length, "pattern count");
  for (const pattern of patterns) writer.text16(pattern, "pattern");
}

/** How many bytes it takes. */
export function sizeOfSubscribe(subscribe: Subscribe): number {
  return measure(layOut, subscribe);
}

/**
 * Writes it to `out` from `at` on; returns the position behind it.
 *
 * @throws RangeError if it does not fit or a field is out of bounds.
 */
export function encodeSubscribe(out: Uint8Array, at: number, subscribe: Subscribe): number {
  return write(layOut, subscribe, out, at);
}

/** Decodes `bytes[at, end)`. */
export function decodeSubscribe(bytes: Uint8Array, at = 0, end: number = bytes.length): Subscribe | CodecError {
  const reader = new PayloadReader(bytes, at, end);
  const policyNumber = reader.u8("policy");
  const policy = SLOW_POLICIES[policyNumber] ?? SLOW_POLICIES[0];
  if (policyNumber >= SLOW_POLICIES.length) reader.fail("bad_value", "policy", policyNumber);
  const unreliable = reader.boolean("unreliable");
  const maxEvents = reader.u32("events that may wait");
  const maxBytes = reader.u32("bytes that may wait");
  const count = reader.u16("pattern count");
  if (count > MAX_PATTERNS) reader.fail("too_many", "patterns", count, MAX_PATTERNS);
  else if (count === 0) reader.fail("bad_value", "pattern count", count);
  const patterns: string[] = [];
  while (patterns.length < count && reader.error === undefined) patterns.push(reader.text16("pattern"));
  skipTlvs(reader);
  return reader.error ?? { patterns, policy, unreliable, maxEvents, maxBytes };
}

function layOutResponse(writer: PayloadWriter, { maxEvents, maxBytes }: SubscribeResponse): void {
  writer.u32(maxEvents, "events that may wait");
  writer.u32(maxBytes, "bytes that may wait");
}

/** How many bytes it takes. */
export function sizeOfSubscribeResponse(response: SubscribeResponse): number {
  return measure(layOutResponse, response);
}

/** Writes it to `out` from `at` on; returns the position behind it. @throws RangeError if it does not fit. */
export function encodeSubscribeResponse(out: Uint8Array, at: number, response: SubscribeResponse): number {
  return write(layOutResponse, response, out, at);
}

/** Decodes `bytes[at, end)`. */
export function decodeSubscribeResponse(
  bytes: Uint8Array,
  at = 0,
  end: number = bytes.length,
): SubscribeResponse | CodecError {
  const reader = new PayloadReader(bytes, at, end);
  const maxEvents = reader.u32("events that may wait");
  const maxBytes = reader.u32("bytes that may wait");
  skipTlvs(reader);
  return reader.error ?? { maxEvents, maxBytes };
}

/** None is defined yet. */
function skipTlvs(reader: PayloadReader): void {
  const tlvs = new TlvReader(reader);
  while (tlvs.next());
}

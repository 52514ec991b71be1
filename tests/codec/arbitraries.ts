/**
 * Random values for the codec's property tests.
 *
 * @module
 */

import fc from "fast-check";
import { address } from "../../lib/base/address.ts";
import { formatIpv4, formatIpv6 } from "../../lib/codec/endpoint.ts";
import type { MessageHeader } from "../../lib/codec/message_header.ts";
import { isExtensionType, MessageType } from "../../lib/codec/message_type.ts";
import type { AgentRecord } from "../../lib/codec/payloads/agent_record.ts";

/** Every type that a message may have. */
export const VALID_TYPES: readonly number[] = [
  ...Object.values(MessageType).filter((type) => !isExtensionType(type)),
  ...Array.from({ length: 0x70 }, (_, i) => 0x80 + i),
];

/** u32 with the edges more often. */
export const u32: fc.Arbitrary<number> = fc.oneof(
  fc.constantFrom(0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff),
  fc.nat(0xffff_ffff),
);

/** Headers that a receiver accepts. */
export const header: fc.Arbitrary<MessageHeader> = fc.record({
  type: fc.constantFrom(...VALID_TYPES),
  flags: fc.nat(15),
  idLow: u32,
  idHigh: u32,
  traceLow: u32,
  traceHigh: u32,
}, { noNullPrototype: true });

/** Bytes up to a length, the short ones more often. */
export function bytes(maxLength: number): fc.Arbitrary<Uint8Array> {
  return fc.oneof(fc.uint8Array({ maxLength: Math.min(maxLength, 16) }), fc.uint8Array({ maxLength, size: "max" }));
}

/** Text of any characters that have a UTF-8. */
export const text: fc.Arbitrary<string> = fc.string({ unit: "binary", maxLength: 20 });

/** Sixteen bytes. */
export const uuid: fc.Arbitrary<Uint8Array> = fc.uint8Array({ minLength: 16, maxLength: 16 });

const port = fc.nat(65_535);
const endpoint = fc.tuple(fc.uint8Array({ minLength: 4, maxLength: 4 }), port)
  .filter(([host, port]) => port !== 0 || host.some((byte) => byte !== 0))
  .map(([host, port]) => address(formatIpv4(host), port));
const endpoint6 = fc.tuple(fc.uint8Array({ minLength: 16, maxLength: 16 }), port)
  .map(([host, port]) => address(formatIpv6(host), port));
const millis = fc.oneof(fc.constantFrom(0, Number.MAX_SAFE_INTEGER), fc.maxSafeNat());
const optional = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined });

/** Records with any of the optional fields. */
export const agentRecord: fc.Arbitrary<AgentRecord> = fc.record({
  agentId: uuid,
  name: text,
  capabilities: fc.array(text, { maxLength: 5 }),
  endpoint: optional(endpoint),
  endpoint6: optional(endpoint6),
  publicKey: optional(fc.uint8Array({ minLength: 32, maxLength: 32 })),
  version: optional(text),
  description: optional(text),
  tags: fc.array(text, { maxLength: 3 }),
  metadata: fc.array(fc.tuple(text, text), { maxLength: 3 }),
  leaseMillis: optional(u32),
  status: optional(fc.constantFrom("online", "offline", "degraded")),
  load: optional(fc.nat(65_535)),
  lastHeartbeatMillis: optional(millis),
  registeredAtMillis: optional(millis),
  isPlain: optional(fc.constant(true)),
}, { noNullPrototype: true });

/**
 * The answer to AgentHeartbeat (SPEC §2.5.6), the payload of a Response.
 *
 * @module
 */

import { UUID_BYTES } from "../../base/uuid.ts";
import type { CodecError } from "../codec_error.ts";
import { PayloadReader, TlvReader } from "../payload_reader.ts";
import { measure, type PayloadWriter, write } from "../payload_writer.ts";

/** Whether the lease was renewed. */
export interface HeartbeatResponse {
  /** Whether it was. */
  readonly success: boolean;
  /** The node does not know the agent (any more): register again. */
  readonly needsRegister: boolean;
  /** 16 bytes. */
  readonly agentId: Uint8Array;
  /** The node's time, in milliseconds since 1970. */
  readonly timestampMillis: number;
  /** For people. */
  readonly message?: string;
  /** The lease from now on, in milliseconds, where it changed. */
  readonly leaseMillis?: number;
}

const TLV = { MESSAGE: 0x01, LEASE: 0x02 } as const;

function layOut(writer: PayloadWriter, response: HeartbeatResponse): void {
  writer.u8(response.success ? 1 : 0, "success");
  writer.u8(response.needsRegister ? 1 : 0, "needs register");
  writer.fixed(response.agentId, UUID_BYTES, "agent id");
  writer.u64(response.timestampMillis, "timestamp");
  writer.tlvText(TLV.MESSAGE, response.message, "message");
  writer.tlvU32(TLV.LEASE, response.leaseMillis, "lease");
}

/** How many bytes it takes. */
export function sizeOfHeartbeatResponse(response: HeartbeatResponse): number {
  return measure(layOut, response);
}

/**
 * Writes it to `out` from `at` on; returns the position behind it.
 *
 * @throws RangeError if it does not fit or a field is out of bounds.
 */
export function encodeHeartbeatResponse(out: Uint8Array, at: number, response: HeartbeatResponse): number {
  return write(layOut, response, out, at);
}

/** Decodes `bytes[at, end)`. Everything is copied. */
export function decodeHeartbeatResponse(
  bytes: Uint8Array,
  at = 0,
  end: number = bytes.length,
): HeartbeatResponse | CodecError {
  const reader = new PayloadReader(bytes, at, end);
  const success = reader.boolean("success");
  const needsRegister = reader.boolean("needs register");
  const agentId = reader.copy(UUID_BYTES, "agent id");
  const timestampMillis = reader.u64("timestamp");
  let message: string | undefined;
  let leaseMillis: number | undefined;
  const tlvs = new TlvReader(reader);
  while (tlvs.next()) {
    if (tlvs.type === TLV.MESSAGE) message = tlvs.text("message");
    else if (tlvs.type === TLV.LEASE) leaseMillis = tlvs.u32("lease");
  }
  return reader.error ?? { success, needsRegister, agentId, timestampMillis, message, leaseMillis };
}

/**
 * The answer to AgentRegister (SPEC §2.5.2), the payload of a Response.
 *
 * @module
 */

import { UUID_BYTES } from "../../base/uuid.ts";
import type { CodecError } from "../codec_error.ts";
import { PayloadReader, TlvReader } from "../payload_reader.ts";
import { measure, type PayloadWriter, write } from "../payload_writer.ts";

/** The answer to AgentRegister. A refusal with a reason for programs is an Error message instead. */
export interface RegisterResponse {
  /** Whether the agent is registered now. */
  readonly success: boolean;
  /** 16 bytes. */
  readonly agentId: Uint8Array;
  /** The lease that was granted, in milliseconds; 0 if the answer does not say. */
  readonly leaseMillis: number;
  /** How often to send heartbeats, in milliseconds; 0 if the answer does not say. */
  readonly heartbeatMillis: number;
  /** For people. */
  readonly message?: string;
}

const TLV_MESSAGE = 0x01;

function layOutResponse(writer: PayloadWriter, response: RegisterResponse): void {
  writer.u8(response.success ? 1 : 0, "success");
  writer.fixed(response.agentId, UUID_BYTES, "agent id");
  writer.u32(response.leaseMillis, "lease");
  writer.u32(response.heartbeatMillis, "heartbeat interval");
  writer.tlvText(TLV_MESSAGE, response.message, "message");
}

/** How many bytes it takes. */
export function sizeOfRegisterResponse(response: RegisterResponse): number {
  return measure(layOutResponse, response);
}

/**
 * Writes it to `out` from `at` on; returns the position behind it.
 *
 * @throws RangeError if it does not fit or a field is out of bounds.
 */
export function encodeRegisterResponse(out: Uint8Array, at: number, response: RegisterResponse): number {
  return write(layOutResponse, response, out, at);
}

/** Decodes `bytes[at, end)`. Everything is copied. */
export function decodeRegisterResponse(
  bytes: Uint8Array,
  at = 0,
  end: number = bytes.length,
): RegisterResponse | CodecError {
  const reader = new PayloadReader(bytes, at, end);
  const success = reader.boolean("success");
  const agentId = reader.copy(UUID_BYTES, "agent id");
  const leaseMillis = reader.u32("lease");
  const heartbeatMillis = reader.u32("heartbeat interval");
  let message: string | undefined;
  const tlvs = new TlvReader(reader);
  while (tlvs.next()) {
    if (tlvs.type === TLV_MESSAGE) message = tlvs.text("message");
  }
  return reader.error ?? { success, agentId, leaseMillis, heartbeatMillis, message };
}

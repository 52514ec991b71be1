/**
 * AgentHeartbeat (SPEC §2.5.5). With the FINAL flag in the message's header it deregisters the agent.
 *
 * @module
 */

import { UUID_BYTES } from "../../base/uuid.ts";
import type { CodecError } from "../codec_error.ts";
import { PayloadReader, TlvReader } from "../payload_reader.ts";
import { measure, type PayloadWriter, write } from "../payload_writer.ts";
import { type AgentStatus, agentStatusNumber, agentStatusOf } from "./agent_record.ts";

/** A sign of life. */
export interface AgentHeartbeat {
  /** 16 bytes. */
  readonly agentId: Uint8Array;
  /** How it is; `offline` asks not to be routed to. Undefined: as before. */
  readonly status?: AgentStatus;
  /** 0 idle, 1000 as much as it can take; more when it is queueing. */
  readonly load?: number;
}

const TLV = { STATUS: 0x01, LOAD: 0x02 } as const;

function layOut(writer: PayloadWriter, { agentId, status, load }: AgentHeartbeat): void {
  writer.fixed(agentId, UUID_BYTES, "agent id");
  if (status !== undefined) writer.tlvU8(TLV.STATUS, agentStatusNumber(status), "status");
  writer.tlvU16(TLV.LOAD, load, "load");
}

/** How many bytes it takes. */
export function sizeOfAgentHeartbeat(heartbeat: AgentHeartbeat): number {
  return measure(layOut, heartbeat);
}

/**
 * Writes it to `out` from `at` on; returns the position behind it.
 *
 * @throws RangeError if it does not fit or a field is out of bounds.
 */
export function encodeAgentHeartbeat(out: Uint8Array, at: number, heartbeat: AgentHeartbeat): number {
  return write(layOut, heartbeat, out, at);
}

/** Decodes `bytes[at, end)`. Everything is copied. */
export function decodeAgentHeartbeat(
  bytes: Uint8Array,
  at = 0,
  end: number = bytes.length,
): AgentHeartbeat | CodecError {
  const reader = new PayloadReader(bytes, at, end);
  const agentId = reader.copy(UUID_BYTES, "agent id");
  let status: AgentStatus | undefined;
  let load: number | undefined;
  const tlvs = new TlvReader(reader);
  while (tlvs.next()) {
    if (tlvs.type === TLV.STATUS) {
      const number = tlvs.u8("status");
      status = agentStatusOf(number);
      if (status === undefined) reader.fail("bad_value", "status", number);
    } else if (tlvs.type === TLV.LOAD) {
      load = tlvs.u16("load");
    }
  }
  return reader.error ?? { agentId, status, load };
}

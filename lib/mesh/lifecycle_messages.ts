/**
 * Writes the messages of agents to a registry, and of those who look for agents (SPEC §8.9).
 *
 * @module
 */

import { messageLength } from "../codec/message.ts";
import { MAX_PAYLOAD_BYTES, MESSAGE_HEADER_BYTES, MessageFlag } from "../codec/message_header.ts";
import { MessageType } from "../codec/message_type.ts";
import { type AgentDiscover, encodeAgentDiscover, sizeOfAgentDiscover } from "../codec/payloads/agent_discover.ts";
import { type AgentHeartbeat, encodeAgentHeartbeat, sizeOfAgentHeartbeat } from "../codec/payloads/agent_heartbeat.ts";
import { type AgentRegister, encodeAgentRegister, sizeOfAgentRegister } from "../codec/payloads/agent_register.ts";
import type { MessageIds, MessageWriter } from "./message_writer.ts";

/** Writes messages. One for a driver; knows no connection. Fields out of bounds are RangeErrors. */
export class LifecycleMessages {
  readonly #writer: MessageWriter;

  constructor(writer: MessageWriter) {
    this.#writer = writer;
  }

  /** An AgentRegister. */
  register(ids: MessageIds, register: AgentRegister): Uint8Array {
    const out = this.#allocate(sizeOfAgentRegister(register));
    const end = encodeAgentRegister(out, MESSAGE_HEADER_BYTES, register);
    this.#writer.seal(out, 0, MessageType.AGENT_REGISTER, 0, ids, end);
    return out;
  }

  /** An AgentHeartbeat; a final one deregisters. */
  heartbeat(ids: MessageIds, heartbeat: AgentHeartbeat, isFinal: boolean): Uint8Array {
    const out = this.#allocate(sizeOfAgentHeartbeat(heartbeat));
    const end = encodeAgentHeartbeat(out, MESSAGE_HEADER_BYTES, heartbeat);
    this.#writer.seal(out, 0, MessageType.AGENT_HEARTBEAT, isFinal ? MessageFlag.FINAL : 0, ids, end);
    return out;
  }

  /** An AgentDiscover. */
  discover(ids: MessageIds, discover: AgentDiscover): Uint8Array {
    const out = this.#allocate(sizeOfAgentDiscover(discover));
    const end = encodeAgentDiscover(out, MESSAGE_HEADER_BYTES, discover);
    this.#writer.seal(out, 0, MessageType.AGENT_DISCOVER, 0, ids, end);
    return out;
  }

  #allocate(payload: number): Uint8Array {
    if (payload > MAX_PAYLOAD_BYTES) throw new RangeError(`a message holds ${MAX_PAYLOAD_BYTES} bytes, not ${payload}`);
    return this.#writer.allocate(messageLength(payload));
  }
}

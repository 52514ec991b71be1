/**
 * The message layer: headers, checksums, payloads in both forms (SPEC §2). Pure functions over buffers of the caller.
 *
 * @module
 */

export type { Address } from "../base/address.ts";
export * from "./codec_error.ts";
export * from "./endpoint.ts";
export * from "./error_codes.ts";
export {
  MAX_PAYLOAD_BYTES,
  MESSAGE_CHECKSUM_BYTES,
  MESSAGE_HEADER_BYTES,
  MESSAGE_MAGIC,
  MESSAGE_OVERHEAD_BYTES,
  MessageFlag,
  type MessageHeader,
  MessageHeaderView,
} from "./message_header.ts";
export * from "./message.ts";
export * from "./message_reader.ts";
export * from "./message_type.ts";
export * from "./traceparent.ts";
export * from "./zstd_frame.ts";

export * from "./payloads/ack.ts";
export * from "./payloads/agent_discover.ts";
export * from "./payloads/agent_heartbeat.ts";
export {
  type AgentDescription,
  type AgentRecord,
  type AgentStatus,
  MAX_CAPABILITIES,
  MAX_METADATA_ENTRIES,
  MAX_TAGS,
  PUBLIC_KEY_BYTES,
} from "./payloads/agent_record.ts";
export * from "./payloads/agent_register.ts";
export * from "./payloads/call.ts";
export * from "./payloads/delivery.ts";
export * from "./payloads/discover_response.ts";
export * from "./payloads/error.ts";
export * from "./payloads/event.ts";
export * from "./payloads/heartbeat_response.ts";
export * from "./payloads/metadata.ts";
export * from "./payloads/register_response.ts";
export * from "./payloads/response.ts";
export * from "./payloads/sealed_head.ts";
export * from "./payloads/resume_state.ts";
export * from "./payloads/stream_chunk.ts";
export * from "./payloads/stream_close.ts";
export * from "./payloads/stream_open.ts";
export * from "./payloads/stream_progress.ts";
export * from "./payloads/subscribe.ts";

export * from "./json/detect.ts";
export * from "./json/discover_json.ts";
export * from "./json/error_json.ts";
export * from "./json/heartbeat_json.ts";
export { MAX_JSON_BYTES, MAX_JSON_DEPTH } from "./json/json_object.ts";
export * from "./json/register_json.ts";

export { createXxh3 } from "./xxh3/create.ts";
export { LimbsXxh3 } from "./xxh3/limbs.ts";
export { WasmXxh3, type WasmXxh3Options, XXH3_WORKSPACE_BYTES } from "./xxh3/wasm.ts";
export type { Xxh3, Xxh3Digest, Xxh3Memory } from "./xxh3/xxh3.ts";

/**
 * The wire format: packets, header protection, handshake messages, frames (SPEC §4–§7).
 *
 * @module
 */

export * from "./constants.ts";
export * from "./connection_id.ts";
export * from "./error_codes.ts";
export * from "./frame_reader.ts";
export * from "./frame_writer.ts";
export * from "./frames.ts";
export * from "./handshake_message.ts";
export * from "./header_protection.ts";
export * from "./packet_header.ts";
export * from "./stream_id.ts";
export * from "./transport_parameters.ts";

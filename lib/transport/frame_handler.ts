/**
 * Takes the frames of an opened packet apart and hands each to the part of the connection that it concerns.
 *
 * @module
 */

import { ControlOp, FrameType } from "../wire/constants.ts";
import { TransportError } from "../wire/error_codes.ts";
import { type FrameReader, FRAMES_END, FRAMES_ERROR } from "../wire/frame_reader.ts";
import { NOT_OPENING } from "../wire/frame_writer.ts";
import type { StreamLayer } from "./stream_layer.ts";

/** Result of {@link handleFrames}: the connection is closing, and the packet is not to be acknowledged. */
export const STOPPED = -1;
/** Bit of the result: the packet has to be acknowledged. */
export const ELICITING = 1;
/** Bit of the result: without delay. */
export const IMMEDIATE = 2;

/** What frames that concern neither streams nor paths do to a connection. */
export interface FrameTarget {
  /** ACK, in the reader's fields; whether it was plausible. */
  onAck(reader: FrameReader): boolean;
  /** HANDSHAKE_DONE; whether it may come from this peer. */
  onHandshakeDone(): boolean;
  /** ACK_FREQUENCY: acknowledge after so many packets. */
  onAckFrequency(threshold: number): void;
  /** TICKET, in the reader's fields; whether it may come from this peer. */
  onTicket(reader: FrameReader): boolean;
  /** DATAGRAM; 0, or the code that closes the connection. */
  onDatagram(reader: FrameReader): number;
  /** CLOSE. */
  onClose(code: number, reason: string): void;
  /** The peer broke a rule: close with this code. */
  onViolation(code: number, message: string): void;
}

/** What frames about paths and connection ids do; `Paths`. */
export interface PathFrames {
  /** PATH_CHALLENGE; the data may be kept. */
  onChallenge(data: Uint8Array): void;
  /** PATH_RESPONSE. */
  onResponse(data: Uint8Array): void;
  /** NEW_CONNECTION_ID, in the reader's fields; 0 or the code to close with. */
  onNewConnectionId(reader: FrameReader): number;
  /** RETIRE_CONNECTION_ID; 0 or the code to close with. */
  onRetireConnectionId(sequence: number): number;
}

const lenientUtf8 = new TextDecoder();

/** Handles all frames of a packet. Returns {@link STOPPED}, or a combination of {@link ELICITING} and {@link IMMEDIATE}. */
export function handleFrames(
  reader: FrameReader,
  streams: StreamLayer,
  paths: PathFrames,
  target: FrameTarget,
): number {
  let result = 0;
  for (;;) {
    const type = reader.next();
    if (type === FRAMES_END) return result;
    if (type === FRAMES_ERROR) {
      target.onViolation(TransportError.FRAME_ENCODING, reader.error);
      return STOPPED;
    }
    let error = 0;
    switch (type) {
      case FrameType.PADDING:
        continue;
      case FrameType.ACK:
        if (target.onAck(reader)) continue;
        target.onViolation(TransportError.PROTOCOL_VIOLATION, "acknowledged a packet that was never sent");
        return STOPPED;
      case FrameType.CONTROL:
        if (reader.op === ControlOp.CLOSE) {
          target.onClose(reader.code, lenientUtf8.decode(reader.bytes.subarray(reader.reasonStart, reader.reasonEnd)));
          return STOPPED;
        }
        if (reader.op === ControlOp.PING) result |= IMMEDIATE;
        error = handleControl(reader, streams, paths, target);
        break;
      case FrameType.DATAGRAM:
        error = target.onDatagram(reader);
        break;
      default:
        error = handleStreamFrame(type, reader, streams);
        break;
    }
    if (error !== 0) {
      target.onViolation(error, violation(type, reader));
      return STOPPED;
    }
    result |= ELICITING;
  }
}

/** What was wrong, in the words of SPEC §7. */
function violation(type: number, reader: FrameReader): string {
  if (type === FrameType.CRYPTO) return "a CRYPTO frame";
  if (type === FrameType.DATAGRAM) return "a DATAGRAM frame larger than was allowed";
  if (type === FrameType.CONTROL && reader.op === ControlOp.HANDSHAKE_DONE) return "HANDSHAKE_DONE from the initiator";
  if (type === FrameType.CONTROL && reader.op === ControlOp.TICKET) return "TICKET from the initiator";
  if (type === FrameType.CONTROL) {
    if (reader.op === ControlOp.NEW_CONNECTION_ID) {
      return `connection id ${reader.sequence} is one too many, or issued twice`;
    }
    if (reader.op === ControlOp.RETIRE_CONNECTION_ID) return `connection id ${reader.sequence} cannot be retired`;
  }
  const op = type === FrameType.CONTROL ? `, op ${reader.op},` : "";
  return `frame type ${type}${op} on stream ${reader.streamId}`;
}

function handleStreamFrame(type: number, reader: FrameReader, streams: StreamLayer): number {
  switch (type) {
    case FrameType.STREAM_DATA: {
      const streamClass = reader.open ? reader.streamClass : NOT_OPENING;
      return streams.onData(reader, reader.dataStart, reader.dataEnd, reader.offset, reader.fin, streamClass);
    }
    case FrameType.STREAM_OPEN:
      return streams.onData(reader, 0, 0, 0, false, reader.streamClass);
    case FrameType.STREAM_FIN:
      return streams.onData(reader, 0, 0, reader.finalSize, true, NOT_OPENING);
    case FrameType.STREAM_MAX_DATA:
      return streams.onStreamMaxData(reader.streamId, reader.limit);
    case FrameType.CONNECTION_MAX_DATA:
      streams.onMaxData(reader.limit);
      return 0;
    default:
      // CRYPTO: not used by wire version 1 (SPEC §7).
      return TransportError.PROTOCOL_VIOLATION;
  }
}

function handleControl(reader: FrameReader, streams: StreamLayer, paths: PathFrames, target: FrameTarget): number {
  switch (reader.op) {
    case ControlOp.RESET_STREAM:
      return streams.onReset(reader.streamId, reader.code, reader.finalSize);
    case ControlOp.STOP_SENDING:
      return streams.onStopSending(reader.streamId, reader.code);
    case ControlOp.MAX_STREAMS:
      streams.onMaxStreams(reader.kind, reader.limit);
      return 0;
    case ControlOp.PATH_CHALLENGE:
      paths.onChallenge(reader.bytes.slice(reader.dataStart, reader.dataEnd));
      return 0;
    case ControlOp.ACK_FREQUENCY:
      target.onAckFrequency(reader.ackThreshold);
      return 0;
    case ControlOp.PATH_RESPONSE:
      paths.onResponse(reader.bytes.subarray(reader.dataStart, reader.dataEnd));
      return 0;
    case ControlOp.NEW_CONNECTION_ID:
      return paths.onNewConnectionId(reader);
    case ControlOp.RETIRE_CONNECTION_ID:
      return paths.onRetireConnectionId(reader.sequence);
    case ControlOp.HANDSHAKE_DONE:
      return target.onHandshakeDone() ? 0 : TransportError.PROTOCOL_VIOLATION;
    case ControlOp.TICKET:
      return target.onTicket(reader) ? 0 : TransportError.PROTOCOL_VIOLATION;
    default:
      // PING, the *_BLOCKED reports, and what later versions may add: nothing to do.
      return 0;
  }
}

/**
 * The u16 codes of CLOSE, RESET_STREAM, STOP_SENDING and Reject. Codes from 0x100 up belong to the application.
 *
 * @module
 */

/** Codes of a CLOSE frame below 0x100. */
export const TransportError = {
  /** Closed on purpose, nothing is wrong. */
  NO_ERROR: 0x00,
  /** A fault of the side that closes. */
  INTERNAL: 0x01,
  /** A rule was broken that has no code of its own. */
  PROTOCOL_VIOLATION: 0x02,
  /** A frame that cannot be decoded (SPEC §7). */
  FRAME_ENCODING: 0x03,
  /** A transport parameter is malformed, missing, out of bounds or doubled (SPEC §5). */
  TRANSPORT_PARAMETER: 0x04,
  /** More data than a limit allows. */
  FLOW_CONTROL: 0x05,
  /** More streams than a limit allows. */
  STREAM_LIMIT: 0x06,
  /** A frame for a stream that cannot have it: wrong direction, or never opened by the side that owns it. */
  STREAM_STATE: 0x07,
  /** Data beyond the final size, or a final size that changed. */
  FINAL_SIZE: 0x08,
  /** The handshake failed after it was authenticated: no common suite, a wrong confirmation. */
  HANDSHAKE: 0x09,
  /** The peer is known and is not welcome. */
  NOT_ALLOWED: 0x0a,
  /** Nothing was received for the idle timeout. Seldom on the wire; the name of the local outcome. */
  IDLE_TIMEOUT: 0x0b,
  /** The side that closes is going down in good order; try elsewhere, or later. */
  SHUTDOWN: 0x0c,
  /** No room for this connection; try again later. */
  OVERLOADED: 0x0d,
  /** A key has sealed, or failed to open, as many packets as it may (SPEC §6). */
  KEY_LIMIT: 0x0e,
  /** A key update against the rules (SPEC §6.1). */
  KEY_UPDATE: 0x0f,
  /** A connection id that was never issued, issued twice, or one more than the receiver keeps (SPEC §7). */
  CONNECTION_ID: 0x10,
  /** As SHUTDOWN; besides, no call of the receiver that it has no answer to was begun, nor will be. */
  DRAINED: 0x11,
} as const;
/** One of the transport's own codes of a CLOSE frame. */
export type TransportErrorCode = typeof TransportError[keyof typeof TransportError];

/** Codes of RESET_STREAM and STOP_SENDING below 0x100. */
export const StreamError = {
  /** The sender has no more to say and gives no reason, or the receiver needs no more. */
  NO_ERROR: 0x00,
  /** A fault of the side that says so. */
  INTERNAL: 0x01,
  /** The application called it off. */
  CANCELLED: 0x02,
  /** Its deadline has passed. */
  DEADLINE: 0x03,
  /** Turned away before anything was done with it: safe to try again. */
  REFUSED: 0x04,
  /** More than the receiver is willing to hold. */
  TOO_LARGE: 0x05,
  /** What was on the stream is not a valid message. */
  MALFORMED: 0x06,
  /** The other party (of a relayed stream) has gone. */
  GONE: 0x07,
} as const;
/** One of the transport's own codes of RESET_STREAM and STOP_SENDING. */
export type StreamErrorCode = typeof StreamError[keyof typeof StreamError];

/** Codes of a Reject handshake message (SPEC §5). */
export const RejectCode = {
  /** The hello does not decrypt: most likely made for another static key. */
  UNDECRYPTABLE: 1,
  OVERLOADED: 2,
  UNKNOWN_PATTERN: 3,
  /** The ticket is unknown, expired or used: make a full handshake. */
  TICKET: 4,
} as const;

/** The first code that belongs to the application. */
export const FIRST_APPLICATION_CODE = 0x100;

const TRANSPORT_NAMES: ReadonlyMap<number, string> = names(TransportError);
const STREAM_NAMES: ReadonlyMap<number, string> = names(StreamError);
const REJECT_NAMES: ReadonlyMap<number, string> = names(RejectCode);

/** Name of a CLOSE code for people, such as `FLOW_CONTROL`, `APPLICATION(0x105)` or `UNKNOWN(0x7f)`. */
export function transportErrorName(code: number): string {
  return nameOf(TRANSPORT_NAMES, code);
}

/** Name of a RESET_STREAM or STOP_SENDING code for people. */
export function streamErrorName(code: number): string {
  return nameOf(STREAM_NAMES, code);
}

/** Name of a Reject code for people. */
export function rejectCodeName(code: number): string {
  return REJECT_NAMES.get(code) ?? `UNKNOWN(${hex(code)})`;
}

function names(codes: Readonly<Record<string, number>>): ReadonlyMap<number, string> {
  return new Map(Object.entries(codes).map(([name, code]) => [code, name]));
}

function nameOf(table: ReadonlyMap<number, string>, code: number): string {
  return table.get(code) ?? `${code >= FIRST_APPLICATION_CODE ? "APPLICATION" : "UNKNOWN"}(${hex(code)})`;
}

function hex(code: number): string {
  return `0x${code.toString(16).padStart(2, "0")}`;
}

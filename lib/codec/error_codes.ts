/**
 * The codes of Error and StreamClose messages (SPEC §2.7).
 *
 * @module
 */

/** Codes by name. 0x8000 and above belong to applications. */
export const ErrorCode = {
  UNSPECIFIED: 0x0000,
  BAD_REQUEST: 0x0001,
  UNSUPPORTED_TYPE: 0x0002,
  NO_SUCH_AGENT: 0x0003,
  NO_SUCH_METHOD: 0x0004,
  HANDLER_FAILED: 0x0005,
  OVERLOADED: 0x0006,
  DEADLINE_EXCEEDED: 0x0007,
  CANCELLED: 0x0008,
  NOT_ALLOWED: 0x0009,
  PAYLOAD_TOO_LARGE: 0x000a,
  INTERNAL: 0x000b,
  UNAVAILABLE: 0x000c,
  NOT_REGISTERED: 0x000d,
  AGENT_ID_TAKEN: 0x000e,
  LIMIT_REACHED: 0x000f,
  HOP_LIMIT: 0x0010,
  CANNOT_DECOMPRESS: 0x0011,
  CANNOT_DECRYPT: 0x0012,
  STREAM_PROTOCOL: 0x0013,
} as const;
/** One of the codes that have a name. */
export type ErrorCode = typeof ErrorCode[keyof typeof ErrorCode];
/** Name of a code. */
export type ErrorCodeName = keyof typeof ErrorCode;

/** What a code means. */
export interface ErrorCodeInfo {
  /** The number on the wire. */
  readonly code: ErrorCode;
  /** Its name; what the JSON form carries. */
  readonly name: ErrorCodeName;
  /** What it says, in a few words. */
  readonly meaning: string;
  /** Whether trying the same again may help. What an Error message itself says counts more. */
  readonly retryable: boolean;
}

function info(name: ErrorCodeName, retryable: boolean, meaning: string): ErrorCodeInfo {
  return { code: ErrorCode[name], name, meaning, retryable };
}

/** All codes in order; the place in the list is the code. */
export const ERROR_CODES: readonly ErrorCodeInfo[] = [
  info("UNSPECIFIED", false, "no reason given; as a StreamClose code: a good end"),
  info("BAD_REQUEST", false, "the payload does not decode, or its fields contradict each other"),
  info("UNSUPPORTED_TYPE", false, "the receiver has no use for messages of this type"),
  info("NO_SUCH_AGENT", false, "no agent with this id, name or capability is registered"),
  info("NO_SUCH_METHOD", false, "the agent does not know the method"),
  info("HANDLER_FAILED", false, "the agent's handler failed"),
  info("OVERLOADED", true, "the receiver has no room for the request now"),
  info("DEADLINE_EXCEEDED", false, "the deadline passed before there was an answer"),
  info("CANCELLED", false, "the caller, or somebody on its behalf, gave up"),
  info("NOT_ALLOWED", false, "the sender may not do this"),
  info("PAYLOAD_TOO_LARGE", false, "the payload is larger than the receiver takes"),
  info("INTERNAL", false, "a fault of the node that answers"),
  info("UNAVAILABLE", true, "the agent or the way to it is down, or going down; nothing was done"),
  info("NOT_REGISTERED", false, "the agent has no lease here; register first"),
  info("AGENT_ID_TAKEN", false, "the agent id belongs to another key"),
  info("LIMIT_REACHED", false, "a quota of the sender is used up"),
  info("HOP_LIMIT", false, "the message was passed on too often"),
  info("CANNOT_DECOMPRESS", false, "the payload is not one good zstd frame"),
  info("CANNOT_DECRYPT", false, "the payload is not sealed to the receiver's key"),
  info("STREAM_PROTOCOL", false, "an agent stream's messages came out of order, doubled or after its end"),
];

/** The first code that belongs to applications. */
export const FIRST_APPLICATION_ERROR = 0x8000;

/** What is known of a code; undefined for applications' codes and those of later versions. */
export function errorCodeInfo(code: number): ErrorCodeInfo | undefined {
  return ERROR_CODES[code];
}

/** A code for people: `NO_SUCH_AGENT`, or `0x8001`. */
export function errorCodeName(code: number): string {
  return ERROR_CODES[code]?.name ?? `0x${code.toString(16).padStart(4, "0")}`;
}

/** The code with a name in upper case; undefined if there is none. */
export function errorCodeByName(name: string): ErrorCode | undefined {
  return ERROR_CODES.find((entry) => entry.name === name)?.code;
}

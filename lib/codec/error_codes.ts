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
  TOO_SLOW: 0x0014,
  BAD_TOPIC: 0x0015,
  CANNOT_RESUME: 0x0016,
  SEAL_REFUSED: 0x0017,
  ANSWER_LOST: 0x0019,
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
  /** Whether it says that the request was not carried out, so that sending it again cannot carry it out twice. */
  readonly nothingDone: boolean;
}

function info(name: ErrorCodeName, retryable: boolean, nothingDone: boolean, meaning: string): ErrorCodeInfo {
  return { code: ErrorCode[name], name, meaning, retryable, nothingDone };
}

/** All codes, in order. */
export const ERROR_CODES: readonly ErrorCodeInfo[] = [
  info("UNSPECIFIED", false, false, "no reason given; as a StreamClose code: a good end"),
  info("BAD_REQUEST", false, true, "the payload does not decode, or its fields contradict each other"),
  info("UNSUPPORTED_TYPE", false, true, "the receiver has no use for messages of this type"),
  info("NO_SUCH_AGENT", false, true, "no agent with this id, name or capability is registered"),
  info("NO_SUCH_METHOD", false, true, "the agent does not know the method"),
  info("HANDLER_FAILED", false, false, "the agent's handler failed"),
  info("OVERLOADED", true, true, "the receiver has no room for the request now"),
  info("DEADLINE_EXCEEDED", false, false, "the deadline passed before there was an answer"),
  info("CANCELLED", false, false, "the caller, or somebody on its behalf, gave up"),
  info("NOT_ALLOWED", false, true, "the sender may not do this"),
  info("PAYLOAD_TOO_LARGE", false, false, "the payload is larger than the receiver takes"),
  info("INTERNAL", false, false, "a fault of the node that answers"),
  info("UNAVAILABLE", true, true, "the agent or the way to it is down, or going down"),
  info("NOT_REGISTERED", false, true, "the agent has no lease here; register first"),
  info("AGENT_ID_TAKEN", false, true, "the agent id belongs to somebody else"),
  info("LIMIT_REACHED", false, true, "a quota of the sender is used up"),
  info("HOP_LIMIT", false, true, "the message was passed on too often"),
  info("CANNOT_DECOMPRESS", false, true, "the payload is not one good zstd frame"),
  info("CANNOT_DECRYPT", false, true, "the payload is not sealed to the receiver's key"),
  info("STREAM_PROTOCOL", false, false, "an agent stream's messages came out of order, doubled or after its end"),
  info("TOO_SLOW", true, false, "the subscriber did not take its events fast enough"),
  info("BAD_TOPIC", false, true, "what should be a topic or a pattern of topics is none"),
  info("CANNOT_RESUME", false, false, "the stream that is to go on is not known here, or not any more"),
  info(
    "SEAL_REFUSED",
    false,
    false,
    "a sealed message was here before, is too old or from the future, or is for another agent",
  ),
  info("ANSWER_LOST", true, false, "the request was carried out, or may have been, and its answer is lost"),
];

/** The first code that belongs to applications. */
export const FIRST_APPLICATION_ERROR = 0x8000;

const BY_CODE: ReadonlyMap<number, ErrorCodeInfo> = new Map(ERROR_CODES.map((entry) => [entry.code, entry]));

/** What is known of a code; undefined for applications' codes and those of later versions. */
export function errorCodeInfo(code: number): ErrorCodeInfo | undefined {
  return BY_CODE.get(code);
}

/** Whether a code belongs to applications. */
export function isApplicationError(code: number): boolean {
  return code >= FIRST_APPLICATION_ERROR && code <= 0xffff;
}

/** A code for people: `NO_SUCH_AGENT`, or `0x8001`. */
export function errorCodeName(code: number): string {
  return BY_CODE.get(code)?.name ?? `0x${code.toString(16).padStart(4, "0")}`;
}

/** The code with a name in upper case; undefined if there is none. */
export function errorCodeByName(name: string): ErrorCode | undefined {
  return ERROR_CODES.find((entry) => entry.name === name)?.code;
}

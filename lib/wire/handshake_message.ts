/**
 * Handshake messages: the bodies of handshake packets (SPEC §5).
 *
 * @module
 */

import { bytesEqual, concatBytes, readU16, readU32, writeU16, writeU32 } from "../base/bytes.ts";
import {
  COOKIE_FLAG,
  HANDSHAKE_MESSAGE_OVERHEAD,
  HandshakeKind,
  MAX_COOKIE_SIZE,
  PUBLIC_KEY_SIZE,
  WORK_NONCE_SIZE,
} from "./constants.ts";

/** How much of the hello's hash a Reject or Retry repeats. */
const HELLO_HASH_SIZE = 8;
/** Payload of a Reject: the code and the hash. */
const REJECT_SIZE = 2 + HELLO_HASH_SIZE;
/** What precedes the cookie in the payload of a Retry: the hash, the difficulty, the cookie's length. */
const RETRY_OVERHEAD = HELLO_HASH_SIZE + 2;

/** A handshake message whose lengths are right. Its contents are unproven until Noise has spoken. */
export interface HandshakeMessage {
  /** Which message it is. */
  readonly kind: HandshakeKind;
  /** 32 bytes; all zero in Retry, VersionNegotiation and Reject. */
  readonly ephemeral: Uint8Array;
  /** In kinds 0x01–0x03 the pattern byte and the rest of the Noise message, so never empty there. */
  readonly payload: Uint8Array;
}

const NO_EPHEMERAL = new Uint8Array(PUBLIC_KEY_SIZE);
const MAX_PAYLOAD_SIZE = 0xffff - HANDSHAKE_MESSAGE_OVERHEAD;

/** Size of the message around a payload. */
export function handshakeMessageSize(payloadLength: number): number {
  return HANDSHAKE_MESSAGE_OVERHEAD + payloadLength;
}

/** Encodes a message. Throws a RangeError if the ephemeral or the payload has an impossible length. */
export function encodeHandshakeMessage(kind: HandshakeKind, ephemeral: Uint8Array, payload: Uint8Array): Uint8Array {
  if (ephemeral.length !== PUBLIC_KEY_SIZE) {
    throw new RangeError(`an ephemeral key has ${PUBLIC_KEY_SIZE} bytes, got ${ephemeral.length}`);
  }
  if (payload.length > MAX_PAYLOAD_SIZE) {
    throw new RangeError(`a handshake payload has at most ${MAX_PAYLOAD_SIZE} bytes, got ${payload.length}`);
  }
  const out = new Uint8Array(handshakeMessageSize(payload.length));
  out[0] = kind;
  out.set(ephemeral, 1);
  writeU16(out, 1 + PUBLIC_KEY_SIZE, payload.length);
  out.set(payload, HANDSHAKE_MESSAGE_OVERHEAD);
  return out;
}

/**
 * Decodes the message at `start`–`end`, which must be exactly one; undefined if it is not: an unknown kind, a length that
 * does not end the packet, a payload too short for its kind, a key where none belongs. The result holds views.
 *
 * @example
 * ```ts
 * import { HandshakeKind } from "./constants.ts";
 * import { RejectCode, rejectCodeName } from "./error_codes.ts";
 * import { decodeHandshakeMessage, encodeReject, readReject } from "./handshake_message.ts";
 *
 * const body = encodeReject(RejectCode.OVERLOADED, new Uint8Array(32));
 * const message = decodeHandshakeMessage(body, 0, body.length);
 * if (message?.kind === HandshakeKind.REJECT) console.log(rejectCodeName(readReject(message))); // OVERLOADED
 * ```
 */
export function decodeHandshakeMessage(bytes: Uint8Array, start: number, end: number): HandshakeMessage | undefined {
  if (end - start < HANDSHAKE_MESSAGE_OVERHEAD) return undefined;
  const length = readU16(bytes, start + 1 + PUBLIC_KEY_SIZE);
  if (end - start !== HANDSHAKE_MESSAGE_OVERHEAD + length) return undefined;
  const kind = bytes[start];
  const ephemeral = bytes.subarray(start + 1, start + 1 + PUBLIC_KEY_SIZE);
  switch (kind) {
    case HandshakeKind.INITIATOR_HELLO:
    case HandshakeKind.RESPONDER_HELLO:
    case HandshakeKind.INITIATOR_FINISH:
      if (length < 1) return undefined;
      break;
    case HandshakeKind.VERSION_NEGOTIATION:
      if (length < 4 || length % 4 !== 0 || !isZero(ephemeral)) return undefined;
      break;
    case HandshakeKind.RETRY:
      if (!isRetry(bytes.subarray(start + HANDSHAKE_MESSAGE_OVERHEAD, end)) || !isZero(ephemeral)) return undefined;
      break;
    case HandshakeKind.REJECT:
      if (length !== REJECT_SIZE || !isZero(ephemeral)) return undefined;
      break;
    default:
      return undefined;
  }
  return { kind, ephemeral, payload: bytes.subarray(start + HANDSHAKE_MESSAGE_OVERHEAD, end) };
}

/** Encodes a VersionNegotiation with the versions that this side speaks. */
export function encodeVersionNegotiation(versions: readonly number[]): Uint8Array {
  const payload = new Uint8Array(4 * versions.length);
  let at = 0;
  for (const version of versions) at = writeU32(payload, at, version);
  return encodeHandshakeMessage(HandshakeKind.VERSION_NEGOTIATION, NO_EPHEMERAL, payload);
}

/** Whether a decoded VersionNegotiation lists `version`. */
export function listsVersion(message: HandshakeMessage, version: number): boolean {
  for (let at = 0; at + 4 <= message.payload.length; at += 4) {
    if (readU32(message.payload, at) === version) return true;
  }
  return false;
}

/** The versions of a decoded VersionNegotiation. */
export function readVersions(message: HandshakeMessage): number[] {
  const versions: number[] = [];
  for (let at = 0; at + 4 <= message.payload.length; at += 4) versions.push(readU32(message.payload, at));
  return versions;
}

/**
 * Encodes a Reject.
 *
 * @param helloHash SHA-256 of the InitiatorHello message that is rejected, of which the first {@link HELLO_HASH_SIZE} bytes are sent
 */
export function encodeReject(code: number, helloHash: Uint8Array): Uint8Array {
  const payload = new Uint8Array(REJECT_SIZE);
  payload.set(helloHash.subarray(0, HELLO_HASH_SIZE), writeU16(payload, 0, code));
  return encodeHandshakeMessage(HandshakeKind.REJECT, NO_EPHEMERAL, payload);
}

/** The code of a decoded Reject. */
export function readReject(message: HandshakeMessage): number {
  return readU16(message.payload, 0);
}

/** Whether a decoded Reject is about the InitiatorHello with this SHA-256. */
export function rejects(message: HandshakeMessage, helloHash: Uint8Array): boolean {
  return bytesEqual(message.payload.subarray(2), helloHash.subarray(0, HELLO_HASH_SIZE));
}

/** What a Retry asks for. */
export interface Retry {
  /** To be repeated as it is. */
  readonly cookie: Uint8Array;
  /** Leading zero bits that SHA-256(cookie, nonce) has to have. */
  readonly difficulty: number;
}

/** What a hello answers a Retry with. */
export interface CookieAnswer {
  readonly cookie: Uint8Array;
  /** 8 bytes; what they are matters only if work was asked for. */
  readonly nonce: Uint8Array;
}

/**
 * Encodes a Retry.
 *
 * @param helloHash SHA-256 of the InitiatorHello message that is answered, as in {@link encodeReject}
 */
export function encodeRetry(retry: Retry, helloHash: Uint8Array): Uint8Array {
  const { cookie, difficulty } = retry;
  if (cookie.length < 1 || cookie.length > MAX_COOKIE_SIZE) {
    throw new RangeError(`a cookie has 1 to ${MAX_COOKIE_SIZE} bytes, got ${cookie.length}`);
  }
  const payload = new Uint8Array(RETRY_OVERHEAD + cookie.length);
  payload.set(helloHash.subarray(0, HELLO_HASH_SIZE));
  payload[HELLO_HASH_SIZE] = difficulty;
  payload[HELLO_HASH_SIZE + 1] = cookie.length;
  payload.set(cookie, RETRY_OVERHEAD);
  return encodeHandshakeMessage(HandshakeKind.RETRY, NO_EPHEMERAL, payload);
}

/** The contents of a decoded Retry, copied; undefined if it answers another hello than the one with this SHA-256. */
export function readRetry(message: HandshakeMessage, helloHash: Uint8Array): Retry | undefined {
  const { payload } = message;
  if (!bytesEqual(payload.subarray(0, HELLO_HASH_SIZE), helloHash.subarray(0, HELLO_HASH_SIZE))) return undefined;
  return { difficulty: payload[HELLO_HASH_SIZE], cookie: payload.slice(RETRY_OVERHEAD) };
}

/** A cookie and its nonce as they stand behind the pattern byte of a hello, which has {@link COOKIE_FLAG} set then. */
export function encodeCookieAnswer(answer: CookieAnswer): Uint8Array {
  const { cookie, nonce } = answer;
  return concatBytes(Uint8Array.of(cookie.length), cookie, nonce);
}

/** A hello without its cookie, and the cookie. */
export interface SeparatedHello {
  /** As if the initiator had never been asked for one. */
  readonly message: HandshakeMessage;
  /** Undefined if there was none. */
  readonly answer: CookieAnswer | undefined;
}

/** Takes the cookie out of a decoded InitiatorHello; undefined if it claims to have one and is too short for it. */
export function separateCookie(message: HandshakeMessage): SeparatedHello | undefined {
  const { payload } = message;
  if ((payload[0] & COOKIE_FLAG) === 0) return { message, answer: undefined };
  if (payload.length < 2) return undefined;
  const size = payload[1], nonceAt = 2 + size, rest = nonceAt + WORK_NONCE_SIZE;
  if (size < 1 || size > MAX_COOKIE_SIZE || payload.length < rest) return undefined;
  const answer = { cookie: payload.subarray(2, nonceAt), nonce: payload.subarray(nonceAt, rest) };
  const bare = concatBytes(Uint8Array.of(payload[0] & ~COOKIE_FLAG), payload.subarray(rest));
  return { message: { ...message, payload: bare }, answer };
}

function isRetry(payload: Uint8Array): boolean {
  const size = payload.length - RETRY_OVERHEAD;
  return size >= 1 && size <= MAX_COOKIE_SIZE && payload[RETRY_OVERHEAD - 1] === size;
}

function isZero(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== 0) return false;
  return true;
}

/**
 * Transport parameters: what each side tells the other inside the handshake (SPEC §5).
 *
 * @module
 */

import { readSafeU64, readU16, readU32, writeSafeU64, writeU16, writeU32 } from "../base/bytes.ts";
import { type Micros, micros, millis } from "../base/time.ts";
import { type ConnectionId, readConnectionId } from "./connection_id.ts";
import {
  CONNECTION_ID_SIZE,
  MAX_CONNECTION_IDS,
  MAX_STREAMS_LIMIT,
  MAX_SUITES,
  MAX_UDP_PAYLOAD_SIZE,
  MIN_INITIATOR_DATAGRAM_SIZE,
  ParameterType,
  RESET_TOKEN_SIZE,
} from "./constants.ts";

/** One side's parameters. */
export interface TransportParameters {
  /** The sender's own connection id, as in its packet header. */
  readonly connectionId: ConnectionId;
  /** Suite numbers, most preferred first; 1–16 of them. */
  readonly suites: readonly number[];
  /** Bytes that the peer may send on the connection. */
  readonly maxData: number;
  /** Bytes that the peer may send on each stream. */
  readonly maxStreamData: number;
  /** Bidirectional streams that the peer may open. */
  readonly maxStreamsBidi: number;
  /** Unidirectional streams that the peer may open. */
  readonly maxStreamsUni: number;
  /** 0 = none. Travels in whole milliseconds, rounded up. */
  readonly idleTimeout: Micros;
  /** Largest UDP payload that this side can receive, 1200–65507. */
  readonly maxUdpPayload: number;
  /** Longest time for which this side holds an acknowledgement back, at most a second. */
  readonly maxAckDelay: Micros;
  /** Largest data that the peer may send in a DATAGRAM frame; 0 = this side takes none. */
  readonly maxDatagramFrame: number;
  /** What a stateless reset for {@link connectionId} would end with; sides that never send one leave it out. */
  readonly resetToken?: Uint8Array | undefined;
  /** Connection ids of the peer that this side keeps at once, the handshake's included; 1–255. */
  readonly activeConnectionIds: number;
  /** Resumed InitiatorHello: everything on the initiator's first bidirectional stream, at least a byte. */
  readonly earlyData?: Uint8Array | undefined;
  /** Answer to it: whether the early data was taken. */
  readonly earlyAccepted?: boolean | undefined;
  /** How many tickets the initiator would like; 0 is not sent. */
  readonly tickets?: number | undefined;
}

/** What holds for a parameter that is not sent (SPEC §5). */
export const DEFAULT_PARAMETERS = {
  maxData: 0,
  maxStreamData: 0,
  maxStreamsBidi: 0,
  maxStreamsUni: 0,
  idleTimeout: micros(0),
  maxUdpPayload: MIN_INITIATOR_DATAGRAM_SIZE,
  maxAckDelay: micros(25_000),
  maxDatagramFrame: 0,
  activeConnectionIds: 1,
} as const;

/** Upper bound of {@link TransportParameters.maxAckDelay}, microseconds. */
export const MAX_ACK_DELAY_LIMIT = 1_000_000;
/** Bytes of the type and the length before each value. */
const TLV_OVERHEAD = 3;
/** Everything but suites and padding, each with its type and length. */
const FIXED_SIZE = 11 * TLV_OVERHEAD + CONNECTION_ID_SIZE + 4 * 8 + 4 + 2 + 4 + 2 + 1;

/** Types that mean something here; all others are skipped. */
const KNOWN_TYPES: ReadonlySet<number> = new Set(Object.values(ParameterType));

/** One PADDING is always enough below this. */
const MAX_PADDED_SIZE = 0xffff;

/** Parameters, or why they are none: close with TRANSPORT_PARAMETER. */
export type DecodedParameters =
  | { readonly ok: true; readonly parameters: TransportParameters }
  | { readonly ok: false; readonly error: string };

/** Size of the encoded parameters without padding. */
export function transportParametersSize(parameters: TransportParameters): number {
  const { resetToken, earlyData, earlyAccepted, tickets } = parameters;
  return FIXED_SIZE + parameters.suites.length + (resetToken === undefined ? 0 : TLV_OVERHEAD + RESET_TOKEN_SIZE) +
    (earlyData === undefined ? 0 : TLV_OVERHEAD + earlyData.length) + (earlyAccepted ? TLV_OVERHEAD : 0) +
    (tickets ? TLV_OVERHEAD + 1 : 0);
}

/**
 * Encodes parameters, followed by as much PADDING as brings them to `minLength`. A padding takes at least 3 bytes, so the
 * result may be up to 2 bytes longer than `minLength`. Throws a RangeError for values that a peer would refuse.
 *
 * @example
 * ```ts
 * import { ConnectionId } from "./connection_id.ts";
 * import { decodeTransportParameters, DEFAULT_PARAMETERS, encodeTransportParameters } from "./transport_parameters.ts";
 *
 * const connectionId = new ConnectionId(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
 * const payload = encodeTransportParameters({ ...DEFAULT_PARAMETERS, connectionId, suites: [0x01] }, 1100);
 * payload.length; // 1100
 * decodeTransportParameters(payload, connectionId).ok; // true
 * ```
 */
export function encodeTransportParameters(parameters: TransportParameters, minLength: number = 0): Uint8Array {
  const error = checkBounds(parameters);
  if (error !== undefined) throw new RangeError(error);
  const size = transportParametersSize(parameters);
  const out = new Uint8Array(paddedSize(size, minLength));
  let at = writeHeader(out, 0, ParameterType.CONNECTION_ID, CONNECTION_ID_SIZE);
  out.set(parameters.connectionId.bytes, at);
  at = writeHeader(out, at + CONNECTION_ID_SIZE, ParameterType.SUITES, parameters.suites.length);
  out.set(parameters.suites, at);
  at += parameters.suites.length;
  at = writeU64Parameter(out, at, ParameterType.MAX_DATA, parameters.maxData);
  at = writeU64Parameter(out, at, ParameterType.MAX_STREAM_DATA, parameters.maxStreamData);
  at = writeU64Parameter(out, at, ParameterType.MAX_STREAMS_BIDI, parameters.maxStreamsBidi);
  at = writeU64Parameter(out, at, ParameterType.MAX_STREAMS_UNI, parameters.maxStreamsUni);
  at = writeHeader(out, at, ParameterType.IDLE_TIMEOUT, 4);
  at = writeU32(out, at, idleMillis(parameters));
  at = writeHeader(out, at, ParameterType.MAX_UDP_PAYLOAD, 2);
  at = writeU16(out, at, parameters.maxUdpPayload);
  at = writeHeader(out, at, ParameterType.MAX_ACK_DELAY, 4);
  at = writeU32(out, at, parameters.maxAckDelay);
  at = writeHeader(out, at, ParameterType.MAX_DATAGRAM_FRAME, 2);
  at = writeU16(out, at, parameters.maxDatagramFrame);
  if (parameters.resetToken !== undefined) {
    at = writeHeader(out, at, ParameterType.RESET_TOKEN, RESET_TOKEN_SIZE);
    out.set(parameters.resetToken, at);
    at += RESET_TOKEN_SIZE;
  }
  at = writeHeader(out, at, ParameterType.ACTIVE_CONNECTION_IDS, 1);
  out[at++] = parameters.activeConnectionIds;
  at = writeResumption(out, at, parameters);
  writePaddingParameter(out, at);
  return out;
}

/** The parameters of a message in clear: PADDING only. Length as in {@link encodeTransportParameters}. */
export function encodePaddingParameters(minLength: number): Uint8Array {
  const out = new Uint8Array(paddedSize(0, minLength));
  writePaddingParameter(out, 0);
  return out;
}

/**
 * Decodes the parameters of a sealed payload.
 *
 * @param sender the sender's connection id in the packet header, which the list must repeat
 */
export function decodeTransportParameters(bytes: Uint8Array, sender: ConnectionId): DecodedParameters {
  const found: { -readonly [K in keyof TransportParameters]?: TransportParameters[K] } = { ...DEFAULT_PARAMETERS };
  let seen = 0;
  let at = 0;
  while (at < bytes.length) {
    if (bytes.length - at < TLV_OVERHEAD) return failed("a parameter is cut off");
    const type = bytes[at], length = readU16(bytes, at + 1), value = at + TLV_OVERHEAD;
    if (length > bytes.length - value) return failed("a parameter is cut off");
    at = value + length;
    if (!KNOWN_TYPES.has(type)) continue;
    if (type === ParameterType.PADDING) {
      if (!isZero(bytes, value, at)) return failed("padding is not zero");
      continue;
    }
    if ((seen & (1 << type)) !== 0) return failed(`parameter ${type} appears twice`);
    seen |= 1 << type;
    if (!hasRightLength(type, length)) return failed(`parameter ${type} has ${length} bytes`);
    switch (type) {
      case ParameterType.CONNECTION_ID:
        found.connectionId = readConnectionId(bytes, value);
        break;
      case ParameterType.SUITES:
        found.suites = Array.from(bytes.subarray(value, at));
        break;
      case ParameterType.MAX_DATA:
        found.maxData = readSafeU64(bytes, value);
        break;
      case ParameterType.MAX_STREAM_DATA:
        found.maxStreamData = readSafeU64(bytes, value);
        break;
      case ParameterType.MAX_STREAMS_BIDI:
        found.maxStreamsBidi = readSafeU64(bytes, value);
        break;
      case ParameterType.MAX_STREAMS_UNI:
        found.maxStreamsUni = readSafeU64(bytes, value);
        break;
      case ParameterType.IDLE_TIMEOUT:
        found.idleTimeout = millis(readU32(bytes, value));
        break;
      case ParameterType.MAX_UDP_PAYLOAD:
        found.maxUdpPayload = readU16(bytes, value);
        break;
      case ParameterType.MAX_ACK_DELAY:
        found.maxAckDelay = micros(readU32(bytes, value));
        break;
      case ParameterType.MAX_DATAGRAM_FRAME:
        found.maxDatagramFrame = readU16(bytes, value);
        break;
      case ParameterType.RESET_TOKEN:
        found.resetToken = bytes.slice(value, at);
        break;
      case ParameterType.ACTIVE_CONNECTION_IDS:
        found.activeConnectionIds = bytes[value];
        break;
      case ParameterType.EARLY_DATA:
        found.earlyData = bytes.slice(value, at);
        break;
      case ParameterType.EARLY_ACCEPTED:
        found.earlyAccepted = true;
        break;
      case ParameterType.TICKETS:
        found.tickets = bytes[value];
        break;
    }
  }
  const { connectionId, suites } = found;
  if (connectionId === undefined) return failed("the connection id is missing");
  if (!connectionId.equals(sender)) return failed("the connection id differs from the packet header's");
  if (suites === undefined) return failed("the suites are missing");
  const parameters: TransportParameters = { ...DEFAULT_PARAMETERS, ...found, connectionId, suites };
  const error = checkBounds(parameters);
  return error === undefined ? { ok: true, parameters } : failed(error);
}

/** Whether the parameters of a message in clear are well formed and hold nothing but PADDING and unknown types. */
export function arePaddingParameters(bytes: Uint8Array): boolean {
  let at = 0;
  while (at < bytes.length) {
    if (bytes.length - at < TLV_OVERHEAD) return false;
    const type = bytes[at], value = at + TLV_OVERHEAD;
    at = value + readU16(bytes, at + 1);
    if (at > bytes.length) return false;
    if (!KNOWN_TYPES.has(type)) continue;
    if (type !== ParameterType.PADDING || !isZero(bytes, value, at)) return false;
  }
  return true;
}

function hasRightLength(type: number, length: number): boolean {
  switch (type) {
    case ParameterType.ACTIVE_CONNECTION_IDS:
      return length === 1;
    case ParameterType.SUITES:
      return length >= 1 && length <= MAX_SUITES;
    case ParameterType.EARLY_DATA:
      return length >= 1;
    case ParameterType.EARLY_ACCEPTED:
      return length === 0;
    case ParameterType.TICKETS:
      return length === 1;
    case ParameterType.MAX_UDP_PAYLOAD:
    case ParameterType.MAX_DATAGRAM_FRAME:
      return length === 2;
    case ParameterType.IDLE_TIMEOUT:
    case ParameterType.MAX_ACK_DELAY:
      return length === 4;
    case ParameterType.RESET_TOKEN:
      return length === RESET_TOKEN_SIZE;
    default:
      return length === 8;
  }
}

/** What is out of bounds, in words; the same rules for what is sent and for what is received. */
function checkBounds(parameters: TransportParameters): string | undefined {
  const { connectionId, suites, maxData, maxStreamData, maxStreamsBidi, maxStreamsUni } = parameters;
  const { maxUdpPayload, maxAckDelay, maxDatagramFrame, activeConnectionIds } = parameters;
  if (connectionId.isZero) return "the connection id is zero";
  if (suites.length < 1 || suites.length > MAX_SUITES) return `1 to ${MAX_SUITES} suites expected`;
  if (!isCount(maxData, Number.MAX_SAFE_INTEGER)) return "max data is out of bounds";
  if (!isCount(maxStreamData, Number.MAX_SAFE_INTEGER)) return "max stream data is out of bounds";
  if (!isCount(maxStreamsBidi, MAX_STREAMS_LIMIT)) return "max bidirectional streams is out of bounds";
  if (!isCount(maxStreamsUni, MAX_STREAMS_LIMIT)) return "max unidirectional streams is out of bounds";
  if (!isCount(idleMillis(parameters), 0xffff_ffff)) return "idle timeout is out of bounds";
  if (!isCount(maxUdpPayload, MAX_UDP_PAYLOAD_SIZE) || maxUdpPayload < MIN_INITIATOR_DATAGRAM_SIZE) {
    return "max udp payload is out of bounds";
  }
  if (!isCount(Math.ceil(maxAckDelay), MAX_ACK_DELAY_LIMIT)) return "max ack delay is out of bounds";
  if (!isCount(maxDatagramFrame, 0xffff)) return "max datagram frame is out of bounds";
  if (parameters.resetToken !== undefined && parameters.resetToken.length !== RESET_TOKEN_SIZE) {
    return `a reset token of ${RESET_TOKEN_SIZE} bytes expected`;
  }
  if (!isCount(activeConnectionIds, MAX_CONNECTION_IDS) || activeConnectionIds < 1) {
    return "active connection ids is out of bounds";
  }
  const { earlyData, tickets = 0 } = parameters;
  if (earlyData !== undefined && !(earlyData.length >= 1 && earlyData.length <= MAX_PADDED_SIZE)) {
    return "early data is out of bounds";
  }
  if (!isCount(tickets, 0xff)) return "tickets is out of bounds";
  return undefined;
}

function writeResumption(out: Uint8Array, at: number, parameters: TransportParameters): number {
  const { earlyData, earlyAccepted, tickets } = parameters;
  if (earlyData !== undefined) {
    at = writeHeader(out, at, ParameterType.EARLY_DATA, earlyData.length);
    out.set(earlyData, at);
    at += earlyData.length;
  }
  if (earlyAccepted) at = writeHeader(out, at, ParameterType.EARLY_ACCEPTED, 0);
  if (tickets) {
    at = writeHeader(out, at, ParameterType.TICKETS, 1);
    out[at++] = tickets;
  }
  return at;
}

function idleMillis(parameters: TransportParameters): number {
  return Math.ceil(parameters.idleTimeout / 1000);
}

function isCount(value: number, max: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= max;
}

function isZero(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i] !== 0) return false;
  return true;
}

function failed(error: string): DecodedParameters {
  return { ok: false, error };
}

function paddedSize(size: number, minLength: number): number {
  if (!(minLength <= MAX_PADDED_SIZE)) throw new RangeError(`cannot pad parameters to ${minLength} bytes`);
  return minLength <= size ? size : Math.max(minLength, size + TLV_OVERHEAD);
}

/** Fills what is left of `out` with PADDING; its value bytes are zero already. */
function writePaddingParameter(out: Uint8Array, at: number): void {
  if (at < out.length) writeHeader(out, at, ParameterType.PADDING, out.length - at - TLV_OVERHEAD);
}

function writeHeader(out: Uint8Array, at: number, type: number, length: number): number {
  out[at] = type;
  return writeU16(out, at + 1, length);
}

function writeU64Parameter(out: Uint8Array, at: number, type: number, value: number): number {
  return writeSafeU64(out, writeHeader(out, at, type, 8), value);
}

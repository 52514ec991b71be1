/**
 * Keeps the accounts of flow control and of key updates from outside: reads every frame that is sealed, and says when a side sends
 * more than the other has allowed it, or replaces a key against the rules.
 *
 * @module
 */

import { readU32 } from "../base/bytes.ts";
import type { ConnectionId } from "../wire/connection_id.ts";
import { ControlOp, FrameType, HeaderOffset, NONCE_SIZE, PACKET_HEADER_SIZE, PacketFlag } from "../wire/constants.ts";
import { FrameReader, FRAMES_END, FRAMES_ERROR } from "../wire/frame_reader.ts";
import { type StreamId, streamIndex, streamKind, type StreamRole, streamRole } from "../wire/stream_id.ts";
import { KeyHistory } from "./key_history.ts";
import type { WatchedKey } from "./watched_crypto.ts";

/** What the transport parameters of a side allow the other one. */
export interface InitialCredit {
  readonly maxData: number;
  readonly maxStreamData: number;
  readonly maxStreamsBidi: number;
  readonly maxStreamsUni: number;
  /** Most that the side may allow beyond what it has received, on the connection and on a stream: its memory depends on it. */
  readonly maxDataWindow: number;
  readonly maxStreamWindow: number;
  /** Largest data of a DATAGRAM frame. */
  readonly maxDatagramFrame?: number;
}

/** One direction of a connection: what its sender has sent, and what it has allowed the other side. */
class Direction {
  /** Whether its sender is watched at all. */
  readonly isWatched: boolean;
  highestPacketNumber = -1;
  /** The highest of its packets that the other side has acknowledged. */
  acknowledged = -1;
  readonly keys = new KeyHistory();
  /** Sum of the highest offsets of all streams. */
  data = 0;
  readonly offsets = new Map<StreamId, number>();
  maxData: number;
  maxStreamData: number;
  readonly streamLimits = new Map<StreamId, number>();
  readonly maxStreams: [number, number];
  readonly dataWindow: number;
  readonly streamWindow: number;
  readonly maxDatagramFrame: number;

  constructor(credit: InitialCredit | undefined) {
    this.isWatched = credit !== undefined;
    // Without knowledge of what a side announced there is nothing to hold the other one to.
    this.maxData = credit?.maxData ?? Infinity;
    this.maxStreamData = credit?.maxStreamData ?? Infinity;
    this.dataWindow = Math.max(this.maxData, credit?.maxDataWindow ?? Infinity);
    this.streamWindow = Math.max(this.maxStreamData, credit?.maxStreamWindow ?? Infinity);
    this.maxDatagramFrame = credit?.maxDatagramFrame ?? Infinity;
    this.maxStreams = [credit?.maxStreamsBidi ?? Infinity, credit?.maxStreamsUni ?? Infinity];
  }
}

interface Account {
  /** What is sent to this connection id. */
  readonly direction: Direction;
  /** What is sent the other way. */
  reverse: Direction | undefined;
  /** The account of what is sent the other way. */
  back: Account | undefined;
  /** Role of the side that sends to this connection id. */
  readonly senderRole: StreamRole;
}

/** The accounts of all connections. */
export class CreditLedger {
  /** Sees challenges and their answers as they are sealed, eight bytes each. */
  onPathFrame: ((op: number, data: Uint8Array) => void) | undefined;
  readonly #accounts = new Map<string, Account>();
  readonly #reader = new FrameReader();

  /**
   * Opens the accounts of a connection: what `initiatorId` and `responderId`, the ids that the sides receive with, stand for, and what
   * each side has announced (undefined: that side is not watched, and the other one is not held to anything). Once for each connection. An
   * initiator that turns out to talk to another responder than the one before, because that has forgotten it, gets new ones.
   */
  open(
    initiatorId: ConnectionId,
    responderId: ConnectionId,
    initiatorCredit: InitialCredit | undefined,
    responderCredit: InitialCredit | undefined,
  ): void {
    // A hello that somebody else has recorded and plays back names an initiator that is on a connection already.
    if (this.has(responderId) || (initiatorCredit === undefined && this.has(initiatorId))) return;
    const toResponder: Account = {
      direction: new Direction(initiatorCredit),
      reverse: undefined,
      back: undefined,
      senderRole: 0,
    };
    const toInitiator: Account = {
      direction: new Direction(responderCredit),
      reverse: undefined,
      back: toResponder,
      senderRole: 1,
    };
    toResponder.back = toInitiator;
    toResponder.reverse = toInitiator.direction;
    toInitiator.reverse = toResponder.direction;
    this.#accounts.set(keyOf(responderId.low, responderId.high), toResponder);
    this.#accounts.set(keyOf(initiatorId.low, initiatorId.high), toInitiator);
  }

  /** Whether a connection has accounts. */
  has(id: ConnectionId): boolean {
    return this.#accounts.has(keyOf(id.low, id.high));
  }

  /** New bytes of all streams that were sent to a connection id. */
  dataSentTo(id: ConnectionId): number {
    return this.#accounts.get(keyOf(id.low, id.high))?.direction.data ?? 0;
  }

  /** Something is sealed: what is wrong with it, undefined if nothing is, or it is no packet of a connection that has accounts. */
  onSeal(nonce: Uint8Array, aad: Uint8Array, plain: Uint8Array, key?: WatchedKey): string | undefined {
    if (!isPacketHeader(aad, nonce)) return undefined;
    const account = this.#accounts.get(
      keyOf(readU32(aad, HeaderOffset.DESTINATION), readU32(aad, HeaderOffset.DESTINATION + 4)),
    );
    if (account === undefined) return undefined;
    const { direction } = account;
    const packetNumber = readU32(aad, HeaderOffset.PACKET_NUMBER) +
      readU32(aad, HeaderOffset.PACKET_NUMBER + 4) * 2 ** 32;
    // Numbers are left out now and then, one at a time.
    if (packetNumber !== direction.highestPacketNumber + 1 && packetNumber !== direction.highestPacketNumber + 2) {
      return `packet ${packetNumber} follows on packet ${direction.highestPacketNumber}`;
    }
    direction.highestPacketNumber = packetNumber;
    if (key !== undefined) {
      const phase = (aad[HeaderOffset.FLAGS] & PacketFlag.KEY_PHASE) !== 0;
      const epoch = account.reverse?.isWatched ? account.reverse.keys.epoch : undefined;
      const problem = direction.keys.onSeal(key, packetNumber, phase, { epoch, acknowledged: direction.acknowledged });
      if (problem !== undefined) return problem;
    }
    const reader = this.#reader;
    reader.reset(plain, 0, plain.length);
    for (;;) {
      const type = reader.next();
      if (type === FRAMES_END) return undefined;
      if (type === FRAMES_ERROR) return `sent a frame that cannot be read: ${reader.error}`;
      const problem = this.#onFrame(type, account);
      if (problem !== undefined) return problem;
    }
  }

  #onFrame(type: number, account: Account): string | undefined {
    const reader = this.#reader;
    const { direction } = account;
    switch (type) {
      case FrameType.STREAM_OPEN:
        return this.#onSent(account, reader.streamId, 0);
      case FrameType.STREAM_DATA:
        return this.#onSent(account, reader.streamId, reader.offset + reader.dataEnd - reader.dataStart);
      case FrameType.STREAM_FIN:
        return this.#onSent(account, reader.streamId, reader.finalSize);
      case FrameType.STREAM_MAX_DATA: {
        const before = direction.streamLimits.get(reader.streamId) ?? direction.maxStreamData;
        if (reader.limit > before) direction.streamLimits.set(reader.streamId, reader.limit);
        const received = account.reverse?.offsets.get(reader.streamId) ?? 0;
        return account.reverse?.isWatched && reader.limit > received + direction.streamWindow
          ? `allows ${reader.limit} bytes on stream ${reader.streamId}, of which it can have got ${received}`
          : undefined;
      }
      case FrameType.CONNECTION_MAX_DATA: {
        direction.maxData = Math.max(direction.maxData, reader.limit);
        const received = account.reverse?.data ?? 0;
        return account.reverse?.isWatched && reader.limit > received + direction.dataWindow
          ? `allows ${reader.limit} bytes, of which it can have got ${received}`
          : undefined;
      }
      case FrameType.CONTROL:
        if (reader.op === ControlOp.MAX_STREAMS) {
          direction.maxStreams[reader.kind] = Math.max(direction.maxStreams[reader.kind], reader.limit);
        } else if (reader.op === ControlOp.NEW_CONNECTION_ID && account.back !== undefined) {
          // Another name for what is sent the other way.
          const at = reader.dataStart + 16;
          this.#accounts.set(keyOf(readU32(reader.bytes, at), readU32(reader.bytes, at + 4)), account.back);
        } else if (reader.op === ControlOp.PATH_CHALLENGE || reader.op === ControlOp.PATH_RESPONSE) {
          this.onPathFrame?.(reader.op, reader.bytes.subarray(reader.dataStart, reader.dataEnd));
        } else if (reader.op === ControlOp.RESET_STREAM) {
          return this.#onSent(account, reader.streamId, reader.finalSize);
        }
        return undefined;
      case FrameType.DATAGRAM: {
        const size = reader.dataEnd - reader.dataStart, limit = account.reverse?.maxDatagramFrame ?? Infinity;
        return limit === 0 || size > limit ? `sent a DATAGRAM frame of ${size} bytes, of ${limit}` : undefined;
      }
      case FrameType.ACK:
        if (account.reverse !== undefined && reader.ackLargest > account.reverse.acknowledged) {
          account.reverse.acknowledged = reader.ackLargest;
        }
        return account.reverse?.isWatched && reader.ackLargest > account.reverse.highestPacketNumber
          ? `acknowledged packet ${reader.ackLargest}, of ${account.reverse.highestPacketNumber} that were sent`
          : undefined;
      default:
        return undefined;
    }
  }

  /** A stream is used up to `end`. */
  #onSent(account: Account, id: StreamId, end: number): string | undefined {
    const { direction, reverse, senderRole } = account;
    const kind = streamKind(id);
    if (streamRole(id) === senderRole && reverse !== undefined && streamIndex(id) >= reverse.maxStreams[kind]) {
      return `used stream ${id}, of ${reverse.maxStreams[kind]} that are allowed`;
    }
    const before = direction.offsets.get(id) ?? 0;
    if (end <= before) return undefined;
    direction.offsets.set(id, end);
    direction.data += end - before;
    if (reverse === undefined) return undefined;
    const limit = reverse.streamLimits.get(id) ?? reverse.maxStreamData;
    if (end > limit) return `sent ${end} bytes on stream ${id}, of ${limit} that are allowed`;
    if (direction.data > reverse.maxData) {
      return `sent ${direction.data} bytes of streams, of ${reverse.maxData} that are allowed`;
    }
    return undefined;
  }
}

/** Whether this is the header of a protected packet, rather than the hash that a handshake seals with. */
export function isPacketHeader(aad: Uint8Array, nonce: Uint8Array): boolean {
  if (aad.length !== PACKET_HEADER_SIZE || nonce.length !== NONCE_SIZE) return false;
  for (let i = 0; i < NONCE_SIZE; i++) if (aad[HeaderOffset.NONCE + i] !== nonce[i]) return false;
  return true;
}

function keyOf(low: number, high: number): string {
  return `${low} ${high}`;
}

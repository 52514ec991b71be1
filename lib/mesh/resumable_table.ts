/**
 * The resumable streams that one answerer keeps, with or without a connection: whose they are, how many, and how much memory
 * they may take (SPEC §8.13).
 *
 * @module
 */

import { constantTimeEqual, toHex } from "../base/bytes.ts";
import { KeyedMap, newHashKey } from "../base/keyed_map.ts";
import type { Random } from "../base/random.ts";
import { LEAST_BUFFER_BYTES } from "./resumable_end.ts";

/** The part of what is free that one more stream gets at most. */
const SHARE_OF_FREE = 16;

/** How much is kept. */
export interface ResumableLimits {
  /** How long a stream is kept without a connection, at most and by default. */
  readonly windowMillis: number;
  /** The largest buffer of a stream. It counts twice: for what is sent, and for what is not read. */
  readonly bufferBytes: number;
  /** Streams altogether, … */
  readonly maxStreams: number;
  /** … and of one peer. */
  readonly maxStreamsPerPeer: number;
  /** The buffers of all streams together, … */
  readonly maxBytes: number;
  /** … and of those of one peer. */
  readonly maxBytesPerPeer: number;
}

/** What a peer asks for. */
export interface ResumableRequest {
  /** Names the key that the peer has proven. */
  readonly peer: string;
  readonly streamId: Uint8Array;
  readonly token: Uint8Array;
  /** 0 or undefined: as the answerer likes. */
  readonly bufferBytes: number | undefined;
  readonly windowMillis: number | undefined;
}

/** A place in the table. */
export interface ResumableEntry<V> {
  readonly value: V;
  /** What it has been granted. */
  readonly bufferBytes: number;
  readonly windowMillis: number;
}

/** Why a stream gets no place. */
export type NoPlace = "taken" | "no_room";

interface Entry<V> extends ResumableEntry<V> {
  readonly key: string;
  readonly token: Uint8Array;
  readonly peer: Peer;
  isHere: boolean;
}

interface Peer {
  readonly name: string;
  streams: number;
  bytes: number;
}

/** One for an answerer. A stream that another key has opened, or that another secret belongs to, is not found. */
export class ResumableTable<V> {
  readonly #limits: ResumableLimits;
  readonly #entries: KeyedMap<Entry<V>>;
  readonly #peers: KeyedMap<Peer>;
  #bytes = 0;

  /** @throws RangeError for limits that make no sense. */
  constructor(limits: ResumableLimits, random: Random) {
    for (const [name, limit] of Object.entries(limits)) {
      if (!(Number.isSafeInteger(limit) && limit >= 0)) throw new RangeError(`${name} is ${limit}, expected 0 or more`);
    }
    this.#limits = limits;
    const hashKey = newHashKey(random);
    this.#entries = new KeyedMap(hashKey);
    this.#peers = new KeyedMap(hashKey);
  }

  /** Streams that have a place. */
  get size(): number {
    return this.#entries.size;
  }

  /** Bytes that their buffers may take together. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Gives a stream a place, if there is one. */
  add(request: ResumableRequest, value: V): ResumableEntry<V> | NoPlace {
    const { maxStreams, maxStreamsPerPeer, windowMillis } = this.#limits;
    const key = keyOf(request.peer, request.streamId);
    if (this.#entries.get(key) !== undefined) return "taken";
    const peer = this.#peers.get(request.peer) ?? { name: request.peer, streams: 0, bytes: 0 };
    if (this.#entries.size >= maxStreams || peer.streams >= maxStreamsPerPeer) return "no_room";
    const bufferBytes = this.#buffer(request.bufferBytes || this.#limits.bufferBytes, peer);
    if (bufferBytes === 0) return "no_room";
    const entry: Entry<V> = {
      value,
      key,
      token: request.token,
      peer,
      bufferBytes,
      windowMillis: Math.min(request.windowMillis || windowMillis, windowMillis),
      isHere: true,
    };
    if (peer.streams++ === 0) this.#peers.set(peer.name, peer);
    peer.bytes += 2 * bufferBytes;
    this.#bytes += 2 * bufferBytes;
    this.#entries.set(key, entry);
    return entry;
  }

  /** The stream that a peer wants to go on with. */
  find(peer: string, streamId: Uint8Array, token: Uint8Array): ResumableEntry<V> | undefined {
    const entry = this.#entries.get(keyOf(peer, streamId));
    return entry !== undefined && constantTimeEqual(entry.token, token) ? entry : undefined;
  }

  /** Takes a stream's place away. Idempotent. */
  remove(place: ResumableEntry<V>): void {
    const entry = place as Entry<V>;
    if (!entry.isHere) return;
    entry.isHere = false;
    this.#entries.delete(entry.key);
    this.#bytes -= 2 * entry.bufferBytes;
    entry.peer.bytes -= 2 * entry.bufferBytes;
    if (--entry.peer.streams === 0) this.#peers.delete(entry.peer.name);
  }

  /** All that have a place. */
  values(): V[] {
    return [...this.#entries.values()].map(({ value }) => value);
  }

  /** As much as was asked for, less as memory gets short; 0 if there is too little. */
  #buffer(asked: number, peer: Peer): number {
    const { bufferBytes, maxBytes, maxBytesPerPeer } = this.#limits;
    const free = Math.min(maxBytes - this.#bytes, maxBytesPerPeer - peer.bytes);
    const least = Math.min(asked, LEAST_BUFFER_BYTES);
    if (2 * least > free) return 0;
    return Math.max(least, Math.min(asked, bufferBytes, Math.floor(free / SHARE_OF_FREE / 2)));
  }
}

function keyOf(peer: string, streamId: Uint8Array): string {
  return `${peer} ${toHex(streamId)}`;
}

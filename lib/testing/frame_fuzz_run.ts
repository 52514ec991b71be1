/**
 * Peers with a proper handshake that then send frames without sense: right in form, mostly, and wrong in everything else. They also
 * replace their keys when they like.
 *
 * @module
 */

import { type Address, address } from "../base/address.ts";
import { concatBytes } from "../base/bytes.ts";
import { type Micros, micros, millis, seconds } from "../base/time.ts";
import type { CryptoProvider } from "../crypto/types.ts";
import type { Connection } from "../transport/connection.ts";
import type { ConnectionEvent } from "../transport/events.ts";
import { encodeFrame, type Frame } from "../wire/frames.ts";
import {
  isUnidirectional,
  makeStreamId,
  type StreamId,
  StreamKind,
  type StreamRole,
  streamRole,
} from "../wire/stream_id.ts";
import { HostilePeer } from "./hostile_peer.ts";
import { Invariants } from "./invariants.ts";
import type { SeededRandom } from "./seeded_random.ts";
import { SimulatedNetwork } from "./simulated_network.ts";
import { type NodeApplication, SimulatedNode } from "./simulated_node.ts";

/** How much of what. */
export interface FrameFuzzOptions {
  readonly seed: number;
  readonly crypto: CryptoProvider;
  /** Hostile peers, one after the other; every second one is the initiator. */
  readonly peers: number;
  /** Packets of each, as long as it is not cut off; 100 by default. */
  readonly packets?: number;
}

/** How it went. */
export interface FrameFuzzResult {
  readonly packets: number;
  /** How many peers were cut off, by CLOSE code. */
  readonly closes: ReadonlyMap<number, number>;
  /** Connections that were left when all was over; 0 unless something leaks. */
  readonly leftConnections: number;
}

const VICTIM: Address = address("10.0.0.1", 1);
const PACKETS = 100;
const PAUSE: Micros = millis(2);
const SETTINGS = {
  maxData: 1 << 16,
  maxStreamData: 1 << 13,
  maxStreamsBidi: 8,
  maxStreamsUni: 8,
  idleTimeout: seconds(5),
  handshakeTimeout: seconds(5),
};

/** An owner of connections that uses everything there is, without plan: opens, writes, reads, gives up. */
class Restless implements NodeApplication {
  readonly #random: SeededRandom;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  onEvent(_node: SimulatedNode, connection: Connection, event: ConnectionEvent): void {
    const random = this.#random;
    if (event.type === "closed") return;
    if (event.type === "established" || random.chance(0.2)) {
      const id = connection.openStream(random.chance(0.5), random.below(3));
      if (id !== -1) connection.write(id, new Uint8Array(random.below(3000)), random.chance(0.5));
    }
    if (random.chance(0.2)) connection.datagrams.send(new Uint8Array(random.below(1500)), random.below(4));
    if (event.type === "datagram" && random.chance(0.5)) connection.datagrams.read();
    if (event.type !== "readable") return;
    while (connection.read(event.id) !== undefined);
    const choice = random.below(20);
    if (choice === 0) connection.stopSending(event.id, 1);
    else if (choice === 1) connection.resetStream(event.id, 1);
    else if (choice === 2) connection.ping();
    else if (choice < 6 && connection.writableBytes(event.id) > 0) {
      connection.write(event.id, new Uint8Array(random.below(500)), random.chance(0.5));
    }
  }
}

/** Runs hostile peers against one node. Throws an `InvariantError` if a rule is broken, and whatever the endpoint throws. */
export function runFrameFuzz(options: FrameFuzzOptions): FrameFuzzResult {
  const { seed, crypto, peers, packets: most = PACKETS } = options;
  const network = new SimulatedNetwork({ seed, profile: { delay: millis(1) } });
  const random = network.random.fork();
  const victim = new SimulatedNode(network, {
    address: VICTIM,
    crypto,
    settings: SETTINGS,
    application: new Restless(random.fork()),
    invariants: new Invariants(() => network.now),
  });
  const closes = new Map<number, number>();
  let packets = 0;
  for (let i = 0; i < peers; i++) {
    const role = (i & 1) as StreamRole;
    const peer = new HostilePeer(network, {
      address: address("10.6.6.6", 1 + i % 65535),
      crypto,
      acknowledges: random.chance(0.7),
    });
    if (role === 0) peer.connect(VICTIM, random.chance(0.5) ? victim.identity.publicKey : undefined);
    else victim.connect(peer.address, { peerKey: peer.identity.publicKey });
    network.run(() => peer.isEstablished, seconds(1));
    for (let n = 0; n < most && peer.closed === undefined && peer.isEstablished; n++, packets++) {
      if (random.chance(0.02)) peer.epoch = Math.max(0, peer.epoch + (random.chance(0.8) ? 1 : -1));
      peer.sendPlaintext(nextPlaintext(random, role, peer));
      network.advance(micros(random.below(PAUSE)));
    }
    network.advance(millis(5));
    if (peer.closed !== undefined) closes.set(peer.closed.code, (closes.get(peer.closed.code) ?? 0) + 1);
    network.detach(peer.address);
  }
  network.advance(seconds(600));
  return { packets, closes, leftConnections: victim.endpoint.connectionCount };
}

function nextPlaintext(random: SeededRandom, role: StreamRole, peer: HostilePeer): Uint8Array {
  const frames: Uint8Array[] = [];
  let room = 1100;
  for (let count = 1 + random.below(4); count > 0 && room > 0; count--) {
    const bytes = encodeFrame(nextFrame(random, role, peer));
    if (bytes.length > room) continue;
    room -= bytes.length;
    frames.push(bytes);
  }
  const plaintext = frames.length === 0 ? new Uint8Array(1) : concatBytes(...frames);
  // Seldom, or nobody would get far.
  if (random.chance(0.01)) plaintext[random.below(plaintext.length)] ^= 1 << random.below(8);
  return plaintext;
}

/** A frame that is right in form; its numbers are plausible more often than not. */
function nextFrame(random: SeededRandom, role: StreamRole, peer: HostilePeer): Frame {
  const streamId = sendingStream(random, role, peer);
  const code = random.below(0x200);
  switch (random.below(18)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4: {
      const data = new Uint8Array(random.below(200));
      const isOwn = streamRole(streamId) === role;
      const openClass = isOwn && random.chance(0.3) ? random.below(5) : undefined;
      return { type: "stream_data", streamId, offset: anyOffset(random), data, fin: random.chance(0.01), openClass };
    }
    case 5:
      return { type: "stream_open", streamId: makeStreamId(random.below(8), role, 0), streamClass: random.below(256) };
    case 6:
      if (random.chance(0.9)) return { type: "ping" };
      return { type: "stream_fin", streamId, finalSize: anyOffset(random) };
    case 7:
      return { type: "datagram", data: new Uint8Array(random.below(50)) };
    case 8: {
      const seen = peer.receivedDatagrams;
      const largest = random.chance(0.998) ? random.below(Math.max(1, seen >> 1)) : anyOffset(random);
      const start = random.below(largest + 1);
      return { type: "ack", largest, delay: anyOffset(random), ranges: [{ start, end: largest }] };
    }
    case 9:
      return { type: "stream_max_data", streamId: receivingStream(random, role, peer), limit: anyOffset(random) };
    case 10:
      return { type: "connection_max_data", limit: anyOffset(random) };
    case 11:
      return { type: "ping" };
    case 12:
      return { type: "reset_stream", streamId, code, finalSize: random.chance(0.9) ? 8190 : anyOffset(random) };
    case 13:
      return { type: "stop_sending", streamId: receivingStream(random, role, peer), code };
    case 14:
      return { type: "max_streams", kind: random.below(2) as StreamKind, limit: Math.min(anyOffset(random), 2 ** 51) };
    case 15:
      return { type: "path_challenge", data: new Uint8Array(8) };
    case 16:
      return { type: "stream_data_blocked", streamId, limit: anyOffset(random) };
    default:
      return { type: "padding", length: 1 + random.below(20) };
  }
}

/** A stream on which the peer may send, nearly always. */
function sendingStream(random: SeededRandom, role: StreamRole, peer: HostilePeer): StreamId {
  if (random.chance(0.003)) return anyStream(random);
  const known = victimStreams(peer).filter((id) => !isUnidirectional(id));
  if (known.length > 0 && random.chance(0.2)) return known[random.below(known.length)];
  return makeStreamId(random.below(8), role, random.below(2) as StreamKind);
}

/** A stream on which the peer may receive, nearly always. */
function receivingStream(random: SeededRandom, role: StreamRole, peer: HostilePeer): StreamId {
  if (random.chance(0.003)) return anyStream(random);
  const known = victimStreams(peer);
  if (known.length > 0 && random.chance(0.5)) return known[random.below(known.length)];
  return makeStreamId(random.below(8), role, StreamKind.BIDIRECTIONAL);
}

function anyStream(random: SeededRandom): StreamId {
  return makeStreamId(
    random.below(random.chance(0.5) ? 10 : 2 ** 31),
    random.below(2) as StreamRole,
    random.below(2) as StreamKind,
  );
}

/** Streams that the victim has opened, as far as it has said. */
function victimStreams(peer: HostilePeer): StreamId[] {
  const ids: StreamId[] = [];
  for (const frame of peer.frames.slice(-50)) if (frame.type === "stream_data") ids.push(frame.streamId);
  return ids;
}

function anyOffset(random: SeededRandom): number {
  if (random.chance(0.995)) return random.below(random.chance(0.5) ? 500 : 7900);
  return random.chance(0.5) ? 2 ** 53 - 1 - random.below(300) : random.nextU32() * random.below(2 ** 20);
}

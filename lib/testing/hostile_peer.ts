/**
 * A peer that plays by the rules until the handshake is done, and then sends whatever a test wants: any plaintext, properly sealed, or any
 * bytes at all.
 *
 * @module
 */

import type { Address } from "../base/address.ts";
import { concatBytes } from "../base/bytes.ts";
import { RangeSet } from "../base/range_set.ts";
import { generateKeyPair } from "../crypto/key_pair.ts";
import type { CryptoProvider, KeyPair } from "../crypto/types.ts";
import {
  type HandshakeContext,
  type HandshakeResult,
  InitiatorHandshake,
  ResponderHandshake,
} from "../transport/handshake.ts";
import { PacketKeys } from "../transport/packet_protection.ts";
import { WorkSearch } from "../transport/proof_of_work.ts";
import { defaultSettings, type TransportSettings } from "../transport/settings.ts";
import { type ConnectionId, randomConnectionId, ZERO_CONNECTION_ID } from "../wire/connection_id.ts";
import {
  HandshakeKind,
  MAX_UDP_PAYLOAD_SIZE,
  PACKET_HEADER_SIZE,
  PacketFlag,
  WIRE_VERSION,
} from "../wire/constants.ts";
import { decodeFrames, encodeFrame, type Frame } from "../wire/frames.ts";
import {
  type CookieAnswer,
  decodeHandshakeMessage,
  type HandshakeMessage,
  readRetry,
  type Retry,
} from "../wire/handshake_message.ts";
import { PacketReader, writeHandshakePacket } from "../wire/packet_header.ts";
import type { SimulatedHost, SimulatedNetwork } from "./simulated_network.ts";

/** What a hostile peer is made of. */
export interface HostilePeerOptions {
  readonly address: Address;
  readonly crypto: CryptoProvider;
  readonly identity?: KeyPair;
  /** What it announces; the defaults of honest ones otherwise. */
  readonly settings?: Partial<TransportSettings>;
  /** Whether it acknowledges what it gets; true by default. */
  readonly acknowledges?: boolean;
  /** As an initiator: whether it says hello again with the cookie when it is asked for one; true by default. */
  readonly followsRetries?: boolean;
  /** As an initiator: whether it finishes the handshake by itself; true by default. */
  readonly finishes?: boolean;
}

/** What the other side said when it closed. */
export interface ObservedClose {
  readonly code: number;
  readonly reason: string;
}

/**
 * A host with a real handshake and no scruples. The network between is expected not to lose anything: it repeats nothing.
 *
 * @example
 * ```ts
 * import { address } from "../base/address.ts";
 * import { selectProvider } from "../crypto/select.ts";
 * import { HostilePeer } from "./hostile_peer.ts";
 * import { SimulatedNetwork } from "./simulated_network.ts";
 * import { SimulatedNode } from "./simulated_node.ts";
 *
 * const crypto = selectProvider();
 * const network = new SimulatedNetwork({ seed: 1 });
 * const victim = new SimulatedNode(network, { address: address("10.0.0.1", 1), crypto });
 * const peer = new HostilePeer(network, { address: address("10.6.6.6", 6), crypto });
 * peer.connect(victim.address, victim.identity.publicKey);
 * network.run(() => peer.isEstablished);
 * peer.send({ type: "connection_max_data", limit: 0 }, { type: "handshake_done" });
 * network.run(() => peer.closed !== undefined);
 * console.log(peer.closed?.code); // 2: PROTOCOL_VIOLATION
 * ```
 */
export class HostilePeer implements SimulatedHost {
  readonly address: Address;
  readonly identity: KeyPair;
  readonly localId: ConnectionId;
  /** Frames that were received in protected packets, oldest first. */
  readonly frames: Frame[] = [];
  /** The CLOSE that was received, if there was one. */
  closed: ObservedClose | undefined;
  /** Bytes and datagrams that were received. */
  receivedBytes = 0;
  receivedDatagrams = 0;
  /** Handshake messages that were received, oldest first. */
  readonly handshakeMessages: HandshakeMessage[] = [];
  /** Number of the next protected packet. */
  nextPacketNumber = 0;
  /** The id that it addresses the other side with; that of the handshake unless it is changed. */
  remoteId: ConnectionId = ZERO_CONNECTION_ID;
  /** Key updates that lie behind what is sealed. Change it at will, forth or back. */
  epoch = 0;
  /** The last hello that was sent, as a whole UDP datagram. */
  hello: Uint8Array | undefined;
  #handshakePackets = 0;
  readonly #network: SimulatedNetwork;
  readonly #options: HostilePeerOptions;
  readonly #context: HandshakeContext;
  readonly #reader = new PacketReader();
  readonly #scratch = new Uint8Array(MAX_UDP_PAYLOAD_SIZE);
  readonly #received = new RangeSet();
  #initiator: InitiatorHandshake | undefined;
  #responder: ResponderHandshake | undefined;
  #remote: Address | undefined;
  #peerKey: Uint8Array | undefined;
  /** The keys that seal, by epoch; empty before the handshake. */
  readonly #sendKeys: PacketKeys[] = [];
  #receiveKeys: PacketKeys | undefined;

  /** Attaches itself to the network. It answers whoever says hello. */
  constructor(network: SimulatedNetwork, options: HostilePeerOptions) {
    const random = network.random.fork();
    const { crypto } = options;
    this.address = options.address;
    this.identity = options.identity ?? generateKeyPair(crypto.dh, random);
    this.localId = randomConnectionId(random);
    this.#network = network;
    this.#options = options;
    this.#context = {
      crypto,
      random,
      identity: this.identity,
      localId: this.localId,
      parameters: { ...defaultSettings, ...options.settings },
    };
    network.attach(this);
  }

  /** Whether it has the keys. */
  get isEstablished(): boolean {
    return this.#sendKeys.length > 0;
  }

  /** The highest number of a packet that has arrived; −1 before the first. */
  get largestReceived(): number {
    return this.#received.max;
  }

  /** Says hello: IK with the other side's key, XX without. */
  connect(remote: Address, peerKey?: Uint8Array): void {
    this.#remote = remote;
    this.#peerKey = peerKey;
    this.sayHello();
  }

  /** Says hello again, with another ephemeral key and, if there is one, a cookie. */
  sayHello(answer?: CookieAnswer): void {
    this.#initiator = new InitiatorHandshake(this.#context, this.#peerKey, answer);
    this.hello = this.#handshakePacket(this.#initiator.hello, ZERO_CONNECTION_ID);
    this.sendBytes(this.hello);
  }

  /** Sends the InitiatorFinish, the second time or, without `finishes`, the first. */
  sendFinish(): void {
    const finish = this.#initiator?.finish;
    if (finish === undefined) throw new TypeError("there is no finish to send yet");
    this.sendBytes(this.#handshakePacket(finish, this.remoteId));
  }

  /** Sends any handshake message to the other side's connection id. */
  sendHandshake(message: Uint8Array, version: number = WIRE_VERSION): void {
    this.sendBytes(this.#handshakePacket(message, this.remoteId, version));
  }

  /** Seals frames into one packet and sends it. */
  send(...frames: Frame[]): void {
    this.sendPlaintext(concatBytes(...frames.map(encodeFrame)));
  }

  /** Seals any plaintext and sends it, under the next packet number or another one. */
  sendPlaintext(plaintext: Uint8Array, packetNumber: number = this.nextPacketNumber): void {
    this.sendBytes(this.seal(plaintext, packetNumber));
  }

  /** Seals any plaintext. */
  seal(plaintext: Uint8Array, packetNumber: number = this.nextPacketNumber): Uint8Array {
    if (!this.isEstablished) throw new TypeError("there are no keys yet");
    while (this.#sendKeys.length <= this.epoch) this.#sendKeys.push(this.#sendKeys.at(-1)!.nextEpoch());
    const keys = this.#sendKeys[this.epoch], flags = (this.epoch & 1) === 1 ? PacketFlag.KEY_PHASE : 0;
    const out = new Uint8Array(PACKET_HEADER_SIZE + plaintext.length + 16);
    out.set(plaintext, PACKET_HEADER_SIZE);
    keys.seal(out, 0, PACKET_HEADER_SIZE + plaintext.length, this.remoteId, packetNumber, flags);
    this.nextPacketNumber = Math.max(this.nextPacketNumber, packetNumber + 1);
    return out;
  }

  /** Sends any bytes, from its own address or under a false one. */
  sendBytes(bytes: Uint8Array, from: Address = this.address): void {
    if (this.#remote === undefined) throw new TypeError("there is nobody to send to");
    this.#network.send(from, this.#remote, bytes);
  }

  receive(from: Address, bytes: Uint8Array): void {
    this.receivedBytes += bytes.length;
    this.receivedDatagrams++;
    this.#remote ??= from;
    const reader = this.#reader;
    reader.reset(bytes);
    while (reader.next()) {
      if (reader.isHandshake) this.#onHandshake(bytes.slice(reader.bodyStart, reader.end), reader.senderId);
      else this.#onProtected(bytes, reader.start, reader.end);
    }
  }

  #onHandshake(body: Uint8Array, senderId: ConnectionId): void {
    const message = decodeHandshakeMessage(body, 0, body.length);
    if (message === undefined) return;
    this.handshakeMessages.push(message);
    switch (message.kind) {
      case HandshakeKind.INITIATOR_HELLO: {
        if (this.#responder !== undefined || this.#initiator !== undefined) return;
        this.#responder = ResponderHandshake.accept(this.#context, message, senderId);
        if (this.#responder === undefined) return;
        this.remoteId = senderId;
        this.sendHandshake(this.#responder.hello);
        return;
      }
      case HandshakeKind.RETRY: {
        if (this.#initiator === undefined || this.#options.followsRetries === false) return;
        const retry = readRetry(message, this.#initiator.helloHash);
        if (retry !== undefined) this.sayHello({ cookie: retry.cookie, nonce: this.#work(retry) });
        return;
      }
      case HandshakeKind.RESPONDER_HELLO: {
        const result = this.#initiator?.onResponderHello(message, senderId);
        if (result === undefined) return;
        this.remoteId = senderId;
        this.#installKeys(result);
        if (this.#options.finishes !== false) this.sendFinish();
        return;
      }
      case HandshakeKind.INITIATOR_FINISH: {
        const result = this.#responder?.onInitiatorFinish(message, senderId);
        if (result === undefined || this.isEstablished) return;
        this.#installKeys(result);
        this.send({ type: "handshake_done" });
        return;
      }
      default:
        return;
    }
  }

  #work({ cookie, difficulty }: Retry): Uint8Array {
    const search = new WorkSearch(this.#options.crypto.sha256, cookie, difficulty);
    for (;;) {
      const nonce = search.step();
      if (nonce !== undefined) return nonce;
    }
  }

  #installKeys(result: HandshakeResult): void {
    const { crypto } = this.#options;
    const aead = result.suite === crypto.aes256gcm.suite ? crypto.aes256gcm : crypto.chacha20poly1305;
    this.#sendKeys.push(new PacketKeys(aead, crypto.sha256, result.sendSecret));
    this.#receiveKeys = new PacketKeys(aead, crypto.sha256, result.receiveSecret);
  }

  #onProtected(bytes: Uint8Array, start: number, end: number): void {
    const keys = this.#open(bytes, start, end);
    if (keys === undefined) return;
    const { frames } = decodeFrames(this.#scratch.slice(keys.plaintextStart, keys.plaintextEnd));
    this.#received.insert(keys.packetNumber, keys.packetNumber);
    this.frames.push(...frames);
    for (const frame of frames) {
      if (frame.type === "close") {
        this.closed ??= { code: frame.code, reason: new TextDecoder().decode(frame.reason) };
      }
    }
    const asks = frames.some(({ type }) => type !== "ack" && type !== "padding" && type !== "close");
    if (asks && this.#options.acknowledges !== false) this.acknowledge();
  }

  /** The keys that open a packet, which may be those of the next epoch; undefined if there are none. */
  #open(bytes: Uint8Array, start: number, end: number): PacketKeys | undefined {
    const keys = this.#receiveKeys;
    if (keys === undefined || keys.open(bytes, start, end, this.#scratch)) return keys;
    const next = keys.nextEpoch();
    if (!next.open(bytes, start, end, this.#scratch)) return undefined;
    this.#receiveKeys = next;
    return next;
  }

  /** Acknowledges everything that was received. */
  acknowledge(): void {
    const ranges = [...this.#received.descending()].slice(0, 32);
    if (ranges.length > 0) this.send({ type: "ack", largest: ranges[0].end, delay: 0, ranges });
  }

  #handshakePacket(message: Uint8Array, dst: ConnectionId, version: number = WIRE_VERSION): Uint8Array {
    const out = new Uint8Array(PACKET_HEADER_SIZE + message.length);
    writeHandshakePacket(out, 0, dst, this.#handshakePackets++, this.localId, version, message);
    return out;
  }
}

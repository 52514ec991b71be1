/**
 * The ways to the peer: the one in use, and those that are being asked whether the peer is there (RFC 9000 §8.2, §9; SPEC §9 "Paths").
 *
 * Only the initiator moves; the responder follows. It goes by the packet with the highest number: when that comes from a new address, the
 * address is challenged, and so is the old one. The connection moves once the new address has answered and still has sent the newest packet.
 * Until then everything goes where it went before, and the new address gets challenges alone, within three times what came from it. So whoever
 * copies packets, or lies about where they come from, gains nothing: he has no answer to the challenge; and if he passes it on, the peer's own
 * packets bring the connection back.
 *
 * @module
 */

import type { Address } from "../base/address.ts";
import { readU32 } from "../base/bytes.ts";
import type { Random } from "../base/random.ts";
import { type Micros, micros, NEVER } from "../base/time.ts";
import { MIN_PATH_DATAGRAM_SIZE } from "../wire/constants.ts";
import type { ConnectionIds } from "./connection_ids.ts";
import type { FrameReader } from "../wire/frame_reader.ts";
import type { PathFrames } from "./frame_handler.ts";
import type { PacketObserver } from "./loss_detection.ts";
import type { SentPacket } from "./sent_packets.ts";
import { MtuDiscovery, type MtuSettings } from "./mtu_discovery.ts";
import type { PacketSender } from "./packet_sender.ts";
import { LEAST_PROBE_SIZE, Path } from "./path.ts";
import { PathValidation } from "./path_validation.ts";

/** Addresses that may be asked at a time; packets from further ones are taken, and change nothing. */
export const MAX_CANDIDATES = 4;

/** What is counted about paths. */
export class PathCounters {
  /** Addresses that have answered a challenge. */
  pathsValidated = 0;
  /** Addresses that have answered none. */
  pathsFailed = 0;
  /** Addresses that were not asked because too many were being asked already. */
  pathsRefused = 0;
  /** Times that the connection went over to another path. */
  migrations = 0;
  /** PATH_CHALLENGEs that were not answered: too many at once, or from an address that is no path. */
  challengesIgnored = 0;
  /** PATH_RESPONSEs that answer no challenge, or one of another path. */
  responsesIgnored = 0;
}

/** What became of changes of address. */
export interface PathStats extends Readonly<PathCounters> {
  /** Times that a path turned out to carry only smaller datagrams than before. */
  readonly blackHoles: number;
  /** Ways to the peer, those that are being asked included. */
  readonly paths: number;
}

/** What moves along with the connection. */
export interface PathOwner {
  /** From now on `path` is in use, with datagrams of `size` bytes; `isSameWay` if only the peer's port has changed. */
  onMoved(now: Micros, path: Path, isSameWay: boolean, size: number): void;
  /** Datagrams have this size from now on; called whenever something is to be sent. */
  onSize(now: Micros, size: number): void;
  /** The path in use has answered the challenge that it got when we moved. */
  onValidated(now: Micros, path: Path): void;
  /** It has not. */
  onFailed(now: Micros, path: Path): void;
}

/** What paths are made of. */
export interface PathsOptions {
  readonly role: "initiator" | "responder";
  /** Where the peer is at first. */
  readonly remote: Address;
  /** Responders: whether a cookie has come back from there. */
  readonly validated: boolean;
  readonly random: Random;
  readonly settings: MtuSettings;
  readonly ids: ConnectionIds;
  readonly owner: PathOwner;
}

/** The paths of one connection. */
export class Paths implements PathFrames, PacketObserver {
  readonly counters: PathCounters = new PathCounters();
  /** Whether the handshake is confirmed: nobody's time is taken for larger datagrams before. */
  isConfirmed = false;
  /** Where the datagram of the last {@link transmit} goes. */
  transmitRemote: Address;
  readonly #options: PathsOptions;
  #active: Path;
  #mtu: MtuDiscovery;
  #peerTakes = Infinity;
  /** Those of former paths. */
  #blackHoles = 0;
  #candidates: Path[] = [];
  /** The highest packet number that has come, whichever way. */
  #newest = -1;
  /** The id that the peer last used on the path in use. */
  #idLow = 0;
  #idHigh = 0;

  // The UDP datagram that is being handled.
  #from: Address;
  #size = 0;
  #fromPath: Path | undefined;
  #isCredited = false;
  /** When its packet is handled, and the id that this is addressed to. */
  #now: Micros = micros(0);
  #packetIdLow = 0;
  #packetIdHigh = 0;

  /** Begins with the handshake's path. The initiator has chosen the address itself, so there is nothing to prove. */
  constructor(options: PathsOptions) {
    this.#options = options;
    this.#from = this.transmitRemote = options.remote;
    this.#mtu = new MtuDiscovery(options.remote.host, options.settings);
    const isInitiator = options.role === "initiator";
    this.#active = new Path(options.remote, isInitiator, isInitiator || options.validated);
  }

  /** The path in use. */
  get active(): Path {
    return this.#active;
  }

  /** The datagram size of the path in use. */
  get mtu(): MtuDiscovery {
    return this.#mtu;
  }

  /** Takes note of what the path in use carries, as far as is known by now. */
  settleSize(now: Micros, pto: Micros): void {
    this.#mtu.settle(pto);
    this.#options.owner.onSize(now, this.#mtu.size);
  }

  /** A datagram that is no probe has left on the path in use. */
  onSent(size: number): void {
    this.#active.onSent(size);
    this.#mtu.onSent(size);
  }

  /** The peer receives no datagrams above this. */
  limitSize(most: number): void {
    this.#peerTakes = most;
    this.#mtu.limit(most);
  }

  /** A snapshot. */
  stats(): PathStats {
    return {
      ...this.counters,
      blackHoles: this.#blackHoles + this.#mtu.blackHoles,
      paths: 1 + this.#candidates.length,
    };
  }

  /** Whether the datagram that is being handled has come from elsewhere than the path in use. */
  get isElsewhere(): boolean {
    return this.#from !== this.#active.remote && this.#from.key !== this.#active.remote.key;
  }

  /** A packet on the path in use has arrived. */
  onAcked(packet: SentPacket<unknown>): void {
    this.#mtu.onAcked(packet);
  }

  /** A packet on the path in use was lost. */
  onLost(packet: SentPacket<unknown>): void {
    this.#mtu.onLost(packet);
  }

  /** Whether more may be sent to an address than three times what came from it. */
  isValidated(address: Address): boolean {
    if (address.key === this.#active.remote.key) return this.#active.isValidated;
    return this.#candidate(address)?.isValidated === true;
  }

  /** A UDP datagram has arrived. From elsewhere it earns no credit before one of its packets is authentic: its sender may be anybody. */
  onDatagram(from: Address, size: number): void {
    this.#from = from;
    this.#size = size;
    this.#fromPath = undefined;
    this.#isCredited = false;
    if (!this.#active.isProven && !this.isElsewhere) this.#active.onReceived(size);
  }

  /**
   * A packet of it is authentic and new. It begins at `start` of `bytes`.
   *
   * @param pto how long an answer may take
   */
  onPacket(now: Micros, packetNumber: number, pto: Micros, bytes: Uint8Array, start: number): void {
    this.#now = now;
    this.#packetIdLow = readU32(bytes, start);
    this.#packetIdHigh = readU32(bytes, start + 4);
    const isNewest = packetNumber > this.#newest;
    if (isNewest) this.#newest = packetNumber;
    if (!this.isElsewhere) {
      this.#fromPath = this.#active;
      if (!isNewest) return;
      this.#active.newest = packetNumber;
      this.#idLow = this.#packetIdLow;
      this.#idHigh = this.#packetIdHigh;
      return;
    }
    if (this.#options.role === "initiator") return;
    let path = this.#candidate(this.#from);
    if (path === undefined && isNewest) path = this.#ask(now, pto);
    this.#fromPath = path;
    if (path === undefined) return;
    if (!this.#isCredited) path.onReceived(this.#size);
    this.#isCredited = true;
    if (!isNewest) return;
    path.newest = packetNumber;
    if (path.isProven) this.#move(now, path);
  }

  /** A PATH_CHALLENGE in the packet that is being handled: it is answered the way that it came. */
  onChallenge(data: Uint8Array): void {
    const path = this.#fromPath;
    // Of several only the last one is answered.
    if (path === undefined || path.response !== undefined) this.counters.challengesIgnored++;
    if (path !== undefined) path.response = data;
  }

  /** A PATH_RESPONSE in the packet that is being handled. */
  onResponse(data: Uint8Array): void {
    const path = this.#fromPath, now = this.#now;
    const roundTrip = path?.validation?.answeredAfter(now, data);
    if (path === undefined || roundTrip === undefined) {
      this.counters.responsesIgnored++;
      return;
    }
    path.validation = undefined;
    path.prove();
    path.roundTrip = roundTrip;
    this.counters.pathsValidated++;
    if (path === this.#active) this.#options.owner.onValidated(now, path);
    else if (path.newest === this.#newest) this.#move(now, path);
  }

  /** A NEW_CONNECTION_ID, in the reader's fields; 0 or the code to close with. */
  onNewConnectionId(reader: FrameReader): number {
    return this.#options.ids.remote.onNew(reader);
  }

  /** A RETIRE_CONNECTION_ID in the packet that is being handled; 0 or the code to close with. */
  onRetireConnectionId(sequence: number): number {
    return this.#options.ids.local.retire(sequence, this.#packetIdLow, this.#packetIdHigh);
  }

  /**
   * Our own address has changed. The peer follows as soon as it has validated the new path. False, and nothing has changed, if the peer has given
   * us no id to move with.
   */
  changeLocalAddress(now: Micros, pto: Micros): boolean {
    const { remote } = this.#options.ids;
    const id = remote.take();
    if (id === undefined) return false;
    const path = new Path(this.#active.remote, true, true, id);
    path.validation = new PathValidation(now, pto, this.#options.random);
    this.#candidates = [];
    this.#move(now, path);
    return true;
  }

  /** When {@link onTimeout} or {@link transmit} has something to do. */
  get wakeAt(): Micros {
    let at = this.#active.wakeAt;
    for (const path of this.#candidates) at = micros(Math.min(at, path.wakeAt));
    return at;
  }

  /** Gives up paths that have not answered in time, and those that have, but that the peer does not use. */
  onTimeout(now: Micros): void {
    const { active } = this;
    if (active.validation !== undefined && active.validation.deadline <= now) {
      active.validation = undefined;
      // A responder that asks the old path along with the new one learns nothing from its silence.
      if (this.#options.role === "initiator") {
        this.counters.pathsFailed++;
        this.#options.owner.onFailed(now, active);
      }
    }
    if (this.#candidates.every(({ wakeAt }) => wakeAt > now)) return;
    this.#candidates = this.#candidates.filter((path) => {
      if (path.until > now) return true;
      if (path.id !== undefined) this.#options.ids.remote.drop(path.id);
      if (!path.isProven) this.counters.pathsFailed++;
      return false;
    });
  }

  /**
   * Fills `out` with a UDP datagram that challenges a path, answers a challenge, or tries a larger size, if one is due; returns its size, else 0.
   * {@link transmitRemote} says where it goes.
   */
  transmit(now: Micros, out: Uint8Array, sender: PacketSender): number {
    const size = this.#probe(now, out, sender, this.#active);
    if (size > 0) return size;
    for (const path of this.#candidates) {
      const size = this.#probe(now, out, sender, path);
      if (size > 0) return size;
    }
    return this.isConfirmed ? this.#probeSize(now, out, sender) : 0;
  }

  /** Finds out whether the path in use carries larger datagrams, if it is time for that. */
  #probeSize(now: Micros, out: Uint8Array, sender: PacketSender): number {
    const size = sender.sendMtuProbe(now, out, this.#mtu.probeSize(now, out.length));
    if (size === 0) return 0;
    this.#mtu.onProbeSent();
    this.transmitRemote = this.#active.remote;
    return size;
  }

  #probe(now: Micros, out: Uint8Array, sender: PacketSender, path: Path): number {
    const isDue = path.validation?.isDue(now) === true;
    const response = path.responseAt <= now ? path.response : undefined;
    if (!isDue && response === undefined) return 0;
    if (path.allows(LEAST_PROBE_SIZE) < LEAST_PROBE_SIZE) return 0;
    const challenge = isDue ? path.validation?.challenge(now) : undefined;
    const { remote } = this.#options.ids;
    const id = path.id !== undefined && remote.isUsable(path.id) ? path.id : remote.current!;
    // As long as all that a path has to carry, so that the answer says that it does (RFC 9000 §8.2.1); where that is more than may be sent yet, as
    // short as possible, so that what may be sent lasts for another try.
    const isLong = path.allows(MIN_PATH_DATAGRAM_SIZE) === MIN_PATH_DATAGRAM_SIZE;
    const size = sender.sendPathProbe(now, out, id.id, challenge, response, isLong ? MIN_PATH_DATAGRAM_SIZE : 0);
    if (response !== undefined) path.onResponseSent(now);
    path.onSent(size);
    this.transmitRemote = path.remote;
    return size;
  }

  #candidate(address: Address): Path | undefined {
    for (const path of this.#candidates) if (path.remote.key === address.key) return path;
    return undefined;
  }

  /** Begins to ask whether the peer is where the datagram came from. */
  #ask(now: Micros, pto: Micros): Path | undefined {
    if (this.#candidates.length >= MAX_CANDIDATES) {
      this.counters.pathsRefused++;
      return undefined;
    }
    const { ids, random } = this.#options;
    // A peer that moves on purpose takes another id, and so do we. One whose packets have only been rewritten on the way does not know of it, and
    // whoever copies packets must not use up our ids (RFC 9000 §9.5).
    const isDeliberate = this.#packetIdLow !== this.#idLow || this.#packetIdHigh !== this.#idHigh;
    const path = new Path(this.#from, false, false, isDeliberate ? ids.remote.take() : undefined);
    path.validation = new PathValidation(now, pto, random);
    path.until = path.validation.deadline;
    this.#candidates.push(path);
    // The peer's own packets from where it was, if it still is there, are what shows a copy for what it is (RFC 9000 §9.3.3).
    this.#active.validation ??= new PathValidation(now, pto, random);
    return path;
  }

  #move(now: Micros, path: Path): void {
    const before = this.#active;
    const { role, settings, ids, owner } = this.#options;
    this.#active = path;
    path.until = NEVER;
    this.#idLow = this.#packetIdLow;
    this.#idHigh = this.#packetIdHigh;
    this.#candidates = this.#candidates.filter((other) => other !== path);
    if (path.id !== undefined && ids.remote.isUsable(path.id)) ids.remote.use(path.id);
    this.counters.migrations++;
    // A responder that sees only the port change is still on the same way.
    const isSameWay = role === "responder" && path.remote.host === before.remote.host;
    if (isSameWay) this.#mtu.forget();
    else {
      this.#blackHoles += this.#mtu.blackHoles;
      this.#mtu = new MtuDiscovery(path.remote.host, settings);
      this.#mtu.limit(this.#peerTakes);
    }
    owner.onMoved(now, path, isSameWay, this.#mtu.size);
  }
}

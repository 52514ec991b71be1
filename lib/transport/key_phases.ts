/**
 * Key phases: which epoch's keys seal and open packets, when to go on to the next ones, and which updates a peer may make
 * (SPEC §6.1, after RFC 9001 §6).
 *
 * Both directions change together: whoever opens a packet of a new epoch answers in that epoch. The sending side is therefore
 * at most one epoch ahead of the receiving one, while an update of ours waits for the peer to follow.
 *
 * @module
 */

import { type Micros, micros, millis, NEVER } from "../base/time.ts";
import type { Aead, CryptoProvider, Hash } from "../crypto/types.ts";
import type { ConnectionId } from "../wire/connection_id.ts";
import { PacketFlag } from "../wire/constants.ts";
import { MAX_CLOSES } from "./close_state.ts";
import type { HandshakeResult } from "./handshake.ts";
import { PacketKeys } from "./packet_protection.ts";
import type { TransportSettings } from "./settings.ts";

/** What became of a packet that was to be opened. */
export const OpenResult = {
  /** It is authentic: see {@link KeyPhases.packetNumber} and the fields beside it. */
  OPENED: 0,
  /** It did not authenticate. Nothing has changed. */
  UNAUTHENTIC: 1,
  /** Its number says that it belongs to an epoch whose keys are gone. It was not even tried. */
  OLD_KEYS: 2,
  /** It is authentic, and breaks the rules of key updates: close with KEY_UPDATE. */
  KEY_UPDATE: 3,
  /** It did not authenticate, like too many before it: close with KEY_LIMIT. */
  KEY_LIMIT: 4,
} as const;
/** One of {@link OpenResult}. */
export type OpenResult = typeof OpenResult[keyof typeof OpenResult];

/** Packets that may fail to open on a connection, under all of its keys together (RFC 9001 §6.6). */
export const FORGERY_LIMIT = 2 ** 36;
/** Probe timeouts for which the keys of the last epoch are kept, and between the acknowledgement of an epoch and the next (RFC 9001 §6.5). */
const KEPT_PTOS = 3;
/** Share of a key's time or packets after which the next keys are made: late, because most connections never need them, and they take memory. */
const PREPARED_SHARE = 7 / 8;
/**
 * A peer that keeps to the rules waits for three probe timeouts, which are never below 3 ms. We cannot see whether it has waited, but who
 * comes three times as often for long is flooding us: every update costs us as much as five to eight packets.
 */
const PEER_UPDATE_SPACING = millis(1);
/** Updates of the peer that may come at once, because the network held them back or the peer knows no better. */
const PEER_UPDATE_BURST = 64;

/** What {@link KeyPhases} is made of. */
export interface KeyPhasesOptions {
  readonly aead: Aead;
  readonly hash: Hash;
  /** The first epoch's secret of what we send. */
  readonly sendSecret: Uint8Array;
  /** The first epoch's secret of what we receive. */
  readonly receiveSecret: Uint8Array;
  /** Time after which a sending key is replaced; 0: as soon as the rules allow it. */
  readonly updateInterval: Micros;
  /** Sealed packets after which a sending key is replaced. */
  readonly updatePackets: number;
  /** Probe timeout without back-off, as it is now. */
  readonly pto: () => Micros;
  /** {@link FORGERY_LIMIT} unless a test says otherwise. */
  readonly forgeryLimit?: number;
}

/**
 * The keys of both directions of a connection, through all of their epochs.
 *
 * @example
 * ```ts
 * import { micros, millis } from "../base/time.ts";
 * import { nobleProvider } from "../crypto/mod.ts";
 * import { ConnectionId } from "../wire/connection_id.ts";
 * import { KeyPhases, OpenResult } from "./key_phases.ts";
 *
 * const { chacha20poly1305: aead, sha256: hash } = nobleProvider;
 * const there = new Uint8Array(32).fill(1), back = new Uint8Array(32).fill(2);
 * const shared = { aead, hash, updateInterval: micros(0), updatePackets: 2 ** 20, pto: () => millis(100) };
 * const a = new KeyPhases(micros(0), { ...shared, sendSecret: there, receiveSecret: back });
 * const b = new KeyPhases(micros(0), { ...shared, sendSecret: back, receiveSecret: there });
 * const packet = new Uint8Array(49), scratch = new Uint8Array(1200), id = new ConnectionId(new Uint8Array(8).fill(7));
 *
 * a.updateIfDue(micros(0)); // not yet: nothing that was sealed with this key has been acknowledged
 * const end = a.seal(packet, 0, 33, id, 0, 0);
 * b.open(micros(1), packet, 0, end, scratch) === OpenResult.OPENED; // true
 * ```
 */
export class KeyPhases {
  /** After {@link open} said OPENED: the packet's number. */
  packetNumber = 0;
  /** After {@link open} said OPENED: the packet's flags. */
  flags = 0;
  /** After {@link open} said OPENED: where the plaintext begins in the scratch buffer. */
  plaintextStart = 0;
  /** After {@link open} said OPENED: where the plaintext ends in the scratch buffer. */
  plaintextEnd = 0;
  /** Key updates that this side began. */
  updatesSent = 0;
  /** Key updates that the peer began, and that this side followed. */
  updatesReceived = 0;
  readonly #pto: () => Micros;
  readonly #updateInterval: Micros;
  readonly #forgeryLimit: number;
  readonly #updatePackets: number;
  readonly #preparePackets: number;

  #sendEpoch = 0;
  #sendKeys: PacketKeys;
  #nextSendKeys: PacketKeys | undefined;
  /** Number of the first packet that the sending keys sealed; −1 before there is one. */
  #firstSent = -1;
  /** When the sending keys have been in use for long enough. */
  #updateAt: Micros;
  /** From when on we may begin an update; NEVER until a packet of this epoch has been acknowledged. */
  #mayUpdateAt: Micros = NEVER;
  /** When the next epoch's keys are made, unless {@link #preparePackets} were sealed before, … */
  #prepareAt: Micros = NEVER;
  /** … but never before this. NEVER, both, as long as {@link #mayUpdateAt} is. */
  #prepareFrom: Micros = NEVER;

  #receiveEpoch = 0;
  #receiveKeys: PacketKeys;
  #nextReceiveKeys: PacketKeys | undefined;
  #oldReceiveKeys: PacketKeys | undefined;
  /** Lowest and highest number opened in this epoch, and in the one before. Epochs follow one another in the order of the numbers. */
  #lowest = 0;
  #highest = -1;
  #lowestBefore = 0;
  #highestBefore = -1;
  /** Whether the peer can know that a packet of this epoch has arrived: only then may it begin an update. */
  #ackSent = false;
  /** Grows by {@link PEER_UPDATE_SPACING} with each update of the peer; how far it is ahead of the time says how many came too early. */
  #peerUpdatesPaid: Micros = micros(0);
  /** Epoch of the packet that was opened last. */
  #openedEpoch = 0;
  /** Packets that failed to open under keys that are gone. */
  #forgeriesBefore = 0;

  #dropAt: Micros = NEVER;

  /** The first epoch begins at `now`. The secrets are not kept. */
  constructor(now: Micros, options: KeyPhasesOptions) {
    this.#pto = options.pto;
    this.#updateInterval = options.updateInterval;
    this.#forgeryLimit = options.forgeryLimit ?? FORGERY_LIMIT;
    this.#sendKeys = new PacketKeys(options.aead, options.hash, options.sendSecret);
    this.#receiveKeys = new PacketKeys(options.aead, options.hash, options.receiveSecret);
    // Half a key's limit leaves room for an update that has to wait for an acknowledgement.
    this.#updatePackets = Math.min(options.updatePackets, this.#sendKeys.sealLimit / 2);
    this.#preparePackets = PREPARED_SHARE * this.#updatePackets;
    this.#updateAt = micros(now + options.updateInterval);
  }

  /** The keys that a handshake has agreed on. */
  static begin(
    now: Micros,
    result: HandshakeResult,
    crypto: CryptoProvider,
    settings: TransportSettings,
    pto: () => Micros,
  ): KeyPhases {
    return new KeyPhases(now, {
      aead: result.suite === crypto.aes256gcm.suite ? crypto.aes256gcm : crypto.chacha20poly1305,
      hash: crypto.sha256,
      sendSecret: result.sendSecret,
      receiveSecret: result.receiveSecret,
      updateInterval: settings.keyUpdateInterval,
      updatePackets: settings.keyUpdatePackets,
      pto,
    });
  }

  /** How many updates lie behind the keys that seal. */
  get sendEpoch(): number {
    return this.#sendEpoch;
  }

  /** How many updates lie behind the newest keys that have opened a packet. */
  get receiveEpoch(): number {
    return this.#receiveEpoch;
  }

  /** Packets that reached the AEAD and did not authenticate, under all keys. */
  get forgeries(): number {
    return this.#forgeriesBefore + this.#receiveKeys.failedPackets + (this.#nextReceiveKeys?.failedPackets ?? 0) +
      (this.#oldReceiveKeys?.failedPackets ?? 0);
  }

  /** Whether the sending key may only seal a CLOSE any more, since every attempt to replace it went without an acknowledgement. */
  get isUsedUp(): boolean {
    return this.#sendKeys.sealedPackets >= this.#sendKeys.sealLimit - MAX_CLOSES;
  }

  /** The keys that seal now. */
  get sendKeys(): PacketKeys {
    return this.#sendKeys;
  }

  // Sending.

  /**
   * Goes on to the next epoch if the sending key has served long enough and the rules allow it. Before every packet. The keys for
   * that are made some packets before, so that the time that a packet takes does not tell that it begins an epoch (RFC 9001 §6.3).
   */
  updateIfDue(now: Micros): void {
    const { sealedPackets } = this.#sendKeys;
    if (now < this.#prepareAt && sealedPackets < this.#preparePackets) return;
    if (now >= this.#mayUpdateAt && (now >= this.#updateAt || sealedPackets >= this.#updatePackets)) {
      this.updatesSent++;
      this.#advanceSending(now);
    } else if (now >= this.#prepareFrom) {
      this.#nextReceiveKeys ??= this.#receiveKeys.nextEpoch();
      this.#nextSendKeys ??= this.#sendKeys.nextEpoch();
    }
  }

  /** {@link PacketKeys.seal} with the keys, and the KEY_PHASE, of the present epoch. */
  seal(
    out: Uint8Array,
    start: number,
    plaintextEnd: number,
    dst: ConnectionId,
    packetNumber: number,
    flags: number,
  ): number {
    if (this.#firstSent < 0) this.#firstSent = packetNumber;
    // Whatever opened the present epoch has arrived, so every ACK from then on tells of it.
    if ((flags & PacketFlag.ACK) !== 0) this.#ackSent = true;
    return this.#sendKeys.seal(out, start, plaintextEnd, dst, packetNumber, flags | phaseOf(this.#sendEpoch));
  }

  /**
   * The packet that was opened last acknowledges packets up to `largest`, which was sent. False if the peer has opened a packet of
   * an epoch and answers in an older one, so does not keep to the rules: close with KEY_UPDATE.
   */
  onAck(now: Micros, largest: number): boolean {
    if (this.#firstSent < 0 || largest < this.#firstSent) return true;
    if (this.#openedEpoch < this.#sendEpoch) return false;
    if (this.#mayUpdateAt === NEVER) {
      const pto = this.#pto();
      this.#mayUpdateAt = micros(now + KEPT_PTOS * pto);
      // Not with the packets that answer the one that began the epoch.
      this.#prepareFrom = micros(now + pto);
      const late = this.#updateAt - (1 - PREPARED_SHARE) * this.#updateInterval;
      this.#prepareAt = micros(Math.max(late, this.#prepareFrom));
    }
    return true;
  }

  #advanceSending(now: Micros): void {
    this.#sendKeys = this.#nextSendKeys ?? this.#sendKeys.nextEpoch();
    this.#nextSendKeys = undefined;
    this.#sendEpoch++;
    this.#firstSent = -1;
    this.#mayUpdateAt = this.#prepareAt = this.#prepareFrom = NEVER;
    this.#updateAt = micros(now + this.#updateInterval);
  }

  // Receiving.

  /**
   * Opens a packet, as {@link PacketKeys.open} does, with the keys of its epoch. Its number says which of two epochs with the same
   * KEY_PHASE that is, so one attempt is enough, and nothing changes unless that succeeds.
   */
  open(now: Micros, datagram: Uint8Array, start: number, end: number, scratch: Uint8Array): OpenResult {
    const keys = this.#receiveKeys;
    if (!keys.unmask(datagram, start, end)) return OpenResult.UNAUTHENTIC;
    const { packetNumber } = keys;
    if ((keys.flags & PacketFlag.KEY_PHASE) !== phaseOf(this.#receiveEpoch)) {
      return packetNumber < this.#lowest
        ? this.#openOld(datagram, start, end, scratch)
        : this.#openNext(now, datagram, start, end, scratch);
    }
    // Below everything that the epoch before has had, it comes from the one before that.
    if (packetNumber < this.#lowestBefore) return OpenResult.OLD_KEYS;
    if (!keys.decrypt(datagram, start, end, scratch)) return this.#onForgery();
    if (packetNumber < this.#lowest) {
      if (packetNumber < this.#highestBefore) return OpenResult.KEY_UPDATE;
      this.#lowest = packetNumber;
    }
    if (packetNumber > this.#highest) this.#highest = packetNumber;
    return this.#onOpened(keys, this.#receiveEpoch);
  }

  #openOld(datagram: Uint8Array, start: number, end: number, scratch: Uint8Array): OpenResult {
    const keys = this.#oldReceiveKeys;
    if (keys === undefined) return OpenResult.OLD_KEYS;
    if (!keys.open(datagram, start, end, scratch)) return this.#onForgery();
    const { packetNumber } = keys;
    if (packetNumber > this.#highestBefore) this.#highestBefore = packetNumber;
    return this.#onOpened(keys, this.#receiveEpoch - 1);
  }

  #openNext(now: Micros, datagram: Uint8Array, start: number, end: number, scratch: Uint8Array): OpenResult {
    const keys = this.#nextReceiveKeys ??= this.#receiveKeys.nextEpoch();
    if (!keys.open(datagram, start, end, scratch)) return this.#onForgery();
    const { packetNumber } = keys;
    // RFC 9001 §6.4: a number from before the update.
    if (packetNumber < this.#highest) return OpenResult.KEY_UPDATE;
    // If we are ahead, the peer merely follows.
    const begins = this.#sendEpoch === this.#receiveEpoch;
    if (begins && !this.#mayPeerBegin(now)) return OpenResult.KEY_UPDATE;
    this.#dropOldKeys();
    this.#oldReceiveKeys = this.#receiveKeys;
    this.#receiveKeys = keys;
    this.#nextReceiveKeys = undefined;
    this.#receiveEpoch++;
    this.#lowestBefore = this.#lowest;
    this.#highestBefore = this.#highest;
    this.#lowest = this.#highest = packetNumber;
    this.#ackSent = false;
    this.#dropAt = micros(now + KEPT_PTOS * this.#pto());
    if (begins) {
      this.updatesReceived++;
      this.#advanceSending(now);
    }
    return this.#onOpened(keys, this.#receiveEpoch);
  }

  #mayPeerBegin(now: Micros): boolean {
    // RFC 9001 §6.2: it cannot know that we have the present keys.
    if (!this.#ackSent) return false;
    const paid = micros(Math.max(now, this.#peerUpdatesPaid) + PEER_UPDATE_SPACING);
    this.#peerUpdatesPaid = paid;
    return paid - now <= PEER_UPDATE_BURST * PEER_UPDATE_SPACING;
  }

  #onOpened(keys: PacketKeys, epoch: number): OpenResult {
    this.packetNumber = keys.packetNumber;
    this.flags = keys.flags;
    this.plaintextStart = keys.plaintextStart;
    this.plaintextEnd = keys.plaintextEnd;
    this.#openedEpoch = epoch;
    return OpenResult.OPENED;
  }

  #onForgery(): OpenResult {
    return this.forgeries >= this.#forgeryLimit ? OpenResult.KEY_LIMIT : OpenResult.UNAUTHENTIC;
  }

  #dropOldKeys(): void {
    this.#forgeriesBefore += this.#oldReceiveKeys?.failedPackets ?? 0;
    this.#oldReceiveKeys = undefined;
    this.#dropAt = NEVER;
  }

  // Time.

  /** When {@link onTimeout} wants to be called; NEVER if there is no need. */
  get deadline(): Micros {
    return this.#dropAt;
  }

  /** Drops the keys of the last epoch if their time is over. */
  onTimeout(now: Micros): void {
    if (this.#dropAt <= now) this.#dropOldKeys();
  }
}

/** The bit by which an epoch is told from its neighbours. */
function phaseOf(epoch: number): number {
  return (epoch & 1) === 0 ? 0 : PacketFlag.KEY_PHASE;
}

/**
 * Stateless resets: how a node that knows nothing of a connection any more tells the peer so (SPEC §6 "Stateless reset").
 *
 * @module
 */

import { writeU16 } from "../base/bytes.ts";
import type { Random } from "../base/random.ts";
import { hkdf } from "../crypto/hkdf.ts";
import type { Hash } from "../crypto/types.ts";
import type { ConnectionId } from "../wire/connection_id.ts";
import type { TokenRegister } from "./remote_ids.ts";
import {
  HeaderOffset,
  MIN_PROTECTED_BODY_SIZE,
  PACKET_HEADER_SIZE,
  PacketFlag,
  RESET_TOKEN_SIZE,
} from "../wire/constants.ts";

/** The smallest packet that could be a protected one; a reset is never smaller. */
export const MIN_RESET_SIZE = PACKET_HEADER_SIZE + MIN_PROTECTED_BODY_SIZE;
/** By how much a reset may be longer, so that not all of them have one length. */
const MOST_EXTRA = 31;
const NO_SALT = new Uint8Array(0);

/**
 * The tokens of a node's own connection ids. They follow from its static key, so a node that was killed and started again
 * with the same key still knows them.
 */
export class ResetTokens {
  readonly #hash: Hash;
  readonly #key: Uint8Array;

  constructor(hash: Hash, staticPrivateKey: Uint8Array) {
    this.#hash = hash;
    this.#key = hkdf(hash, NO_SALT, staticPrivateKey, "mxp1 reset", 32);
  }

  /** The token of an id: whoever shows it was told by us, or is us. */
  of(id: ConnectionId): Uint8Array {
    return this.#hash.hmac(this.#key, id.bytes).slice(0, RESET_TOKEN_SIZE);
  }

  /**
   * A reset for the id that a packet of `size` bytes was sent to; undefined if that packet was too small to be answered with a smaller one.
   * Every answer being smaller is what ends a quarrel of two nodes that both know nothing.
   */
  packet(id: ConnectionId, size: number, random: Pick<Random, "fillPublic">): Uint8Array | undefined {
    if (size <= MIN_RESET_SIZE) return undefined;
    const filler = new Uint8Array(MIN_RESET_SIZE + MOST_EXTRA);
    random.fillPublic(filler);
    const length = Math.min(size - 1, MIN_RESET_SIZE + (filler[HeaderOffset.RESERVED] % (MOST_EXTRA + 1)));
    const packet = filler.slice(0, length);
    packet[HeaderOffset.FLAGS] &= ~PacketFlag.HANDSHAKE;
    packet[HeaderOffset.RESERVED] = 0;
    // Id 0 would make a hello of it.
    packet[HeaderOffset.DESTINATION] |= 1;
    writeU16(packet, HeaderOffset.LENGTH, length - PACKET_HEADER_SIZE);
    packet.set(this.of(id), length - RESET_TOKEN_SIZE);
    return packet;
  }
}

/**
 * The tokens that peers have given us, and whose connection each would end. What arrives is looked up by a keyed hash of it, so
 * that the time of a look-up tells nothing about the tokens (RFC 9000 §10.3.1).
 */
export class PeerResetTokens<Owner> {
  readonly #hash: Hash;
  readonly #key: Uint8Array;
  readonly #owners = new Map<string, Owner>();
  readonly #names = new Map<Owner, Set<string>>();

  constructor(hash: Hash, staticPrivateKey: Uint8Array) {
    this.#hash = hash;
    this.#key = hkdf(hash, NO_SALT, staticPrivateKey, "mxp1 reset index", 32);
  }

  /** How many tokens there are. */
  get size(): number {
    return this.#owners.size;
  }

  /** A peer has given a token. The first owner of a token keeps it. */
  add(token: Uint8Array, owner: Owner): void {
    const name = this.#name(token);
    if (this.#owners.has(name)) return;
    this.#owners.set(name, owner);
    const names = this.#names.get(owner);
    if (names === undefined) this.#names.set(owner, new Set([name]));
    else names.add(name);
  }

  /** The connection id of a token is not used any more. */
  remove(token: Uint8Array, owner: Owner): void {
    const name = this.#name(token);
    if (this.#owners.get(name) !== owner) return;
    this.#owners.delete(name);
    this.#names.get(owner)?.delete(name);
  }

  /** The tokens of one connection. */
  of(owner: Owner): TokenRegister {
    return { add: (token) => this.add(token, owner), remove: (token) => this.remove(token, owner) };
  }

  /** A connection is over. */
  removeAll(owner: Owner): void {
    for (const name of this.#names.get(owner) ?? []) this.#owners.delete(name);
    this.#names.delete(owner);
  }

  /** Whose connection the packet at `start`–`end`, which belongs to nobody, resets. */
  find(bytes: Uint8Array, start: number, end: number): Owner | undefined {
    if (this.#owners.size === 0 || end - start < MIN_RESET_SIZE) return undefined;
    return this.#owners.get(this.#name(bytes.subarray(end - RESET_TOKEN_SIZE, end)));
  }

  #name(token: Uint8Array): string {
    return String.fromCharCode(...this.#hash.hmac(this.#key, token).subarray(0, RESET_TOKEN_SIZE));
  }
}

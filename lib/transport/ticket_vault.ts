/**
 * The responder's tickets (SPEC §5.1): seals what it wants to remember of a peer, gives it away, and takes it back once.
 *
 * Nothing of it survives the process. That is what makes "once" true: whoever has lost the record of used tickets has lost the keys that
 * could open them, too.
 *
 * @module
 */

import { bytesEqual, concatBytes, readSafeU64, readU32, writeSafeU64, writeU32 } from "../base/bytes.ts";
import type { Random } from "../base/random.ts";
import { type Micros, micros } from "../base/time.ts";
import { type AeadKey, type CryptoProvider, TAG_LENGTH } from "../crypto/types.ts";
import { UsedTickets } from "./used_tickets.ts";

/** What a ticket stands for. */
export interface TicketContents {
  /** The secret that the resumed handshake is made with, 32 bytes. */
  readonly psk: Uint8Array;
  /** The initiator's static key, proven when the ticket was given. */
  readonly peerKey: Uint8Array;
  /** When that key was proven by a full handshake. */
  readonly authenticatedAt: Micros;
}

/** Why a ticket is worth nothing. */
export type TicketRefusal = "unknown_key" | "malformed" | "expired" | "used";

/** A ticket that is good, and not used yet. */
export interface OpenedTicket extends TicketContents {
  /** Uses it up; false if that has happened since. Call it when everything else is right, before acting on it. */
  spend(): boolean;
}

const KEY_ID_LENGTH = 8;
const SEQUENCE_LENGTH = 4;
const PSK_LENGTH = 32;
const PEER_KEY_LENGTH = 32;
const PLAIN_LENGTH = PSK_LENGTH + PEER_KEY_LENGTH + 8 + 8;
const SEALED_AT = KEY_ID_LENGTH + SEQUENCE_LENGTH;
/** Bytes of our tickets; other implementations may have others. */
export const TICKET_LENGTH = SEALED_AT + PLAIN_LENGTH + TAG_LENGTH;
/** Tickets under one key: the bits of those used take at most 512 KiB. Then a new key begins, and tickets live shorter. */
const MAX_TICKETS_PER_KEY = 2 ** 22;

/** One ticket key. */
interface TicketKey {
  readonly id: Uint8Array;
  readonly aead: AeadKey;
  /** Hides the sequence number: how many tickets a node gives away is nobody's business, nor which came one after the other. */
  readonly maskKey: Uint8Array;
  readonly createdAt: Micros;
  readonly used: UsedTickets;
  next: number;
}

/**
 * Makes and takes tickets.
 *
 * @example
 * ```ts
 * import { micros, seconds } from "../base/time.ts";
 * import { selectProvider } from "../crypto/select.ts";
 * import { SeededRandom } from "../testing/seeded_random.ts";
 * import { TicketVault } from "./ticket_vault.ts";
 *
 * const vault = new TicketVault(selectProvider(), new SeededRandom(1), seconds(3600));
 * const contents = { psk: new Uint8Array(32), peerKey: new Uint8Array(32), authenticatedAt: micros(0) };
 * const ticket = vault.issue(micros(0), contents);
 * const opened = vault.open(micros(5), ticket);
 * if (typeof opened !== "string") opened.spend();
 * vault.open(micros(9), ticket); // "used"
 * ```
 */
export class TicketVault {
  /** How long a ticket is good. A key seals for as long, and opens for as long again. */
  readonly lifetime: Micros;
  readonly #crypto: CryptoProvider;
  readonly #random: Random;
  #current: TicketKey | undefined;
  #previous: TicketKey | undefined;

  constructor(crypto: CryptoProvider, random: Random, lifetime: Micros) {
    this.#crypto = crypto;
    this.#random = random;
    this.lifetime = lifetime;
  }

  /** A new ticket. */
  issue(now: Micros, contents: TicketContents): Uint8Array {
    const key = this.#keyFor(now);
    const sequence = key.next++;
    const plain = new Uint8Array(PLAIN_LENGTH);
    plain.set(contents.psk);
    plain.set(contents.peerKey, PSK_LENGTH);
    const at = writeSafeU64(plain, PSK_LENGTH + PEER_KEY_LENGTH, contents.authenticatedAt);
    writeSafeU64(plain, at, now);
    const ticket = new Uint8Array(TICKET_LENGTH);
    ticket.set(key.id);
    key.aead.seal(nonceOf(key, sequence), key.id, plain, ticket.subarray(SEALED_AT));
    plain.fill(0);
    writeU32(ticket, KEY_ID_LENGTH, (sequence ^ this.#mask(key, ticket)) >>> 0);
    return ticket;
  }

  /** Looks into a ticket; why not, if it is no good. Nothing is used up. */
  open(now: Micros, ticket: Uint8Array): OpenedTicket | TicketRefusal {
    if (ticket.length !== TICKET_LENGTH) return "malformed";
    const key = [this.#current, this.#previous].find((key) =>
      key !== undefined && bytesEqual(key.id, ticket.subarray(0, KEY_ID_LENGTH))
    );
    if (key === undefined) return "unknown_key";
    const sequence = (readU32(ticket, KEY_ID_LENGTH) ^ this.#mask(key, ticket)) >>> 0;
    const plain = new Uint8Array(PLAIN_LENGTH);
    if (!key.aead.open(nonceOf(key, sequence), key.id, ticket.subarray(SEALED_AT), plain)) return "malformed";
    const authenticatedAt = micros(readSafeU64(plain, PSK_LENGTH + PEER_KEY_LENGTH));
    const issuedAt = readSafeU64(plain, PSK_LENGTH + PEER_KEY_LENGTH + 8);
    if (now - issuedAt >= this.lifetime) return "expired";
    if (key.used.has(sequence)) return "used";
    return {
      psk: plain.slice(0, PSK_LENGTH),
      peerKey: plain.slice(PSK_LENGTH, PSK_LENGTH + PEER_KEY_LENGTH),
      authenticatedAt,
      spend: () => key.used.mark(sequence),
    };
  }

  #keyFor(now: Micros): TicketKey {
    const current = this.#current;
    if (current !== undefined && now - current.createdAt < this.lifetime && current.next < MAX_TICKETS_PER_KEY) {
      return current;
    }
    this.#previous = current;
    const id = new Uint8Array(KEY_ID_LENGTH), secret = new Uint8Array(64);
    this.#random.fillPublic(id);
    this.#random.fillSecret(secret);
    const key: TicketKey = {
      id,
      aead: this.#crypto.chacha20poly1305.key(secret.subarray(0, 32)),
      maskKey: secret.slice(32),
      createdAt: now,
      used: new UsedTickets(MAX_TICKETS_PER_KEY),
      next: 0,
    };
    secret.fill(0);
    return this.#current = key;
  }

  #mask(key: TicketKey, ticket: Uint8Array): number {
    return readU32(this.#crypto.sha256.hmac(key.maskKey, ticket.subarray(SEALED_AT)), 0);
  }
}

/** No nonce is used twice: ids are random, and the numbers under one of them count up. */
function nonceOf(key: TicketKey, sequence: number): Uint8Array {
  const number = new Uint8Array(SEQUENCE_LENGTH);
  writeU32(number, 0, sequence);
  return concatBytes(key.id, number);
}

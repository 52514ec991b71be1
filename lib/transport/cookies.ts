/**
 * Cookies: how a responder lets an initiator prove that it receives at its address, without remembering anything (SPEC §5 "Retry").
 *
 * @module
 */

import { concatBytes, constantTimeEqual, readU32, writeU32 } from "../base/bytes.ts";
import type { Address } from "../base/address.ts";
import type { Random } from "../base/random.ts";
import { type Micros, seconds } from "../base/time.ts";
import type { Hash } from "../crypto/types.ts";
import type { ConnectionId } from "../wire/connection_id.ts";
import type { CookieAnswer } from "../wire/handshake_message.ts";
import { provesWork } from "./proof_of_work.ts";

/** How long a cookie is good for: some repetitions of a hello. */
export const COOKIE_LIFETIME: Micros = seconds(15);
/** How long a secret makes cookies. It goes on to check them for as long again. */
const SECRET_LIFETIME = seconds(60);
/** Generation of the secret, difficulty, time in milliseconds. */
const HEADER_SIZE = 6;
const MAC_SIZE = 16;

/** What a cookie turned out to be. */
export type CookieVerdict = "valid" | "invalid" | "unworked";

interface Secret {
  readonly key: Uint8Array;
  readonly generation: number;
  readonly since: Micros;
}

/**
 * Makes cookies and checks them. All that a cookie says is in it, under a MAC whose key changes: a cookie is worth something to the
 * node that made it, from the address and for the connection id that it was made for, for a few seconds.
 */
export class Cookies {
  readonly #hash: Hash;
  readonly #random: Pick<Random, "fillSecret">;
  #current: Secret | undefined;
  #previous: Secret | undefined;

  /** The first secret is drawn when it is needed. */
  constructor(hash: Hash, random: Pick<Random, "fillSecret">) {
    this.#hash = hash;
    this.#random = random;
  }

  /** A cookie for whoever sent a hello from `remote`. */
  make(now: Micros, remote: Address, initiatorId: ConnectionId, difficulty: number): Uint8Array {
    const secret = this.#rotate(now);
    const header = new Uint8Array(HEADER_SIZE);
    header[0] = secret.generation;
    header[1] = difficulty;
    writeU32(header, 2, milliseconds(now));
    return concatBytes(header, this.#mac(secret, header, remote, initiatorId));
  }

  /** What a cookie is worth that came back. No secret is compared in a time that depends on it. */
  check(now: Micros, remote: Address, initiatorId: ConnectionId, answer: CookieAnswer): CookieVerdict {
    const { cookie, nonce } = answer;
    if (cookie.length !== HEADER_SIZE + MAC_SIZE) return "invalid";
    const secret = this.#secretOf(now, cookie[0]);
    if (secret === undefined) return "invalid";
    const header = cookie.subarray(0, HEADER_SIZE);
    const expected = this.#mac(secret, header, remote, initiatorId);
    if (!constantTimeEqual(cookie.subarray(HEADER_SIZE), expected)) return "invalid";
    // Authentic, so the time is one of ours; the difference also holds when the 32 bits wrap around.
    const age = (milliseconds(now) - readU32(header, 2)) >>> 0;
    if (age * 1000 > COOKIE_LIFETIME) return "invalid";
    return provesWork(this.#hash, cookie, nonce, header[1]) ? "valid" : "unworked";
  }

  #mac(secret: Secret, header: Uint8Array, remote: Address, initiatorId: ConnectionId): Uint8Array {
    const mac = this.#hash.hmac(secret.key, header, initiatorId.bytes, encoder.encode(remote.key));
    return mac.subarray(0, MAC_SIZE);
  }

  #secretOf(now: Micros, generation: number): Secret | undefined {
    this.#rotate(now);
    if (this.#current?.generation === generation) return this.#current;
    return this.#previous?.generation === generation ? this.#previous : undefined;
  }

  #rotate(now: Micros): Secret {
    const current = this.#current;
    if (current !== undefined && now - current.since < SECRET_LIFETIME) return current;
    const key = new Uint8Array(32);
    this.#random.fillSecret(key);
    this.#previous = current;
    return this.#current = { key, generation: ((current?.generation ?? 0) + 1) & 0xff, since: now };
  }
}

const encoder = new TextEncoder();

/** Whole milliseconds, the low 32 bits. */
function milliseconds(now: Micros): number {
  return Math.floor(now / 1000) >>> 0;
}

/**
 * Who may start a handshake: what is decided about a hello before anything expensive is done for it (SPEC §5 "Retry", ADR 0012).
 *
 * @module
 */

import { type Address, isLoopback } from "../base/address.ts";
import type { Random } from "../base/random.ts";
import type { Micros } from "../base/time.ts";
import { hkdf } from "../crypto/hkdf.ts";
import type { Hash } from "../crypto/types.ts";
import type { ConnectionId } from "../wire/connection_id.ts";
import { type CookieAnswer, encodeRetry } from "../wire/handshake_message.ts";
import { Cookies } from "./cookies.ts";
import { AddressLimits, RateLimit } from "./rate_limit.ts";
import type { TransportSettings } from "./settings.ts";

/** What becomes of a hello. */
export type Admission =
  /** Handled; nothing is known about its address. */
  | "unvalidated"
  /** Handled; its sender receives at its address. */
  | "validated"
  /** Answered with a Retry. */
  | "retry"
  /** Dropped. */
  | "drop";

/** What the gate counts. */
export interface GateCounters {
  /** Hellos that were answered with a Retry. */
  retriesSent: number;
  /** Hellos with a cookie that proves their address. */
  cookiesAccepted: number;
  /** Hellos with a cookie that was forged, made for somebody else, or too old. */
  cookiesRejected: number;
  /** Hellos with a good cookie and without the work that it asks for. */
  workMissing: number;
  /** Hellos dropped because too many came from one address. */
  helloRateLimited: number;
  /** Hellos dropped because too many came altogether. */
  helloBudgetExceeded: number;
}

/** How long a limit lets its owner be ahead of it: the burst is this many seconds' worth. */
const BURST_SECONDS = 2;
const NO_SALT = new Uint8Array(0);

/**
 * The gate of one endpoint.
 *
 * A hello without a good cookie may come from anybody, in anybody's name. So what is too much of those is never held against the
 * address that they name: it only makes the responder ask for a cookie. Limits that turn hellos away apply to addresses that are proven.
 */
export class HelloGate {
  readonly #settings: TransportSettings;
  readonly #counters: GateCounters;
  readonly #cookies: Cookies;
  readonly #unproven: AddressLimits;
  readonly #proven: AddressLimits;
  /** Hellos without a cookie, all together: beyond this we are under load. */
  readonly #load: RateLimit;
  /** Hellos that cost a key agreement, all together. */
  readonly #budget: RateLimit;

  constructor(
    settings: TransportSettings,
    counters: GateCounters,
    hash: Hash,
    random: Random,
    staticPrivateKey: Uint8Array,
  ) {
    this.#settings = settings;
    this.#counters = counters;
    this.#cookies = new Cookies(hash, random);
    const key = hkdf(hash, NO_SALT, staticPrivateKey, "mxp1 hello limits", 32);
    const { helloRate, retryRate, helloBudget } = settings;
    this.#unproven = new AddressLimits(helloRate, BURST_SECONDS * helloRate, hash, key);
    this.#proven = new AddressLimits(helloRate, BURST_SECONDS * helloRate, hash, key);
    this.#load = new RateLimit(retryRate, BURST_SECONDS * retryRate);
    this.#budget = new RateLimit(helloBudget, BURST_SECONDS * helloBudget);
  }

  /**
   * Decides about a hello that begins a new handshake.
   *
   * @param halfOpen how many handshakes have a peer that has proven nothing
   */
  admit(
    now: Micros,
    remote: Address,
    initiatorId: ConnectionId,
    answer: CookieAnswer | undefined,
    halfOpen: number,
  ): Admission {
    const admission = this.#judge(now, remote, initiatorId, answer, halfOpen);
    const costs = admission === "validated" || admission === "unvalidated";
    if (costs && !this.#budget.take(now)) {
      this.#counters.helloBudgetExceeded++;
      return "drop";
    }
    return admission;
  }

  /** The Retry for a hello with this SHA-256. */
  retry(now: Micros, remote: Address, initiatorId: ConnectionId, helloHash: Uint8Array): Uint8Array {
    this.#counters.retriesSent++;
    const difficulty = this.#settings.proofOfWork;
    return encodeRetry({ cookie: this.#cookies.make(now, remote, initiatorId, difficulty), difficulty }, helloHash);
  }

  #judge(
    now: Micros,
    remote: Address,
    initiatorId: ConnectionId,
    answer: CookieAnswer | undefined,
    halfOpen: number,
  ): Admission {
    const isProven = answer !== undefined && this.#accepts(now, remote, initiatorId, answer);
    // Who reaches us over loopback is on this machine and has better ways to keep it busy.
    const bucket = isLoopback(remote.host) ? -1 : this.#unproven.bucketOf(remote.host);
    if (isProven) {
      if (bucket < 0 || this.#proven.take(now, bucket)) return "validated";
      this.#counters.helloRateLimited++;
      return "drop";
    }
    const { retry, retryHalfOpen } = this.#settings;
    const isTooMuch = bucket >= 0 && !this.#unproven.take(now, bucket);
    if (retry === "never") {
      if (!isTooMuch) return "unvalidated";
      this.#counters.helloRateLimited++;
      return "drop";
    }
    const isLoaded = !this.#load.take(now) || halfOpen >= retryHalfOpen;
    return retry === "always" || isTooMuch || isLoaded ? "retry" : "unvalidated";
  }

  #accepts(now: Micros, remote: Address, initiatorId: ConnectionId, answer: CookieAnswer): boolean {
    switch (this.#cookies.check(now, remote, initiatorId, answer)) {
      case "valid":
        this.#counters.cookiesAccepted++;
        return true;
      case "unworked":
        this.#counters.workMissing++;
        return false;
      case "invalid":
        this.#counters.cookiesRejected++;
        return false;
    }
  }
}

/**
 * Asking whether somebody receives at an address: challenges with unpredictable data, repeated with back-off (RFC 9000 §8.2).
 *
 * @module
 */

import { constantTimeEqual } from "../base/bytes.ts";
import type { Random } from "../base/random.ts";
import { type Micros, micros, NEVER, seconds } from "../base/time.ts";
import { PATH_CHALLENGE_SIZE } from "../wire/constants.ts";

/** Challenges in one attempt to validate a path. */
export const MAX_CHALLENGES = 5;
/**
 * An attempt lasts this long, or three challenges, whichever is longer: the new path may be much slower than the one whose probe timeout is known, and
 * this is three times the probe timeout of a path of unknown round trip (RFC 9000 §8.2.4).
 */
const LEAST_PATIENCE: Micros = seconds(3);
const LEAST_CHALLENGES = 3;

interface Challenge {
  readonly data: Uint8Array;
  readonly sentAt: Micros;
}

/** One attempt to validate a path. */
export class PathValidation {
  readonly #random: Random;
  readonly #interval: Micros;
  readonly #challenges: Challenge[] = [];
  /** When everything has been in vain. */
  readonly deadline: Micros;
  #nextAt: Micros;

  /** The first challenge is due at once, the next ones after one, two, four more `pto`, the time that an answer may take. */
  constructor(now: Micros, pto: Micros, random: Random) {
    this.#random = random;
    this.#interval = pto;
    this.#nextAt = now;
    this.deadline = micros(now + Math.max(LEAST_PATIENCE, (2 ** LEAST_CHALLENGES - 1) * pto));
  }

  /** Whether a challenge is to be sent now. */
  isDue(now: Micros): boolean {
    return this.#nextAt <= now;
  }

  /** When to look again: for the next challenge, or for the end. */
  get wakeAt(): Micros {
    return micros(Math.min(this.#nextAt, this.deadline));
  }

  /** The data of a challenge that leaves now. */
  challenge(now: Micros): Uint8Array {
    const data = new Uint8Array(PATH_CHALLENGE_SIZE);
    this.#random.fillSecret(data);
    this.#challenges.push({ data, sentAt: now });
    const count = this.#challenges.length;
    this.#nextAt = count < MAX_CHALLENGES ? micros(now + 2 ** (count - 1) * this.#interval) : NEVER;
    return data;
  }

  /** How long ago the challenge that this answers was sent; undefined if it answers none. */
  answeredAfter(now: Micros, response: Uint8Array): Micros | undefined {
    const challenge = this.#challenges.find(({ data }) => constantTimeEqual(data, response));
    return challenge === undefined ? undefined : micros(now - challenge.sentAt);
  }
}

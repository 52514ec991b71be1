/**
 * Which addresses a node may believe in, found out from outside: a challenge that went to an address and nowhere else, and that
 * somebody has answered, was received there.
 *
 * @module
 */

import type { Address } from "../base/address.ts";

/** Challenges and answers of all nodes of one network. */
export class AddressProofs {
  /** Challenges that were sealed and whose datagram has not left yet. */
  #sealed: string[] = [];
  /** Where each challenge went. */
  readonly #sentTo = new Map<string, Set<string>>();
  /** Addresses at which a challenge arrived. */
  readonly #proven = new Set<string>();
  /** Where the handshake of each connection took place: what it proves is not looked at here. */
  readonly #first = new WeakMap<object, string>();

  /** A packet with a PATH_CHALLENGE was sealed. */
  onChallenge(data: string): void {
    this.#sealed.push(data);
  }

  /** A packet with a PATH_RESPONSE was sealed: only who has received the challenge can know what to write. */
  onResponse(data: string): void {
    for (const place of this.#sentTo.get(data) ?? []) this.#proven.add(place);
  }

  /** A datagram leaves, with what has been sealed since the last one. */
  onSent(to: Address): void {
    for (const data of this.#sealed) {
      let places = this.#sentTo.get(data);
      if (places === undefined) this.#sentTo.set(data, places = new Set());
      places.add(to.key);
    }
    this.#sealed = [];
  }

  /** Whether a connection, whatever it says itself, can know that its peer receives at an address. */
  isProven(connection: object, to: Address): boolean {
    const first = this.#first.get(connection);
    if (first === undefined) this.#first.set(connection, to.key);
    return first === undefined || first === to.key || this.#proven.has(to.key);
  }
}

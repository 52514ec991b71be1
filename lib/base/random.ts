/**
 * Randomness as the core sees it: injected, so that a seeded simulation replays to the last byte.
 *
 * @module
 */

/** Two kinds, because what may be seen by an observer should never come from the stream that makes keys. */
export interface Random {
  /** Fills `out` with bytes that will appear on the wire in clear (connection ids, challenges). */
  fillPublic(out: Uint8Array): void;
  /** Fills `out` with bytes that stay secret (private keys). */
  fillSecret(out: Uint8Array): void;
}

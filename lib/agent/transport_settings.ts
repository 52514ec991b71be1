/**
 * How the agent layer tunes the transport where the caller does not say.
 *
 * @module
 */

import { seconds } from "../base/time.ts";
import type { TransportSettings } from "../transport/settings.ts";
import { SUITE_AES_256_GCM, SUITE_CHACHA20_POLY1305 } from "../crypto/types.ts";

/** A client keeps its connection alive: a call may run longer than the idle timeout. */
const CLIENT_SETTINGS: Partial<TransportSettings> = { keepAlive: seconds(10) };

/** Settings of a client. */
export function clientSettings(given: Partial<TransportSettings> | undefined): Partial<TransportSettings> {
  return { ...CLIENT_SETTINGS, ...given };
}

/** A suite's name for people. */
export function suiteName(suite: number): string {
  switch (suite) {
    case SUITE_CHACHA20_POLY1305:
      return "ChaCha20-Poly1305";
    case SUITE_AES_256_GCM:
      return "AES-256-GCM";
    default:
      return `0x${suite.toString(16).padStart(2, "0")}`;
  }
}

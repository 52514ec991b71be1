/**
 * All attacks, in the order of docs/reliability.md.
 *
 * @module
 */

import { frameAttacks } from "./frames.ts";
import { strangerAttacks } from "./strangers.ts";
import { handshakeAttacks } from "./handshakes.ts";
import { laterAttacks } from "./later.ts";
import type { Attack } from "./support/attack.ts";

/** The list. */
export const attacks: readonly Attack[] = [
  ...frameAttacks,
  ...laterAttacks,
  ...handshakeAttacks,
  ...strangerAttacks,
];

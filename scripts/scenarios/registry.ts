/**
 * All scenarios.
 *
 * @module
 */

import { A16 } from "./clocks.ts";
import { A6 } from "./handshakes.ts";
import { EARLY } from "./early.ts";
import { A9 } from "./key_updates.ts";
import { A17 } from "./mixture.ts";
import { A8 } from "./moves.ts";
import { A7 } from "./outages.ts";
import { A10 } from "./path_mtu.ts";
import type { Scenario } from "./scenario.ts";
import { A19 } from "./sharing.ts";
import { A13 } from "./restarts.ts";
import { A11, A12 } from "./scale.ts";
import { A18 } from "./soak.ts";
import { A14 } from "./slow_consumer.ts";
import { A1, A3, A4, A5 } from "./transfers.ts";

const A15: Scenario = {
  name: "A15",
  title: "disk full, EIO, failing fsync under the registry: about the registry and not the transport, no cell here",
  asked: "never acknowledged before durable; readable error; serving goes on",
  cells: [],
};

/** In the order of their numbers. */
export const SCENARIOS: readonly Scenario[] = [
  A1,
  A3,
  A4,
  A5,
  A6,
  A7,
  A8,
  A9,
  A10,
  A11,
  A12,
  A13,
  A14,
  A15,
  A16,
  A17,
  A18,
  A19,
  EARLY,
];

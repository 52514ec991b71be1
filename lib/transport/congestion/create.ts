/**
 * Congestion controllers by name.
 *
 * @module
 */

import { Bbr } from "./bbr.ts";
import type { CongestionController } from "./controller.ts";
import { Cubic } from "./cubic.ts";
import { NewReno } from "./new_reno.ts";

/** Names of the controllers. */
export type CongestionName = "cubic" | "newreno" | "bbr";

/** All names, the default first. */
export const CONGESTION_NAMES: readonly CongestionName[] = ["cubic", "newreno", "bbr"];

/** A fresh controller. */
export function createController(name: CongestionName, maxDatagramSize: number): CongestionController {
  switch (name) {
    case "cubic":
      return new Cubic(maxDatagramSize);
    case "newreno":
      return new NewReno(maxDatagramSize);
    case "bbr":
      return new Bbr(maxDatagramSize);
  }
}

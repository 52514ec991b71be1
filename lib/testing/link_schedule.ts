/**
 * What a link does when: black holes, and changes of rate, MTU or loss, at set times.
 *
 * @module
 */

import { type Clock, type Micros, micros } from "../base/time.ts";
import type { Link, LinkProfile } from "./link.ts";

/** One change of a link. */
export interface LinkChange {
  /** When, on the clock's time. */
  readonly at: Micros;
  /** What is different from then on. */
  readonly profile?: Partial<LinkProfile>;
  /** Whether it loses everything from then on; as before if undefined. */
  readonly down?: boolean;
}

/** A hole into which everything falls from `at` on, for a time. */
export function blackHole(at: Micros, duration: Micros): LinkChange[] {
  return [{ at, down: true }, { at: micros(at + duration), down: false }];
}

/** Holes of `off` again and again after `on` each, the first one at `on`, until `end`. */
export function flapping(on: Micros, off: Micros, end: Micros): LinkChange[] {
  const changes: LinkChange[] = [];
  for (let at = on as number; at < end; at += on + off) changes.push(...blackHole(micros(at), off));
  return changes;
}

/**
 * Makes the changes happen to all of these links.
 *
 * @example
 * ```ts
 * import { seconds } from "../base/time.ts";
 * import { Link } from "./link.ts";
 * import { blackHole, scheduleChanges } from "./link_schedule.ts";
 * import { ManualClock } from "./manual_clock.ts";
 * import { SeededRandom } from "./seeded_random.ts";
 *
 * const clock = new ManualClock();
 * const link = new Link({}, clock, new SeededRandom(1), () => {});
 * scheduleChanges(clock, [link], [...blackHole(seconds(1), seconds(3)), { at: seconds(9), profile: { mtu: 1252 } }]);
 * clock.advance(seconds(2));
 * console.log(link.down); // true
 * ```
 */
export function scheduleChanges(clock: Clock, links: readonly Link[], changes: readonly LinkChange[]): void {
  for (const { at, profile, down } of changes) {
    clock.wakeAt(at, () => {
      for (const link of links) {
        if (profile !== undefined) link.profile = { ...link.profile, ...profile };
        if (down !== undefined) link.down = down;
      }
    });
  }
}

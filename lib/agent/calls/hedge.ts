/**
 * The same call made again before the first attempt has failed, because it takes long: the first answer counts (SPEC §8.16).
 *
 * @module
 */

import type { Clock } from "../../base/time.ts";
import { type Micros, millis } from "../../base/time.ts";
import type { RetryBudget } from "../../mesh/retry_policy.ts";
import type { OutgoingCall } from "./outgoing_calls.ts";
import type { Reply } from "./reply.ts";

/** When further attempts are made. */
export interface HedgeOptions {
  /** An attempt of which no byte of an answer has come for so long gets company. Milliseconds. */
  readonly afterMs: number;
  /** How often at most. Default 1. */
  readonly max?: number;
}

/** What {@link hedged} works with. */
export interface HedgePlan {
  readonly afterMs: number;
  readonly max: number;
  readonly clock: Clock;
  readonly budget: RetryBudget;
  readonly counters: { hedged: number; hedgesWon: number; overBudget: number };
  /** Makes an attempt, the first one included; says which call it is as soon as there is one. */
  readonly attempt: (signal: AbortSignal, onCall: (call: OutgoingCall) => void) => Promise<Reply>;
}

/** Settles with the first answer, or, when every attempt has failed, with how the first one did. The others are given up. */
export function hedged({ afterMs, max, clock, budget, counters, attempt }: HedgePlan): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const stops: AbortController[] = [];
    const calls: (OutgoingCall | undefined)[] = [];
    const errors: unknown[] = [];
    let running = 0;
    let isOver = false;
    let cancelTimer: (() => void) | undefined;

    const end = (): void => {
      isOver = true;
      cancelTimer?.();
    };
    const launch = (): void => {
      const place = stops.length;
      const stop = new AbortController();
      stops.push(stop);
      running++;
      attempt(stop.signal, (call) => calls[place] = call).then((reply) => {
        if (isOver) return;
        end();
        if (place > 0) counters.hedgesWon++;
        stops.forEach((other, at) => at !== place && other.abort());
        resolve(reply);
      }, (error) => {
        errors[place] = error;
        calls[place] = undefined;
        if (--running > 0 || isOver) return;
        end();
        reject(errors[0]);
      });
      arm();
    };
    const arm = (): void => {
      if (stops.length <= max) cancelTimer = clock.wakeAt((clock.now() + millis(afterMs)) as Micros, onLate);
    };
    const onLate = (): void => {
      // Whose answer has begun is not slow any more.
      if (calls.some((call) => call !== undefined && call.firstByteAt > 0)) return arm();
      if (!budget.spend()) {
        counters.overBudget++;
        return;
      }
      counters.hedged++;
      launch();
    };
    launch();
  });
}

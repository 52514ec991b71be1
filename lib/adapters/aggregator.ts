/**
 * The aggregator: asks several, and makes one answer of theirs.
 *
 * @module
 */

import { MxpError } from "../base/errors.ts";
import type { CallContext } from "../agent/call_context.ts";
import type { HandlerResult } from "../agent/handlers.ts";
import { type Adapter, adapter } from "./destination.ts";
import { type Answer, type Destinations, fanOut } from "./fan_out.ts";

/** What an aggregator may be told. */
export interface AggregatorOptions {
  /**
   * Makes the answer of the answers, which are in the order of the destinations. Those that failed are among them if they
   * were not needed.
   */
  readonly combine: (answers: readonly Answer[], context: CallContext) => HandlerResult | Promise<HandlerResult>;
  /** So many good answers suffice; the others are given up then. Default: all. */
  readonly quorum?: number;
  /** When the time is over, so many good answers suffice. Default: as many as `quorum`; fewer make a partial answer. */
  readonly atLeast?: number;
  /** How long to wait. Default: the caller's time less a tenth (500 ms at most), so that a partial answer still gets back. */
  readonly timeoutMs?: number;
}

/**
 * Asks all destinations at once, each with the same payload, and answers with what `combine` makes of it. Deadline, trace and cancellation
 * go to everybody; who is not needed any more is cancelled.
 *
 * @throws {MxpError} `usage` for numbers that make no sense.
 *
 * @example
 * ```ts
 * import { connect, serve } from "../../mod.ts";
 * import { aggregator } from "./aggregator.ts";
 *
 * const offers = [() => "30", () => "10", () => new Promise<string>(() => {})];
 * await using server = await serve({ listen: "127.0.0.1:0" }, aggregator(offers, {
 *   quorum: 2,
 *   combine: (answers) => `${Math.min(...answers.map((answer) => answer.ok ? Number(answer.text()) : Infinity))}`,
 * }));
 * await using client = await connect(server.url);
 * console.log((await client.call("how much?")).text()); // 10
 * ```
 */
export function aggregator(to: Destinations, options: AggregatorOptions): Adapter {
  const { combine, quorum, atLeast = quorum, timeoutMs } = options;
  for (const [name, value] of Object.entries({ quorum, atLeast, timeoutMs })) {
    if (value !== undefined && !(value >= 0)) throw new MxpError("usage", `${name} must be at least 0, got ${value}`);
  }
  if (quorum !== undefined && atLeast! > quorum) {
    const text = `atLeast is ${atLeast}, but the others are given up when ${quorum} have answered (quorum)`;
    throw new MxpError("usage", text);
  }
  if (typeof combine !== "function") throw new MxpError("usage", `combine is ${typeof combine}; expected a function`);
  return adapter({
    call: async (payload, context, signal) => {
      const answers = await fanOut(to, payload, context, signal, { quorum, atLeast, timeoutMs });
      return await combine(answers, context);
    },
    // deno-lint-ignore require-yield -- it has nothing to yield
    pipe: async function* () {
      await Promise.resolve();
      throw new MxpError("agent_error", "an aggregator answers calls, not streams");
    },
  });
}

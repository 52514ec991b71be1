/**
 * The broadcaster: tells many the same, and says whom it has reached.
 *
 * @module
 */

import { MxpError } from "../base/errors.ts";
import type { EventHandler } from "../agent/handlers.ts";
import { type Adapter, adapter, type Destination, wayTo } from "./destination.ts";
import { type Answer, type AskOne, type Destinations, fanOut } from "./fan_out.ts";

/** What a broadcaster may be told. */
export interface BroadcasterOptions {
  /** Fewer than so many good answers are an error. Default 0: whoever is there. */
  readonly atLeast?: number;
  /** How long to wait. Default: the caller's time less a tenth (500 ms at most). */
  readonly timeoutMs?: number;
}

/** What a broadcaster answers, as JSON. */
export interface BroadcastReport {
  /** Destinations. */
  readonly asked: number;
  /** Those that took it. */
  readonly reached: number;
  /** Each of them, in order. */
  readonly answers: readonly {
    readonly from: string;
    readonly ok: boolean;
    /** Of a failure: the code and text of its {@link MxpError}. */
    readonly code?: string;
    readonly message?: string;
  }[];
}

/** An adapter that takes events, too. */
export interface Broadcaster extends Adapter {
  /** Tells all destinations of an event, with an Ack from each. */
  readonly event: EventHandler;
}

const NOTHING = new Uint8Array(0);

/**
 * Sends each call to all destinations at once, and answers with a {@link BroadcastReport} when everybody has answered or the time is over. Events
 * go on as events, with an Ack from each, and to functions with the data as their payload.
 *
 * @throws {MxpError} `usage` for numbers that make no sense.
 *
 * @example
 * ```ts
 * import { connect, serve } from "../../mod.ts";
 * import { type BroadcastReport, broadcaster } from "./broadcaster.ts";
 *
 * const heard: string[] = [];
 * const listener = (payload: Uint8Array) => void heard.push(new TextDecoder().decode(payload));
 * const broken = () => Promise.reject(new Error("not today"));
 * await using server = await serve({ listen: "127.0.0.1:0" }, broadcaster([listener, listener, broken]));
 * await using client = await connect(server.url);
 * const report: BroadcastReport = JSON.parse((await client.call("lunch is ready")).text());
 * console.log(report.reached, "of", report.asked, heard); // 2 of 3 [ "lunch is ready", "lunch is ready" ]
 * ```
 */
export function broadcaster(to: Destinations, options: BroadcasterOptions = {}): Broadcaster {
  const { atLeast = 0, timeoutMs } = options;
  for (const [name, value] of Object.entries({ atLeast, timeoutMs })) {
    if (value !== undefined && !(value >= 0)) throw new MxpError("usage", `${name} must be at least 0, got ${value}`);
  }
  return {
    ...adapter({
      call: async (payload, context, signal) =>
        JSON.stringify(reportOf(await fanOut(to, payload, context, signal, { atLeast, timeoutMs }))),
      // deno-lint-ignore require-yield -- it has nothing to yield
      pipe: async function* () {
        await Promise.resolve();
        throw new MxpError("agent_error", "a broadcaster takes calls and events, not streams");
      },
    }),
    event: async (topic, data, context) => {
      const tell: AskOne = async (destination, payload, context, signal) => {
        if (!isRemote(destination)) return await wayTo(destination).ask(payload, context, signal);
        await context.client(destination).emit(topic, payload, { ack: true, signal });
        return NOTHING;
      };
      await fanOut(to, data, context, context.signal, { atLeast, timeoutMs }, tell);
    },
  };
}

function isRemote(destination: Destination): destination is string | { readonly capability: string } {
  return typeof destination === "string" || (typeof destination === "object" && "capability" in destination);
}

function reportOf(answers: readonly Answer[]): BroadcastReport {
  return {
    asked: answers.length,
    reached: answers.filter(({ ok }) => ok).length,
    answers: answers.map((answer) =>
      answer.ok
        ? { from: answer.from, ok: true }
        : { from: answer.from, ok: false, code: answer.error.code, message: answer.error.message }
    ),
  };
}

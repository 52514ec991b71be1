/**
 * One process of `deno task chain`: the node, or an agent that calls the next one, or is the last and waits to be stopped.
 *
 * @module
 */

import process from "node:process";
import { type CallContext, connect, generateIdentity, type Handlers, serve } from "../mod.ts";
import { answerQuestions, say } from "./party.ts";

/** What became of one handler. Times are in milliseconds since 1970, with fractions. */
export interface Stop {
  /** When it came back: because its signal was aborted, or because what it had called failed at its own deadline. */
  readonly endedAt: number;
  readonly traceparent: string | undefined;
}

/** What an agent answers when it is asked. */
export interface ChainReport {
  /** Handlers that came back since it was last asked. */
  readonly stops: readonly Stop[];
  /** Handlers that have not. */
  readonly running: number;
}

/** The time on the wall, finer than `Date` says it. */
export function wallMs(): number {
  return performance.timeOrigin + performance.now();
}

async function main([role, ...args]: readonly string[]): Promise<void> {
  if (role === "node") {
    const server = await serve({ listen: "127.0.0.1:0", registry: true }, {});
    say({ url: server.url });
    return await answerQuestions(() => say(server.stats()));
  }
  const [name, url, next] = args;
  let stops: Stop[] = [];
  let running = 0;
  const watched = async (context: CallContext, work: () => Promise<void>): Promise<void> => {
    running++;
    try {
      await work();
    } finally {
      running--;
      stops.push({ endedAt: wallMs(), traceparent: context.traceparent });
    }
  };
  const stopped = (context: CallContext): Promise<void> =>
    new Promise((resolve) => context.signal.addEventListener("abort", () => resolve()));
  const handlers: Handlers = {
    call: (payload, context) =>
      watched(context, async () => {
        if (next === undefined) return await stopped(context);
        await context.client(next).call(payload);
      }),
    stream: (_stream, context) =>
      watched(context, async () => {
        if (next === undefined) return await stopped(context);
        const onward = await context.client(next).stream();
        await onward.bytes();
      }),
  };
  const client = await connect(url, { identity: generateIdentity() });
  await client.register({ name }, { handlers });
  say({ ready: name });
  await answerQuestions(() => {
    say({ stops, running } satisfies ChainReport);
    stops = [];
  });
}

if (import.meta.main) await main(process.argv.slice(2));

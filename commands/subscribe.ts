/**
 * `mxp subscribe`: prints events as they come.
 *
 * @module
 */

import type { ReceivedEvent, SlowPolicy, Subscription } from "../mod.ts";
import { openConnection, TRUST_NEW, URL_HELP } from "./connection.ts";
import type { Console } from "./console.ts";
import { content } from "./content.ts";
import { Deadline } from "./deadline.ts";
import { CliError } from "./errors.ts";
import type { CommandSpec } from "./spec.ts";
import { oneOf, untilAborted, wholeNumber } from "./values.ts";

interface Flags {
  readonly count?: number;
  readonly raw?: boolean;
  readonly slow?: "drop-oldest" | "drop-newest" | "close";
  readonly queue?: number;
  readonly unreliable?: boolean;
  readonly reconnect?: boolean;
  readonly trustNew?: boolean;
}

/** The command. */
export const subscribe: CommandSpec<Flags> = {
  name: "subscribe",
  summary: "print events as they come to a node",
  arguments: [
    { name: "<URL>", description: "the node: mxp://[KEY@]HOST[:PORT]" },
    {
      name: "<TOPIC...>",
      description: "topics, or patterns: * stands for one token, > at the end for all that follow",
    },
  ],
  options: [
    { flags: "--count <N>", description: "end after so many events", parse: wholeNumber(1, 1e15) },
    { flags: "--raw", description: "print the bytes of each event as they are, and nothing between them" },
    {
      flags: "--slow <POLICY>",
      description: "what happens if events come faster than they are taken: drop-oldest, drop-newest, close",
      fallback: "drop-oldest",
      parse: oneOf(["drop-oldest", "drop-newest", "close"]),
    },
    { flags: "--queue <N>", description: "events that may wait at the node", parse: wholeNumber(1, 0xffff_ffff) },
    {
      flags: "--unreliable",
      description: "take events that were sent with --unreliable as quickly, and some not at all",
    },
    { flags: "--no-reconnect", description: "end with exit code 4 when the connection is lost, instead of going on" },
    TRUST_NEW,
  ],
  details: [
    "The data of each event on a line of its own, in which control characters are escaped; with --raw as it came. Goes on until you end it, " +
    "or --count events have come. A topic has tokens with dots between them: orders.* is met by orders.created, orders.> also by " +
    "orders.eu.created; > is met by everything. Quote patterns, so that the shell leaves them alone.",
    "What is published while nobody is connected, or faster than it is taken, is missed; standard error says so, with how many it were " +
    "where that is known. --timeout limits connecting only.",
    'With --json, lines {"type":"event","topic","text" (or "base64" if it is not UTF-8),"from","traceId","contentType"?,"metadata"?,' +
    '"unreliable"}; "from" is the key of who has published it, which the node has checked. Besides {"type":"subscribed","topics","url"}, ' +
    '{"type":"missed","count"} (null if nobody knows) and {"type":"reconnecting"}.',
    ...URL_HELP,
  ],
  examples: [
    ["mxp subscribe mxp://KEY@127.0.0.1:9000 'orders.>'", "every order"],
    ["mxp subscribe mxp://KEY@127.0.0.1 deploy.done --count 1", "wait until something is done"],
    ["mxp subscribe mxp://KEY@127.0.0.1 '>' --json | jq -c '{topic, text}'", "everything, for a program"],
  ],
  async run({ args, flags, settings, console, stop }) {
    const { parseMxpUrl } = await import("../mod.ts");
    const url = parseMxpUrl(args[0]!);
    if (url.agent !== undefined) {
      throw new CliError("usage", `subscribe: events are published at a node; leave /${url.agent} out of the URL`);
    }
    if (flags.raw && console.json) throw new CliError("usage", "subscribe: --raw and --json exclude each other");
    const { signal } = stop;
    const deadline = new Deadline(settings.timeoutMs);
    const trustNew = flags.trustNew === true;
    const client = await openConnection({ url, settings, console, deadline, signal, trustNew });
    try {
      const { count, queue } = flags;
      await using events = client.subscribe(args.slice(1) as string[], {
        slow: (flags.slow ?? "drop-oldest").replace("-", "_") as SlowPolicy,
        unreliable: flags.unreliable === true,
        reconnect: flags.reconnect !== false,
        onState: (state) => void tell(state, client.peer.address, console),
        signal,
        ...(queue !== undefined && { maxEvents: queue }),
      });
      await untilAborted(events.ready, signal);
      if (console.json) await console.value({ type: "subscribed", topics: events.patterns, url: client.url });
      else console.debug(`subscribed to ${events.patterns.length} topics`);
      await print(events, count ?? Infinity, flags.raw === true, console);
    } catch (error) {
      if (!signal.aborted) throw error;
      return stop.exitCode;
    } finally {
      await client.close();
    }
    stop.release();
  },
};

/** Prints events until there are as many as are wanted. */
async function print(events: Subscription, count: number, isRaw: boolean, console: Console): Promise<void> {
  const { printable } = await import("../mod.ts");
  let printed = 0;
  for await (const event of events) {
    if (event.missed > 0) await tellMissed(event.missed, console);
    if (console.json) await console.value(lineOf(event));
    else if (isRaw) await console.write(event.data);
    // A tab does no harm, and whoever reads columns wants it.
    else await console.line(event.text().split("\t").map(printable).join("\t"));
    if (++printed >= count) return;
  }
}

function lineOf(event: ReceivedEvent): unknown {
  const { topic, data, from, traceId, contentType, metadata, unreliable } = event;
  return {
    type: "event",
    topic,
    ...content(data),
    from,
    traceId,
    ...(contentType !== undefined && { contentType }),
    ...(Object.keys(metadata).length > 0 && { metadata }),
    unreliable,
  };
}

async function tellMissed(missed: number, console: Console): Promise<void> {
  const isKnown = missed !== Infinity;
  if (console.json) await console.value({ type: "missed", count: isKnown ? missed : null });
  else if (isKnown) console.note(`${missed} events were missed: they came faster than they were taken`);
}

function tell(state: "reconnecting" | "subscribed", where: string, console: Console): void {
  if (state === "subscribed") console.note("subscribed again; what was published meanwhile is missed");
  else if (console.json) console.value({ type: "reconnecting" }).catch(() => {});
  else console.note(`the connection to ${where} was lost; trying to get it back`);
}

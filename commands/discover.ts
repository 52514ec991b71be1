/**
 * `mxp discover`: which agents a node knows.
 *
 * @module
 */

import type { Agent, AgentChange, AgentQuery, Client, MxpUrl, WatchOptions } from "../mod.ts";
import { openConnection, TRUST_NEW, URL_HELP } from "./connection.ts";
import type { Console } from "./console.ts";
import { Deadline } from "./deadline.ts";
import { formatMilliseconds } from "./duration.ts";
import { CliError } from "./errors.ts";
import type { CommandSpec } from "./spec.ts";
import { notEmpty, show, wholeNumber } from "./values.ts";

interface Flags {
  readonly capability?: string;
  readonly name?: string;
  readonly limit?: number;
  readonly watch?: boolean;
  readonly reconnect?: boolean;
  readonly trustNew?: boolean;
}

/** Characters of a name and of a list of capabilities in the table. */
const MAX_NAME = 40;
const MAX_CAPABILITIES = 60;

/** The command. */
export const discover: CommandSpec<Flags> = {
  name: "discover",
  summary: "list the agents that a node knows",
  arguments: [{ name: "<URL>", description: "the node: mxp://[KEY@]HOST[:PORT], with /AGENT for one agent" }],
  options: [
    {
      flags: "--capability <NAME>",
      description: "only agents with this capability; text.* for all that begin with text.",
      parse: notEmpty,
    },
    { flags: "--name <NAME>", description: "only agents with this name", parse: notEmpty },
    { flags: "--limit <N>", description: "at most so many", parse: wholeNumber(1, 1_000_000) },
    { flags: "--watch", description: "go on, and tell what changes" },
    {
      flags: "--no-reconnect",
      description: "with --watch, end with exit code 4 when the connection is lost, instead of going on",
    },
    TRUST_NEW,
  ],
  details: [
    "A table with a line for each agent, ordered by id: name, status, load (1000 is as much as it can take), time since its " +
    "last heartbeat, id, capabilities. An agent is offline when it has sent no heartbeat for as long as its lease lasts, and " +
    "not listed any more after twice that time. Names and capabilities are the agents' own; the key beside them in --json " +
    "is the one that the node has checked. Of agents on the plain carrier (mxp serve --plain) nobody has checked anything; they are " +
    'marked as plain, with "carrier":"plain" and no key in --json.',
    "With /AGENT in the URL, an agent that the node does not know is an error (exit code 6); otherwise a list may be empty.",
    'With --json: {"url", "count", "agents": [{"id", "name", "capabilities", "publicKey"?, "carrier"?, "endpoint"?, "version"?, ' +
    '"description"?, "tags", "metadata", "status", "load"?, "leaseMs", "heartbeatAgeMs", "registeredAtMs"}]}.',
    "With --watch, a line for each agent that is there or comes (up), is otherwise than before (changed), or goes (down), until " +
    'you end it; with --json {"type":"up","agent":{…}} and so on, and {"type":"listed","count":…} once all that were there ' +
    "have been told. When the connection is lost it is made anew, and what has changed meanwhile is told; standard error says so, and --json has a line " +
    '{"type":"reconnecting"}. --timeout then limits connecting only.',
    ...URL_HELP,
  ],
  examples: [
    ["mxp discover mxp://KEY@127.0.0.1:9000", "every agent"],
    ["mxp discover mxp://KEY@127.0.0.1 --capability 'text.*' --json", "for a program to read"],
    ["mxp discover mxp://KEY@127.0.0.1 --watch", "and what becomes of them"],
  ],
  async run({ args, flags, settings, console, stop }) {
    const { parseMxpUrl, isUuid } = await import("../mod.ts");
    const url = parseMxpUrl(args[0]!);
    const query = queryOf(url, flags, isUuid);
    if (flags.watch && flags.limit !== undefined) {
      throw new CliError("usage", "discover: --limit has no meaning with --watch");
    }
    if (!flags.watch && flags.reconnect === false) {
      throw new CliError("usage", "discover: --no-reconnect has no meaning without --watch");
    }
    const { signal } = stop;
    const deadline = new Deadline(settings.timeoutMs);
    const trustNew = flags.trustNew === true;
    const client = await openConnection({ url, settings, console, deadline, signal, trustNew });
    try {
      const options: WatchOptions = {
        signal,
        reconnect: flags.reconnect !== false,
        onState: (state) => tell(state, client.peer.address, console),
      };
      if (flags.watch) return await follow(client, query, console, options, () => stop.exitCode);
      const { limit } = flags;
      const agents = await client.discover(query, {
        timeoutMs: deadline.left,
        signal,
        ...(limit !== undefined && { limit }),
      });
      if (agents.length === 0 && url.agent !== undefined) {
        throw new CliError("no_such_agent", `the node at ${client.peer.address} knows no agent ${show(url.agent)}`);
      }
      if (console.json) await console.value({ url: client.url, count: agents.length, agents });
      else if (agents.length === 0) console.note("no agents");
      else await console.write(await table(agents, console));
      stop.release();
    } finally {
      await client.close();
    }
  },
};

function queryOf(url: MxpUrl, { capability, name }: Flags, isUuid: (text: string) => boolean): AgentQuery {
  if ([url.agent, capability, name].filter((value) => value !== undefined).length > 1) {
    throw new CliError("usage", "discover: give one of --capability, --name and /AGENT in the URL");
  }
  if (capability !== undefined) return { capability };
  if (name !== undefined) return { name };
  if (url.agent === undefined) return {};
  return isUuid(url.agent) ? { id: url.agent } : { name: url.agent };
}

async function table(agents: readonly Agent[], console: Console): Promise<string> {
  const { printable } = await import("../mod.ts");
  const { dim, bold } = console.colors.stdout;
  const head = ["NAME", "STATUS", "LOAD", "HEARTBEAT", "ID", "CAPABILITIES"];
  const rows = agents.map(({ name, status, carrier, load, heartbeatAgeMs, id, capabilities }) => [
    cut(printable(name), MAX_NAME),
    statusText({ status, carrier }),
    load === undefined ? "-" : String(load),
    heartbeatAgeMs === undefined ? "-" : `${formatMilliseconds(heartbeatAgeMs)} ago`,
    id,
    cut(printable(capabilities.join(" ")), MAX_CAPABILITIES),
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i].length)));
  const layOut = (cells: readonly string[], style: (text: string, i: number) => string): string =>
    cells.map((cell, i) => style(i === cells.length - 1 ? cell : cell.padEnd(widths[i]), i)).join("  ").trimEnd() +
    "\n";
  return layOut(head, dim) + rows.map((row) => layOut(row, (text, i) => i === 0 ? bold(text) : text)).join("");
}

/** An agent that nobody vouches for does not look like one that has proven its key. */
function statusText({ status, carrier }: Pick<Agent, "status" | "carrier">): string {
  return carrier === "plain" ? `${status}, plain` : status;
}

/** Tells what changes until somebody ends it. */
async function follow(
  client: Client,
  query: AgentQuery,
  console: Console,
  options: WatchOptions,
  exitCode: () => number,
): Promise<number> {
  const { printable } = await import("../mod.ts");
  try {
    for await (const change of client.watch(query, options)) {
      if (console.json) await console.value(change);
      else if (change.type === "listed") console.debug(`${change.count} agents so far`);
      else await console.line(describe(change, printable));
    }
  } catch (error) {
    if (options.signal?.aborted !== true) throw error;
  }
  return exitCode();
}

function tell(state: "reconnecting" | "watching", where: string, console: Console): void {
  if (state === "watching") console.note("watching again");
  else if (console.json) console.value({ type: "reconnecting" }).catch(() => {});
  else console.note(`the connection to ${where} was lost; trying to get it back`);
}

function describe(
  change: Exclude<AgentChange, { readonly type: "listed" }>,
  printable: (text: string) => string,
): string {
  const { name, load, id, capabilities } = change.agent;
  const time = new Date().toTimeString().slice(0, 8);
  const how = change.type === "down" ? "" : ` ${statusText(change.agent)}${load === undefined ? "" : ` load ${load}`}`;
  const texts = [cut(printable(name), MAX_NAME), cut(printable(capabilities.join(" ")), MAX_CAPABILITIES)];
  return `${time} ${change.type.padEnd(7)} ${id} ${texts[0]}${how}${texts[1] === "" ? "" : ` (${texts[1]})`}`;
}

function cut(text: string, most: number): string {
  return text.length > most ? text.slice(0, most - 1) + "…" : text;
}

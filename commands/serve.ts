/**
 * `mxp serve`: a node.
 *
 * @module
 */

import type { Logger } from "@logtape/logtape";
import type { CallHandler, EventHandler, Handlers, MxpUrl, Server, StreamHandler } from "../mod.ts";
import { TRUST_NEW } from "./connection.ts";
import type { Console } from "./console.ts";
import { blaming, CliError } from "./errors.ts";
import { LONGEST_DELAY_MS } from "./duration.ts";
import { nodeIdentity } from "./identity.ts";
import type { Joined, JoinRequest } from "./join.ts";
import { PLAIN_HELP, PLAIN_OPTIONS, type PlainFlags, plainOptions, warnOfPlain } from "./plain.ts";
import type { CommandSpec } from "./spec.ts";
import type { HostPort, Metrics } from "./metrics.ts";
import type { Settings } from "./settings.ts";
import { agentName, capability, notEmpty, oneOf, wholeNumber } from "./values.ts";

interface Flags extends PlainFlags {
  readonly listen?: string;
  readonly name?: string;
  readonly echo?: boolean;
  readonly exec?: string;
  readonly maxExec?: number;
  readonly allow?: readonly string[];
  readonly early?: boolean;
  readonly db?: string;
  readonly join?: string;
  readonly capability?: readonly string[];
  readonly advertise?: string;
  readonly trustNew?: boolean;
  readonly retry?: typeof RETRY_MODES[number];
  readonly proofOfWork?: number;
  readonly metrics?: string;
}

/** Where a node listens if nobody says: this machine only. */
const DEFAULT_LISTEN = "127.0.0.1:9000";
/** How long the last calls may take once a node is asked to end. */
const DEFAULT_DRAIN_MS = 10_000;
const MIN_PROCESSES = 8;
const RETRY_MODES = ["auto", "always", "never"] as const;
/** More than that, and clients with default settings refuse to work. */
const MAX_PROOF_OF_WORK = 18;

/** The command. */
export const serve: CommandSpec<Flags> = {
  name: "serve",
  summary: "run a node",
  options: [
    {
      flags: "--listen <HOST:PORT>",
      description: "where to listen; port 0 takes any free one",
      env: "MXP_LISTEN",
      fallback: DEFAULT_LISTEN,
      parse: notEmpty,
    },
    {
      flags: "--name <NAME>",
      description: "the node's name; calls may address it as an agent: mxp://KEY@HOST/NAME",
      env: "MXP_NAME",
      parse: agentName,
    },
    { flags: "--echo", description: "answer each call with its own payload, each chunk of a stream with itself" },
    {
      flags: "--exec <CMD>",
      description: "answer each call and stream with what sh -c CMD prints",
      parse: notEmpty,
      once: true,
    },
    {
      flags: "--max-exec <N>",
      description: `processes that run at a time (default: twice the processors, at least ${MIN_PROCESSES})`,
      env: "MXP_MAX_EXEC",
      parse: wholeNumber(1, 10_000),
    },
    {
      flags: "--no-early",
      description: "execute calls that come with the first packet only once the handshake is over",
    },
    {
      flags: "--allow <KEY|FILE>",
      description: "let in only this public key, or those in a file, which also says what each may do; repeatable",
      repeat: true,
      parse: notEmpty,
    },
    {
      flags: "--db <FILE>",
      description: "keep what agents have registered in this SQLite file; without it, it is gone when the node ends",
      env: "MXP_DB",
      parse: notEmpty,
    },
    {
      flags: "--join <URL>",
      description:
        "register at this other node as an agent, under --name, and answer the calls and streams that it passes on",
      env: "MXP_JOIN",
      parse: notEmpty,
    },
    {
      flags: "--capability <NAME>",
      description: "what the agent can do, such as text.upper; with --join; repeatable",
      repeat: true,
      parse: capability,
    },
    {
      flags: "--advertise <IP:PORT>",
      description:
        "where others can call the agent directly (default: where it listens, unless that is loopback or a wildcard; or none)",
      env: "MXP_ADVERTISE",
      parse: notEmpty,
    },
    TRUST_NEW,
    {
      flags: "--retry <WHEN>",
      description: "let clients prove their address before anything is done for them: auto (under load), always, never",
      env: "MXP_RETRY",
      fallback: RETRY_MODES[0],
      parse: oneOf(RETRY_MODES),
    },
    {
      flags: "--proof-of-work <BITS>",
      description: `and let them work for it then: each bit doubles the work, ${MAX_PROOF_OF_WORK} are about a second`,
      env: "MXP_PROOF_OF_WORK",
      fallback: "0",
      parse: wholeNumber(0, MAX_PROOF_OF_WORK),
    },
    {
      flags: "--metrics <HOST:PORT>",
      description: "serve /metrics (for Prometheus) and /healthz over HTTP there, to whoever asks",
      env: "MXP_METRICS",
      parse: notEmpty,
    },
    ...PLAIN_OPTIONS,
  ],
  details: [
    "The first line on standard output says that the node is ready: listening mxp://KEY@HOST:PORT, or with --json " +
    '{"event":"listening","url":"mxp://KEY@HOST:PORT"} (with "metrics" and "plain" where they are asked for). Without --identity, the default identity is used, and made at the ' +
    'first use. Without --echo or --exec there is nobody behind the node, and calls are answered with "no such agent".',
    "With --exec, a process is started for each call: the payload on its standard input, its standard output is the " +
    "answer. A non-zero exit code makes an error of it, with the last lines of standard error. At the caller's deadline " +
    "the process is ended, with everything that it started. Where --max-exec of them run, further calls wait; where too " +
    "many wait, they are turned away. A stream has a process of its own, too: its chunks on standard input as they come, and " +
    "what the process prints as chunks back at once. Most programs keep their output back until there is much of it, unless they are told to " +
    "flush: stdbuf -oL CMD, sed -u, jq --unbuffered.",
    "The process finds in its environment what is known about the call: MXP_METHOD, MXP_AGENT, MXP_PEER (public key; of the node, where one has passed the call on), MXP_SEALED_BY (public key of who has sealed the call, with --e2e), " +
    "MXP_PEER_ADDRESS, MXP_TRACE_ID, MXP_MESSAGE_ID, MXP_REMAINING_MS, MXP_CONTENT_TYPE, MXP_IDEMPOTENCY_KEY, " +
    "MXP_METADATA (JSON), and TRACEPARENT where the caller has sent one. All of it comes from the caller: quote it, never evaluate it.",
    "Agents can register at the node, and be found there with mxp discover. With --db, whatever was acknowledged is there " +
    "again after the node was started anew, however it ended. The file is checked at the start; one node at a time may use " +
    "it. Whose an agent's id is, is remembered also when the agent has gone.",
    "With --join, the node is also an agent of another one: it can be found there and called through it, by name, id and " +
    "capability, and needs no address that others can reach. It stays registered while it runs, also after the other node was " +
    "started anew. Calls and streams are passed on to the agent that has the least to do; when one goes before it has answered, " +
    "another gets them. The node serves from the start, and says on standard error when it has " +
    "joined; another node that cannot be reached yet is tried until it can. One that refuses the agent, or has another key, ends it. Two processes with the same identity and the same --name are one agent: the one " +
    "that joins last takes it over from the other without a word, so give each process an --identity or a --name of its own.",
    "A file for --allow has a rule on each line: KEY PERMISSIONS # comment. KEY is a public key, or * for everybody else. PERMISSIONS, " +
    "separated by commas: register (agents), call (calls, streams, events, discover), subscribe, admin (all of that, and end the " +
    "registrations of other keys); register:text.* only agents whose capabilities all begin so; call:text.* only by such a " +
    "capability, or call:NAME only to the agent with that name or id; none: not even connect. Without any: everything but admin. " +
    "Who has no rule may not connect. The files are read at the start. What is denied is answered with NOT_ALLOWED.",
    "Who prefers to call the agent directly (mxp call --direct) asks the other node for its endpoint: where it listens, unless that is a loopback or " +
    "wildcard address, or what --advertise says (port 0 is the one where it listens). The agent answers there as it does through the node; --allow decides who may.",
    PLAIN_HELP,
    "SIGINT or SIGTERM: no new calls, those that run may end (within 10 s, or --timeout), then exit code 130 or 143. A " +
    "second signal ends the node at once, and the calls that still run fail.",
    "--log-level info logs each call, stream and event on standard error, those that were passed on too, and an audit line for each " +
    "decision: who connected, registered, was denied what (5 lines a second for each key); debug also what became of processes; " +
    "with --json as JSON.",
  ],
  examples: [
    ["mxp serve --echo", "a node for trying things out, on 127.0.0.1:9000"],
    [
      "mxp serve --listen 0.0.0.0:9000 --identity node.key --exec 'jq .items' --log-level info",
      "a program as a service",
    ],
    [
      "mxp serve --listen 127.0.0.1:0 --join mxp://KEY@192.0.2.7 --name upper --capability text.upper --exec 'tr a-z A-Z'",
      "an agent behind another node",
    ],
    [
      "mxp serve --listen 0.0.0.0:9001 --join mxp://KEY@192.0.2.7 --advertise 192.0.2.8:9001 --name big --exec ./big.sh",
      "an agent that may also be called directly",
    ],
    ["mxp serve --echo --plain 127.0.0.1:9001", "a node for programs of the published Rust runtime, too"],
    ["mxp serve --db registry.db", "a meeting place for agents that outlives its own end"],
    [
      "mxp serve --listen 127.0.0.1:0 --exec ./answer.sh --allow friends.keys",
      "for the keys in a file, such as: KEY call # my laptop",
    ],
  ],
  async run({ flags, variables, settings, console, stop }) {
    if (flags.echo && flags.exec !== undefined) {
      throw new CliError("usage", "serve: --echo and --exec both answer calls; choose one of them");
    }
    if (flags.capability !== undefined && flags.join === undefined) {
      throw new CliError("usage", "serve: --capability says what the agent of --join can do; give both");
    }
    if (flags.advertise !== undefined && flags.join === undefined) {
      throw new CliError("usage", "serve: --advertise says where the agent of --join can be called; give both");
    }
    if (flags.join !== undefined && !flags.echo && flags.exec === undefined) {
      throw new CliError(
        "usage",
        "serve: an agent of another node (--join) has to answer calls: add --echo or --exec CMD",
      );
    }
    const plain = plainOptions(flags);
    const mxp = await import("../mod.ts");
    const given = <T>(flag: keyof Flags, parse: (text: string) => T | Promise<T>): Promise<T> | undefined =>
      flags[flag] === undefined ? undefined : blaming(variables.get(flag), () => parse(flags[flag] as string));
    const listen = await given("listen", (text) => mxp.parseHostPort(text)) ?? mxp.parseHostPort(DEFAULT_LISTEN);
    const scraped = await given("metrics", async (text) => (await import("./metrics.ts")).metricsAddress(text));
    const joining = flags.join === undefined ? undefined : await import("./join.ts");
    const target = await given("join", (text) => joining!.joinTarget(text));
    const advertised = await given("advertise", (text) => joining!.advertisement(text));
    const allow = flags.allow === undefined ? undefined : await (await import("./allow.ts")).accessList(flags.allow);
    const store = flags.db === undefined ? undefined : await (await import("./database.ts")).openDatabase(flags.db);
    const identity = await nodeIdentity(settings, console);
    const { openLog } = await import("./log.ts");
    const log = openLog(settings.logLevel, settings.json);
    const name = joining === undefined ? flags.name : joining.agentName(flags.name, identity);
    const handlers = await makeHandlers(flags, name, log);
    const { signal } = stop;
    const audit = new (await import("./audit.ts")).Audit(log);
    const server = await mxp.serve({
      listen,
      identity,
      name: flags.name,
      pubsub: true,
      registry: {
        onEvent: audit.onRegistryEvent,
        // What would only be thrown away need not be told.
        ...(log.isEnabledFor("info") && { onRelayed: (await import("./call_log.ts")).relayLog(log) }),
        ...(store !== undefined && { store }),
      },
      settings: { retry: flags.retry, proofOfWork: flags.proofOfWork, acceptEarlyData: flags.early !== false },
      allow,
      onDecision: audit.onDecision,
      ...(plain !== undefined && { plain }),
    }, handlers);
    const metrics = await openMetrics(scraped, server, signal);
    if (console.json) {
      const { url, plainAddress } = server;
      const more = { ...(metrics && { metrics: metrics.url }), ...(plainAddress && { plain: plainAddress }) };
      await console.value({ event: "listening", url, ...more });
    } else await console.line(`listening ${server.url}`);
    if (metrics !== undefined) console.note(`metrics at ${metrics.url}`);
    warnOfPlain(server, flags, console);
    adviseOn(server, flags, console);
    const joined = target && await joinNode(flags, target, {
      name: name!,
      endpoint: await joining!.endpointFor(advertised, server.address),
      handlers,
      identity,
      settings,
      console,
      log,
      signal,
    });
    // Closing tells callers; a node that is gone without a word leaves them waiting for their deadline.
    stop.goodbye = () => Promise.all([server.close(), joined?.close()]);
    const ends = [server.closed, aborted(signal), ...(joined === undefined ? [] : [joined.lost])];
    await Promise.race(ends).catch(async (error) => {
      // Callers are told, rather than left to wait.
      await server.close();
      throw error;
    });
    if (!signal.aborted) throw new CliError("internal", "the socket failed, the node cannot go on; start it again");
    await drain(server, joined, settings, console);
    metrics?.close();
    // Processes that are still there after that end with this one.
    return stop.exitCode;
  },
};

/** The node's numbers over HTTP, where they are asked for. */
async function openMetrics(
  where: HostPort | undefined,
  server: Server,
  signal: AbortSignal,
): Promise<Metrics | undefined> {
  if (where === undefined) return undefined;
  const { serveMetrics } = await import("./metrics.ts");
  try {
    return await serveMetrics(where, { stats: () => server.stats(), isHealthy: () => !signal.aborted });
  } catch (error) {
    await server.close();
    throw error;
  }
}

/** The handlers that the flags ask for. */
async function makeHandlers(
  flags: Flags,
  name: string | undefined,
  log: Logger,
): Promise<Handlers> {
  const { eventLog, loggedHandler, loggedStream, logExecution } = await import("./call_log.ts");
  const event = eventLog(log);
  if (flags.exec === undefined) {
    if (!flags.echo) return answering(await nobody(), undefined, event, name);
    // An echo cannot fail, so there is nothing to watch unless every call is to be told.
    const isLogged = log.isEnabledFor("info");
    const call = isLogged ? loggedHandler(echo, log) : echo;
    return answering(call, isLogged ? loggedStream(echoStream, log) : echoStream, event, name);
  }
  const { ExecPool } = await import("./exec.ts");
  const { availableParallelism } = await import("node:os");
  const pool = new ExecPool({
    command: flags.exec,
    limit: flags.maxExec ?? Math.max(MIN_PROCESSES, 2 * availableParallelism()),
    onEnd: (execution, context) => logExecution(execution, context, log),
  });
  const [call, stream] = [loggedHandler(pool.handler, log), loggedStream(pool.streamHandler, log)];
  return answering(call, stream, event, name);
}

const echo: CallHandler = (payload) => payload;

const echoStream: StreamHandler = async (stream) => {
  // Who opened it one way does not listen.
  for await (const chunk of stream) if (stream.mayWrite) await stream.write(chunk);
};

/** The node answers for itself, and under its name. */
function answering(
  call: CallHandler,
  stream: StreamHandler | undefined,
  event: EventHandler,
  name: string | undefined,
): Handlers {
  const handlers: Handlers = { call, event, ...(stream !== undefined && { stream }) };
  return { ...handlers, ...(name !== undefined && { agents: { [name]: handlers } }) };
}

/** Answers where nobody is there to answer. */
async function nobody(): Promise<CallHandler> {
  const { MxpError } = await import("../mod.ts");
  return () => {
    throw new MxpError("no_such_agent", "nobody answers calls at this node: it was started without --echo or --exec");
  };
}

/** What may surprise whoever has just started a node. */
function adviseOn(server: Server, flags: Flags, console: Console): void {
  if (!flags.echo && flags.exec === undefined) {
    console.note("nobody answers calls here yet: start it with --echo or --exec CMD");
  }
  const { host } = server.address;
  if (host === "0.0.0.0" || host === "::") {
    console.note("listening on every address of this machine; from others, put the right one into the URL");
  }
}

async function joinNode(
  { capability = [], trustNew = false }: Flags,
  url: MxpUrl,
  rest: Pick<JoinRequest, "name" | "endpoint" | "handlers" | "identity" | "settings" | "console" | "log" | "signal">,
): Promise<Joined> {
  const { join } = await import("./join.ts");
  return join({ url, capabilities: capability, trustNew, ...rest });
}

async function drain(
  server: Server,
  joined: Joined | undefined,
  settings: Settings,
  console: Console,
): Promise<void> {
  const { calls: { running: calls }, streams: { running: streams } } = server.stats();
  const parts = [count(calls, "call"), count(streams, "stream")].filter((part) => part !== undefined);
  if (parts.length > 0) {
    console.note(`waiting for ${parts.join(" and ")} to end; a second signal ends the node at once`);
  }
  if (console.json) await console.value({ event: "draining", calls, streams }).catch(() => {});
  const { timeoutMs = DEFAULT_DRAIN_MS } = settings;
  const longest = timeoutMs === 0 ? LONGEST_DELAY_MS : timeoutMs;
  await Promise.all([server.drain({ timeoutMs: longest }), joined?.leave(longest)]);
}

function count(number: number, what: string): string | undefined {
  return number === 0 ? undefined : number === 1 ? `1 ${what}` : `${number} ${what}s`;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

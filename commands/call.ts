/**
 * `mxp call`: one call, one answer.
 *
 * @module
 */

import type { Client, MxpError, Reply } from "../mod.ts";
import { openConnection, TRUST_NEW, URL_HELP } from "./connection.ts";
import type { Console } from "./console.ts";
import { content } from "./content.ts";
import { dataSource, hintUnreadInput, readData } from "./data.ts";
import { Deadline, DEFAULT_TIMEOUT_MS } from "./deadline.ts";
import { formatMilliseconds } from "./duration.ts";
import { CliError, codeOf } from "./errors.ts";
import { ProgressLine } from "./progress.ts";
import { COMPRESS, E2E, E2E_HELP } from "./packing.ts";
import { Attempts, checkRetryFlags, RETRY_HELP, RETRY_OPTIONS, type RetryFlags } from "./retry.ts";
import type { CommandSpec } from "./spec.ts";
import { keyValue, metadata, notEmpty, PRIORITY, untilAborted } from "./values.ts";

interface Flags extends RetryFlags {
  readonly data?: string;
  readonly capability?: string;
  readonly method?: string;
  readonly meta?: readonly (readonly [string, string])[];
  readonly timing?: boolean;
  readonly early?: boolean;
  readonly direct?: boolean;
  readonly priority?: "interactive" | "bulk";
  readonly compress?: boolean;
  readonly e2e?: string;
  readonly trustNew?: boolean;
}

const NEWLINE = 10;

/** The command. */
export const call: CommandSpec<Flags> = {
  name: "call",
  summary: "call a node or an agent and print the answer",
  arguments: [
    { name: "<URL>", description: "whom to call: mxp://[KEY@]HOST[:PORT][/AGENT]" },
    { name: "[DATA]", description: "the payload, as it stands here" },
  ],
  options: [
    {
      flags: "-d, --data <DATA>",
      description: "the payload: DATA itself, @FILE for a file's content, @- for standard input",
      once: true,
    },
    {
      flags: "--capability <NAME>",
      description: "call any agent with this capability that the node knows; text.* for all that begin with text.",
      parse: notEmpty,
    },
    { flags: "--method <NAME>", description: "which of the agent's methods to call", parse: notEmpty },
    { flags: "--meta <KEY=VALUE>", description: "metadata for the agent; repeatable", repeat: true, parse: keyValue },
    {
      flags: "--early",
      description:
        "the call does no harm if it is executed twice: send it along with the first packet, where a ticket allows",
    },
    { flags: "--timing", description: "print on standard error what took how long, and the trace id" },
    {
      flags: "--direct",
      description: "go to the agent itself, at the endpoint that it has registered, and not through the node",
    },
    {
      flags: "--priority <CLASS>",
      description:
        "interactive (the default), or bulk to give way to others where the path is full, at every node on the way",
      parse: PRIORITY,
    },
    ...RETRY_OPTIONS,
    COMPRESS,
    E2E,
    TRUST_NEW,
  ],
  details: [
    "The payload is DATA or what -d says; without both it is empty. Standard input is read for -d @- alone, so that a " +
    "call in a loop never eats the loop's input. At most 16 MiB each way. DATA that begins with a dash goes behind --.",
    "The answer's bytes go to standard output as they are, with nothing added. --timeout covers connecting and answering.",
    "With --early, the node's tickets for later connections are kept in a folder beside the known-peers file (its name and " +
    ".tickets, mode 0600, good for an hour, each for one connection), and a call that has one is answered after a single round " +
    "trip. A node never executes it twice by itself, but it is sent again if it is not answered: use it for calls that only " +
    "ask. It has to fit into a packet (some 600 bytes). Without a ticket it is an ordinary call.",
    RETRY_HELP,
    ...E2E_HELP,
    "With --direct, the node is only asked where the agent is and which key it has proven; the call goes there, and nowhere else if that " +
    "fails. An agent that is reached over its node's connection only cannot be called so.",
    'With --json: {"ok", "bytes", "text" (or "base64" if it is not UTF-8), "url", "early", "trace_id", "message_id", "timing_ms": ' +
    '{"handshake", "sent", "first_byte", "done"}}, the last three counted from the start of the call; with --retry or --hedge also "attempts".',
    ...URL_HELP,
  ],
  examples: [
    ["mxp call mxp://KEY@127.0.0.1:9000 hello", "call a node with the payload hello"],
    ["date | mxp call mxp://KEY@127.0.0.1 -d @-", "send what another program prints"],
    [
      "mxp call mxp://KEY@[::1]:9000/thumbnails --method small -d @in.png > out.png",
      "call an agent's method with a file",
    ],
    ["mxp call mxp://KEY@192.0.2.7 --capability text.upper hello", "whichever agent can do it"],
    ["mxp call mxp://KEY@192.0.2.7/weather Berlin --early", "ask, from the second time on in one round trip"],
    ["mxp call mxp://KEY@192.0.2.7/weather Berlin --retry 5 --idempotent", "ask again where there was no answer"],
    ["mxp call mxp://KEY@192.0.2.7/shop buy --retry 5 --idempotency-key order-17", "again, but carried out once"],
    [
      "mxp call mxp://KEY@192.0.2.7/vault -d @letter.txt --compress --e2e AGENTKEY",
      "compressed, and sealed so that the node cannot read it",
    ],
    ["mxp call mxp://192.0.2.7 hello --trust-new --timeout 5s --timing", "a node whose key is not known yet"],
  ],
  async run({ args, flags, settings, console, stop }) {
    const { parseMxpUrl, parsePublicKey } = await import("../mod.ts");
    const url = parseMxpUrl(args[0]!);
    const e2e = flags.e2e === undefined ? undefined : parsePublicKey(flags.e2e, "--e2e");
    const { capability } = flags;
    if (capability !== undefined && url.agent !== undefined) {
      throw new CliError("usage", `call: give --capability or /${url.agent} in the URL, not both`);
    }
    checkRetryFlags(flags, flags.early === true);
    if (flags.direct && capability === undefined && url.agent === undefined) {
      throw new CliError("usage", "call: --direct needs an agent: /AGENT in the URL, or --capability");
    }
    const source = dataSource(args[1], flags.data);
    const { signal } = stop;
    hintUnreadInput(source, console);
    const payload = await untilAborted(readData(source), signal);
    const deadline = new Deadline(settings.timeoutMs);
    const trustNew = flags.trustNew === true;
    const early = flags.early === true;
    const tickets = early ? "early" : undefined;
    const attempts = new Attempts(flags, console);
    const client = await attempts.connect(deadline, signal, (deadline) => {
      const lasting = flags.idempotencyKey !== undefined;
      return openConnection({ url, settings, console, deadline, signal, trustNew, tickets, lasting });
    });
    let reply: Reply;
    const progress = new ProgressLine(console);
    try {
      reply = await client.call(payload, {
        capability,
        method: flags.method,
        metadata: metadata(flags.meta),
        priority: flags.priority,
        compress: flags.compress,
        e2e,
        direct: flags.direct === true,
        timeoutMs: deadline.left,
        signal,
        ...await attempts.options(early),
        onProgress: (transfer) => progress.update(transfer),
      });
      if (early) {
        progress.stop();
        stop.release();
        await print(client, reply, attempts, flags.timing === true, console);
        // The next call wants a ticket. They come a round trip later than an early answer, which need not wait for them.
        await client.awaitTickets();
        return;
      }
    } catch (error) {
      // Of an agent that is called directly, the library knows the address.
      const where = flags.direct ? undefined : client.peer.address;
      throw explain(error, where, settings.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    } finally {
      progress.stop();
      await client.close();
    }
    // From here on a signal may end us: there is nothing left but to print.
    stop.release();
    await print(client, reply, attempts, flags.timing === true, console);
  },
};

async function print(
  client: Client,
  reply: Reply,
  { isWanted, failed }: Attempts,
  timing: boolean,
  console: Console,
): Promise<void> {
  if (timing) console.error(timingText(client, reply));
  const attempts = isWanted ? { attempts: failed + reply.attempts } : {};
  if (console.json) await console.value({ ...replyObject(client, reply), ...attempts });
  else {
    await console.write(reply.bytes);
    // Nothing is added to the answer; but on a terminal, the next prompt gets a line of its own.
    if (console.stdoutIsTerminal && reply.bytes.length > 0 && reply.bytes.at(-1) !== NEWLINE) console.endLine();
  }
}

/** Says what an agent's own words are, and what to do about time that was too short. */
function explain(error: unknown, where: string | undefined, timeoutMs: number): unknown {
  const { message, remoteCode, remoteName, isUnsealed } = error as Partial<MxpError>;
  const code = codeOf(error);
  if (code === "agent_error" && remoteCode !== undefined && isUnsealed !== true) {
    const own = remoteName?.startsWith("0x") ? ` (${remoteName})` : "";
    return new CliError(code, `the agent answered with an error: ${message}${own}`, { cause: error });
  }
  if (code === "deadline") {
    const text = where === undefined ? message : `no answer from ${where} within ${formatMilliseconds(timeoutMs)}`;
    return new CliError(code, `${text}; allow more with --timeout`, { cause: error });
  }
  return error;
}

function replyObject(client: Client, reply: Reply): object {
  const { sentMs, firstByteMs, doneMs } = reply.timing;
  return {
    ok: true,
    bytes: reply.bytes.length,
    ...content(reply.bytes),
    url: client.url,
    early: reply.early,
    trace_id: reply.traceId,
    message_id: reply.messageId,
    timing_ms: {
      handshake: round(client.handshake.ms),
      sent: round(sentMs),
      first_byte: round(firstByteMs),
      done: round(doneMs),
    },
  };
}

function timingText(client: Client, reply: Reply): string {
  const { kind, pattern, suite, ms } = client.handshake;
  const { sentMs, firstByteMs, doneMs } = reply.timing;
  return `handshake   ${formatMilliseconds(ms)} (${kind}, ${pattern}, ${suite})\n` +
    `sent        ${formatMilliseconds(sentMs)}\n` +
    `first byte  ${formatMilliseconds(firstByteMs)}\n` +
    `done        ${formatMilliseconds(doneMs)}\n` +
    `trace       ${reply.traceId}\n`;
}

/** Milliseconds to the microsecond. */
function round(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}

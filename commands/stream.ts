/**
 * `mxp stream`: standard input to an agent, and what it says to standard output, both as they come.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import type { Client, MxpStream } from "../mod.ts";
import { openConnection, TRUST_NEW, URL_HELP } from "./connection.ts";
import type { Console } from "./console.ts";
import { content } from "./content.ts";
import { Deadline } from "./deadline.ts";
import { formatMilliseconds } from "./duration.ts";
import { CliError, codeOf } from "./errors.ts";
import type { CommandSpec } from "./spec.ts";
import { COMPRESS, E2E, E2E_HELP } from "./packing.ts";
import { keyValue, metadata, notEmpty, PRIORITY } from "./values.ts";

interface Flags {
  readonly lines?: boolean;
  readonly raw?: boolean;
  readonly capability?: string;
  readonly method?: string;
  readonly meta?: readonly (readonly [string, string])[];
  readonly direct?: boolean;
  readonly priority?: "interactive" | "bulk";
  readonly compress?: boolean;
  readonly e2e?: string;
  readonly resume?: boolean;
  readonly trustNew?: boolean;
}

const NEWLINE = 10;

/** The command. */
export const stream: CommandSpec<Flags> = {
  name: "stream",
  summary: "stream standard input to an agent, and its answer to standard output",
  arguments: [{ name: "<URL>", description: "whom to stream to: mxp://[KEY@]HOST[:PORT][/AGENT]" }],
  options: [
    { flags: "--lines", description: "send each line of standard input as a chunk of its own" },
    { flags: "--raw", description: "send bytes as they come (the default)" },
    {
      flags: "--capability <NAME>",
      description: "stream to any agent with this capability that the node knows; text.* for all that begin with text.",
      parse: notEmpty,
    },
    { flags: "--method <NAME>", description: "which of the agent's methods to stream to", parse: notEmpty },
    { flags: "--meta <KEY=VALUE>", description: "metadata for the agent; repeatable", repeat: true, parse: keyValue },
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
    { flags: "--resume", description: "go on where it was after the connection, or the agent's to its node, was lost" },
    COMPRESS,
    E2E,
    TRUST_NEW,
  ],
  details: [
    "What is read from standard input is sent at once, and what arrives is printed at once. The end of standard input ends " +
    "this direction; the command ends when the agent has ended the other one. Neither side runs ahead of the other by more than " +
    "the connection's windows, however slow it is.",
    "With --lines, each line of standard input is one chunk, its end included; a line of more than 65536 bytes becomes several. Without it, how the bytes are cut into chunks " +
    "says nothing. What arrives is printed with nothing added, however it was cut.",
    'With --json, each chunk that arrives is a line {"event":"chunk","text"} (or "base64" if it is not UTF-8), and the last ' +
    'line is {"event":"end","sent","received","chunks","trace_id"}, sizes in bytes.',
    "With --resume a lost connection is made anew, and the stream goes on with nothing lost or doubled, for as long as the agent keeps it: " +
    "30 seconds, unless it was told otherwise. Both sides keep up to 1 MiB that may have to be sent again. How often the stream went on is said on " +
    'standard error, and with --json as "resumptions" in the last line. The agent has to be an mxp of this version or later.',
    ...E2E_HELP,
    "A stream may last as long as it wants to: --timeout limits it only if it is given, and connecting in any case.",
    "With --direct, the node is only asked where the agent is and which key it has proven; the stream goes there, and nowhere else if " +
    "that fails.",
    ...URL_HELP,
  ],
  examples: [
    ["tail -f app.log | mxp stream mxp://KEY@127.0.0.1:9000/alerts --lines", "each line as it is written"],
    ["mxp stream mxp://KEY@192.0.2.7 --capability text.upper < notes.txt", "whichever agent behind the node can do it"],
    [
      "tail -f app.log | mxp stream mxp://KEY@10.0.0.7/alerts --lines --resume",
      "the same over a network that comes and goes",
    ],
    ["cat diary.txt | mxp stream mxp://KEY@192.0.2.7/vault --e2e AGENTKEY", "sealed, so that the node cannot read it"],
    ["echo 'tell me a story' | mxp stream mxp://KEY@127.0.0.1/model", "an answer that prints as it is made"],
  ],
  async run({ args, flags, settings, console, stop }) {
    if (flags.lines && flags.raw) throw new CliError("usage", "--lines and --raw exclude each other");
    if (flags.resume && (flags.compress || flags.e2e !== undefined)) {
      throw new CliError("usage", "--resume excludes --compress and --e2e");
    }
    const { parseMxpUrl, parsePublicKey } = await import("../mod.ts");
    const url = parseMxpUrl(args[0]!);
    const e2e = flags.e2e === undefined ? undefined : parsePublicKey(flags.e2e, "--e2e");
    const { capability } = flags;
    if (capability !== undefined && url.agent !== undefined) {
      throw new CliError("usage", `stream: give --capability or /${url.agent} in the URL, not both`);
    }
    const target = capability === undefined ? url.agent : { capability };
    if (flags.direct && target === undefined) {
      throw new CliError("usage", "stream: --direct needs an agent: /AGENT in the URL, or --capability");
    }
    const { signal } = stop;
    const deadline = new Deadline(settings.timeoutMs);
    const client = await openConnection({
      url,
      settings,
      console,
      deadline,
      signal,
      trustNew: flags.trustNew === true,
      tickets: "resume",
    });
    let direct: Client | undefined;
    try {
      const { timeoutMs } = settings;
      if (flags.direct) direct = await client.dial(target!, { timeoutMs: deadline.forConnecting, signal });
      const stream = (direct ?? client).stream({
        ...(direct === undefined && { capability }),
        method: flags.method,
        metadata: metadata(flags.meta),
        priority: flags.priority,
        compress: flags.compress,
        e2e,
        timeoutMs: timeoutMs === undefined ? 0 : deadline.left,
        resume: flags.resume === true,
        signal,
      });
      let broken: unknown;
      const sending = send(stream, flags.lines === true).catch((error) => {
        // The other side may have heard enough; what it says is worth reading all the same.
        if (codeOf(error) === "closed") return;
        broken = error;
        stream.cancel(error);
      });
      try {
        await print(stream, console);
      } catch (error) {
        stream.cancel(error);
        throw explain(broken ?? error, (direct ?? client).peer.address, timeoutMs);
      }
      if (broken !== undefined) throw broken;
      // Standard input may stay open for ever; nobody is there to read it any more.
      void sending;
    } finally {
      await direct?.close();
      await client.close();
    }
  },
};

/** Standard input, as it comes, to the agent. */
async function send(stream: MxpStream, byLines: boolean): Promise<void> {
  const { host } = await import("../mod.ts");
  const chunks = host.stdinChunks();
  for await (const chunk of byLines ? lines(chunks) : chunks) await stream.write(chunk);
  await stream.close();
}

/** What the agent says, as it comes, to standard output. */
async function print(stream: MxpStream, console: Console): Promise<void> {
  let chunks = 0;
  for await (const chunk of stream) {
    chunks++;
    if (console.json) await console.value({ event: "chunk", ...content(chunk) });
    else await console.write(chunk);
  }
  const { transferred: { read: received, written: sent }, traceId: trace_id, resumptions } = stream;
  if (resumptions > 0) {
    console.note(
      `the stream went on ${resumptions === 1 ? "once" : `${resumptions} times`} after its connection was lost`,
    );
  }
  const gone = resumptions > 0 ? { resumptions } : {};
  if (console.json) await console.value({ event: "end", sent, received, chunks, ...gone, trace_id });
}

/** Cuts chunks into lines, each with its end; the last one may have none. */
export async function* lines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) {
    let at = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, at)) {
      parts.push(chunk.subarray(at, end + 1));
      yield parts.length === 1 ? parts[0] : Buffer.concat(parts);
      parts.length = 0;
      at = end + 1;
    }
    if (at < chunk.length) parts.push(chunk.slice(at));
  }
  if (parts.length > 0) yield Buffer.concat(parts);
}

/** Says what an agent's own words are, and what to do about time that was too short. */
function explain(error: unknown, where: string, timeoutMs: number | undefined): unknown {
  const { message, remoteCode } = error as { message?: string; remoteCode?: number };
  const code = codeOf(error);
  if (code === "agent_error" && remoteCode !== undefined) {
    return new CliError(code, `the agent ended the stream with an error: ${message}`, { cause: error });
  }
  if (code === "deadline" && timeoutMs !== undefined) {
    const text = `the stream to ${where} was not over within ${
      formatMilliseconds(timeoutMs)
    }; allow more with --timeout`;
    return new CliError(code, text, { cause: error });
  }
  return error;
}

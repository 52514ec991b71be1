/**
 * `mxp event`: publishes something at a node, or tells an agent behind it.
 *
 * @module
 */

import type { Client } from "../mod.ts";
import { openConnection, TRUST_NEW, URL_HELP } from "./connection.ts";
import { dataSource, hintUnreadInput, readData } from "./data.ts";
import { Deadline, DEFAULT_TIMEOUT_MS } from "./deadline.ts";
import { formatMilliseconds, LONGEST_DELAY_MS } from "./duration.ts";
import { CliError, codeOf } from "./errors.ts";
import { Attempts } from "./retry.ts";
import type { CommandSpec } from "./spec.ts";
import { COMPRESS, E2E, E2E_HELP } from "./packing.ts";
import { keyValue, metadata, notEmpty, PRIORITY, untilAborted, wholeNumber } from "./values.ts";

interface Flags {
  readonly data?: string;
  readonly capability?: string;
  readonly ack?: boolean;
  readonly retry?: number;
  readonly idempotencyKey?: string;
  readonly unreliable?: boolean;
  readonly meta?: readonly (readonly [string, string])[];
  readonly priority?: "interactive" | "bulk";
  readonly compress?: boolean;
  readonly e2e?: string;
  readonly trustNew?: boolean;
}

/** The command. */
export const event: CommandSpec<Flags> = {
  name: "event",
  summary: "publish an event, or tell an agent something",
  arguments: [
    { name: "<URL>", description: "the node: mxp://[KEY@]HOST[:PORT], with /AGENT for one agent alone" },
    { name: "<TOPIC>", description: "what it is about, such as orders.created" },
    { name: "[DATA]", description: "what happened, as it stands here" },
  ],
  options: [
    {
      flags: "-d, --data <DATA>",
      description: "the data: DATA itself, @FILE for a file's content, @- for standard input",
      once: true,
    },
    { flags: "--capability <NAME>", description: "for one agent that has this capability", parse: notEmpty },
    { flags: "--ack", description: "wait until the node, or the agent, has accepted the event" },
    {
      flags: "--retry <N>",
      description: "up to N further attempts if it was not accepted; with --ack",
      parse: wholeNumber(0, 1_000),
    },
    {
      flags: "--idempotency-key <KEY>",
      description: "events with the same key, from the same --identity (made if there is none), are taken once",
      parse: notEmpty,
    },
    { flags: "--unreliable", description: "send it once, in one packet: it may be lost, and has to be small" },
    { flags: "--meta <KEY=VALUE>", description: "metadata to send along; repeatable", repeat: true, parse: keyValue },
    {
      flags: "--priority <CLASS>",
      description:
        "bulk gives way to interactive where the path is full; the default is bulk, and interactive with --ack",
      parse: PRIORITY,
    },
    COMPRESS,
    E2E,
    TRUST_NEW,
  ],
  details: [
    "The data is DATA or what -d says; without both it is empty. Nothing is printed. The exit code 0 says that the event " +
    "has reached the node, and with --ack that it was accepted: by the node, which has handed it to all who have subscribed, or with /AGENT or " +
    "--capability by that agent.",
    "With --retry, each attempt may take as long as --timeout says (connecting 2 s, except for the last), the connection is made again if need be, and whoever has accepted one attempt knows " +
    "the others by their key, for five minutes.",
    "At most 16 MiB, less the topic and two bytes.",
    "With --unreliable it says that the event was sent, and that the node was still there afterwards.",
    ...E2E_HELP,
    'With --json: {"ok", "topic", "bytes", "acknowledged", "unreliable", "url"}; acknowledged is true with --ack.',
    ...URL_HELP,
  ],
  examples: [
    ["mxp event mxp://KEY@127.0.0.1:9000 deploy.done v1.2.3", "tell a node that something is done"],
    ["mxp event mxp://KEY@127.0.0.1 position 52.5,13.4 --unreliable", "what is only worth something now"],
    ["jq -c . report.json | mxp event mxp://KEY@127.0.0.1 reports -d @- --ack", "and wait until it was accepted"],
    [
      "mxp event mxp://KEY@192.0.2.7/archive order.done 17 --ack --retry 10",
      "tell one agent, until it has accepted it",
    ],
  ],
  async run({ args, flags, settings, console, stop }) {
    const { parseMxpUrl, parsePublicKey } = await import("../mod.ts");
    const url = parseMxpUrl(args[0]!);
    const e2e = flags.e2e === undefined ? undefined : parsePublicKey(flags.e2e, "--e2e");
    const { capability, retry, idempotencyKey } = flags;
    if (url.agent !== undefined && capability !== undefined) {
      throw new CliError("usage", `event: give --capability or /${url.agent} in the URL, not both`);
    }
    if (retry !== undefined && flags.ack !== true) {
      throw new CliError("usage", "event: without --ack nobody knows whether to try again; give both");
    }
    const ack = flags.ack === true, unreliable = flags.unreliable === true;
    if (ack && flags.e2e !== undefined) {
      throw new CliError("usage", "--ack and --e2e exclude each other: an Ack is not sealed; use mxp call to be sure");
    }
    if (ack && unreliable) throw new CliError("usage", "--ack and --unreliable exclude each other");
    const topic = notEmpty(args[1]!, "TOPIC");
    const source = dataSource(args[2], flags.data);
    const { signal } = stop;
    hintUnreadInput(source, console);
    const data = await untilAborted(readData(source), signal);
    // Each attempt has the whole time.
    const isRepeated = (retry ?? 0) > 0;
    const once = new Deadline(settings.timeoutMs);
    const deadline = isRepeated ? new Deadline(0, once.forConnecting) : once;
    const trustNew = flags.trustNew === true;
    const attempts = new Attempts({ ...(retry !== undefined && { retry }) }, console);
    const client = await attempts.connect(
      deadline,
      signal,
      (deadline) =>
        openConnection({
          url,
          settings,
          console,
          deadline,
          signal,
          trustNew,
          lasting: idempotencyKey !== undefined,
        }),
    );
    try {
      const options = {
        ack,
        unreliable,
        metadata: metadata(flags.meta),
        priority: flags.priority,
        compress: flags.compress,
        e2e,
        timeoutMs: isRepeated ? new Deadline(settings.timeoutMs).left : deadline.left,
        signal,
        ...(capability !== undefined && { capability }),
        ...(idempotencyKey !== undefined && { idempotencyKey }),
        ...(retry !== undefined && { attempts: Math.max(1, retry + 1 - attempts.failed) }),
      };
      await client.emit(topic, data, options);
      if (unreliable) await client.ping({ timeoutMs: deadline.left || LONGEST_DELAY_MS, signal });
      else if (!ack) await untilAborted(delivered(client, deadline.left), signal);
    } catch (error) {
      throw explain(error, client.peer.address, settings.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    } finally {
      await client.close();
    }
    stop.release();
    const bytes = typeof data === "string" ? new TextEncoder().encode(data).length : data.length;
    if (console.json) await console.value({ ok: true, topic, bytes, acknowledged: ack, unreliable, url: client.url });
  },
};

/** Waits until the node's transport has the event. */
async function delivered(client: Client, timeoutMs: number): Promise<void> {
  await client.drain({ timeoutMs: timeoutMs === 0 ? LONGEST_DELAY_MS : timeoutMs });
  const { delivered, refused } = client.stats().events;
  if (refused > 0) throw new CliError("refused", `the node at ${client.peer.address} turned the event away`);
  if (delivered === 0) throw new CliError("deadline", "not acknowledged in time");
}

function explain(error: unknown, where: string, timeoutMs: number): unknown {
  if (codeOf(error) !== "deadline") return error;
  const text = `the event was not acknowledged by ${where} within ${formatMilliseconds(timeoutMs)}; ` +
    "it may have arrived; allow more with --timeout";
  return new CliError("deadline", text, { cause: error });
}

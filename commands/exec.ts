/**
 * `--exec`: a process for each call and each stream, so many at a time and no more.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import process from "node:process";
import { type CallContext, type CallHandler, host, MxpError, type StreamHandler } from "../mod.ts";

/** Bytes that are handed to a process at a time; it has to read them before it gets more. */
const CHUNK = 1 << 16;
/** Characters of standard error that the caller is told. */
const MAX_REASON = 280;
/** Metadata that is longer is not passed on: environments have limits. */
const MAX_METADATA = 32_768;
/** Calls that may wait for each one that runs. */
const QUEUE_PER_PROCESS = 16;

/** How an execution ended, for the log. */
export interface Execution {
  /** `ok`, or what went wrong. */
  readonly status: string;
  /** The end of standard error; may hold anything. */
  readonly stderr: string;
}

/** What {@link ExecPool} is made of. */
export interface ExecOptions {
  /** The command line for `sh -c`. */
  readonly command: string;
  /** Processes that may run at a time. */
  readonly limit: number;
  readonly onEnd?: (execution: Execution, context: CallContext) => void;
}

/** Answers calls and streams with what a command prints. */
export class ExecPool {
  readonly #options: ExecOptions;
  readonly #waiting: (() => void)[] = [];
  #taken = 0;

  constructor(options: ExecOptions) {
    this.#options = options;
  }

  /** For `serve`. */
  readonly handler: CallHandler = (payload, context) => this.#run(pieces(payload), context);

  /** The same for streams: chunks on the command's standard input as they come, its output in chunks as it comes. */
  readonly streamHandler: StreamHandler = (stream, context) => this.#run(stream, context);

  /** A place among those that run, now or later. */
  async #take(signal: AbortSignal): Promise<void> {
    const { limit } = this.#options;
    if (this.#taken < limit) {
      this.#taken++;
      return;
    }
    if (this.#waiting.length >= limit * QUEUE_PER_PROCESS) {
      throw new MxpError(
        "overloaded",
        `${limit} commands run and ${this.#waiting.length} calls wait; try again later`,
        {
          retryable: true,
        },
      );
    }
    await new Promise<void>((resolve, reject) => {
      const start = (): void => {
        signal.removeEventListener("abort", giveUp);
        resolve();
      };
      const giveUp = (): void => {
        const at = this.#waiting.indexOf(start);
        if (at >= 0) this.#waiting.splice(at, 1);
        reject(signal.reason);
      };
      if (signal.aborted) return reject(signal.reason);
      signal.addEventListener("abort", giveUp, { once: true });
      this.#waiting.push(start);
    });
  }

  #release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#taken--;
    else next();
  }

  /** The command's output, as it comes; throws at its end if the command failed. Takes a place once somebody reads. */
  async *#run(stdin: AsyncIterable<Uint8Array>, context: CallContext): AsyncGenerator<Uint8Array> {
    const { signal } = context;
    const { command, onEnd } = this.#options;
    await this.#take(signal);
    try {
      const running = host.startCommand(command, { stdin, signal, env: environment(context) });
      let execution: Execution | undefined;
      try {
        yield* running.stdout;
      } finally {
        // Also where somebody stopped reading: the place is only free when the process has gone.
        const { status, stderrTail } = await running.ended;
        execution = { status: statusText(status), stderr: stderrTail.trim() };
        onEnd?.(execution, context);
      }
      if (signal.aborted) throw signal.reason;
      if (execution.status !== "ok") throw new Error(failureText(execution));
    } finally {
      this.#release();
    }
  }
}

/** The payload in pieces that are only taken as fast as the command reads. */
async function* pieces(payload: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < payload.length; at += CHUNK) yield payload.subarray(at, at + CHUNK);
}

function statusText(status: host.CommandStatus): string {
  switch (status.kind) {
    case "exited":
      return status.code === 0 ? "ok" : `exit code ${status.code}`;
    case "signalled":
      return `killed by ${status.signal}`;
    case "not_started":
      return `could not start: ${status.cause instanceof Error ? status.cause.message : status.cause}`;
    case "aborted":
      return "ended, because its answer was not wanted any more";
    case "output_too_large":
    case "input_failed":
      return "ended early";
  }
}

/**
 * The environment of a command: ours, and what is known about the call. Names and values of metadata come from the peer, so
 * they never become names of variables.
 */
function environment(context: CallContext): Record<string, string> {
  const metadata = JSON.stringify(context.metadata);
  const remaining = context.remainingMs();
  const told: Record<string, string | undefined> = {
    MXP_METHOD: context.method,
    MXP_AGENT: context.agent,
    MXP_TRACE_ID: context.traceId,
    MXP_MESSAGE_ID: context.messageId,
    MXP_PEER: context.peer.publicKeyText,
    MXP_SEALED_BY: context.sealedBy && Buffer.from(context.sealedBy).toString("base64url"),
    MXP_PEER_ADDRESS: context.peer.address,
    MXP_REMAINING_MS: Number.isFinite(remaining) ? String(Math.floor(remaining)) : undefined,
    MXP_CONTENT_TYPE: context.contentType,
    MXP_IDEMPOTENCY_KEY: context.idempotencyKey,
    MXP_METADATA: metadata.length <= MAX_METADATA ? metadata : undefined,
  };
  const env: Record<string, string> = {};
  // Empty rather than absent: what we were started with must not be taken for the caller's.
  for (const [name, value] of Object.entries(told)) env[name] = (value ?? "").replaceAll("\0", "");
  const inherited = process.env.TRACEPARENT === undefined ? undefined : "";
  const traceparent = context.traceparent ?? inherited;
  if (traceparent !== undefined) env.TRACEPARENT = traceparent;
  return env;
}

/** One line for the caller: how the command ended, and the last it said. */
function failureText({ status, stderr }: Execution): string {
  const lines = stderr.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  let reason = "";
  for (const line of lines.reverse()) {
    const longer = reason === "" ? line : `${line} | ${reason}`;
    if (longer.length > MAX_REASON) {
      if (reason === "") reason = "…" + line.slice(-MAX_REASON);
      break;
    }
    reason = longer;
  }
  return reason === "" ? status : `${status}: ${reason}`;
}

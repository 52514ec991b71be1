/**
 * What a node says about the calls and streams that it answers, and the events that it gets.
 *
 * @module
 */

import type { Logger } from "@logtape/logtape";
import type { CallContext, CallHandler, EventHandler, RelayedRequest, StreamHandler } from "../mod.ts";
import { codeOf } from "./errors.ts";
import type { Execution } from "./exec.ts";

/** A handler that says when a call is done (`info`) or failed (`warn`), with the trace id that the caller sees, too. */
export function loggedHandler(handler: CallHandler, log: Logger): CallHandler {
  return async (payload, context) => {
    const startedAt = performance.now();
    const bytesIn = payload.length;
    try {
      const result = await handler(payload, context);
      if (isAsyncIterable(result)) return counted(result, startedAt, bytesIn, context, log);
      const bytesOut = result instanceof Uint8Array ? result.length : undefined;
      log.info("call ok", facts(context, startedAt, bytesIn, bytesOut));
      return result;
    } catch (error) {
      logFailure(error, startedAt, bytesIn, context, log);
      throw error;
    }
  };
}

/** Characters of an event's data that are logged. */
const MAX_EVENT_TEXT = 200;

/** The same for streams. */
export function loggedStream(handler: StreamHandler, log: Logger): StreamHandler {
  return async (stream, context) => {
    const startedAt = performance.now();
    const told = (): Record<string, unknown> => {
      const { read, written } = stream.transferred;
      return facts(context, startedAt, read, written);
    };
    try {
      const chunks = await handler(stream, context);
      if (isAsyncIterable(chunks)) { for await (const chunk of chunks) await stream.write(chunk); }
      log.info("stream ok", told());
    } catch (error) {
      tell("stream", told(), failure(error), log);
      throw error;
    }
  };
}

/** Takes events by telling of them. */
export function eventLog(log: Logger): EventHandler {
  return (topic, data, context) => {
    if (!log.isEnabledFor("info")) return;
    const text = new TextDecoder().decode(data.subarray(0, MAX_EVENT_TEXT));
    log.info("event", {
      topic,
      bytes: data.length,
      data: data.length === 0 ? undefined : text + (data.length > MAX_EVENT_TEXT ? "…" : ""),
      trace: context.traceId,
      peer: context.peer.publicKeyText,
      from: context.peer.address,
    });
  };
}

/** Tells of what a node passes on to agents. */
export function relayLog(log: Logger): (request: RelayedRequest) => void {
  return ({ kind, outcome, traceId, peer, agentId, name }) => {
    const from = { peer: peer.publicKeyText, from: peer.address };
    log.info(`${kind} passed on`, { outcome, trace: traceId, ...from, agent: name, id: agentId });
  };
}

/** How a process of `--exec` ended, with what it said on standard error. */
export function logExecution(execution: Execution, context: CallContext, log: Logger): void {
  const { status, stderr } = execution;
  log.debug("process ended", { trace: context.traceId, status, stderr: stderr === "" ? undefined : stderr });
}

/** Passes an answer on and says how it went once it is over. */
async function* counted(
  chunks: AsyncIterable<Uint8Array | string>,
  startedAt: number,
  bytesIn: number,
  context: CallContext,
  log: Logger,
): AsyncGenerator<Uint8Array | string> {
  let bytesOut = 0, finished = false, failed = false;
  try {
    for await (const chunk of chunks) {
      bytesOut += chunk.length;
      yield chunk;
    }
    finished = true;
  } catch (error) {
    failed = true;
    logFailure(error, startedAt, bytesIn, context, log);
    throw error;
  } finally {
    if (finished) log.info("call ok", facts(context, startedAt, bytesIn, bytesOut));
    // Whoever reads stopped in the middle: the answer was too large, or the caller has gone.
    else if (!failed) tell("call", facts(context, startedAt, bytesIn, bytesOut), abandonment(context), log);
  }
}

function logFailure(error: unknown, startedAt: number, bytesIn: number, context: CallContext, log: Logger): void {
  tell("call", facts(context, startedAt, bytesIn, undefined), failure(error), log);
}

/** Who gives up has nothing to warn of, as little as the one of two agents whose answer came second. */
function tell(what: "call" | "stream", facts: Record<string, unknown>, why: { readonly code: string }, log: Logger) {
  if (why.code === "cancelled") log.info(`${what} cancelled`, { ...facts, ...why });
  else log.warn(`${what} failed`, { ...facts, ...why });
}

/** Why nobody wanted the rest of an answer. */
function abandonment({ signal }: CallContext): { readonly code: string } {
  return { code: signal.aborted && codeOf(signal.reason) === "cancelled" ? "cancelled" : "abandoned" };
}

function failure(error: unknown): { readonly code: string; readonly error: string } {
  const code = codeOf(error);
  return {
    code: code === "internal" ? "agent_error" : code,
    error: error instanceof Error ? error.message : String(error),
  };
}

function facts(
  context: CallContext,
  startedAt: number,
  bytesIn: number,
  bytesOut: number | undefined,
): Record<string, unknown> {
  return {
    trace: context.traceId,
    peer: context.peer.publicKeyText,
    from: context.peer.address,
    agent: context.agent,
    method: context.method,
    in: bytesIn,
    out: bytesOut,
    ms: Math.round((performance.now() - startedAt) * 1000) / 1000,
  };
}

function isAsyncIterable(value: unknown): value is AsyncIterable<Uint8Array | string> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

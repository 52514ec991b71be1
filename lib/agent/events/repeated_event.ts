/**
 * Sends an event again and again until it is accepted.
 *
 * @module
 */

import { toBase64Url } from "../../base/bytes.ts";
import { MxpError } from "../../base/errors.ts";
import type { Random } from "../../base/random.ts";
import { MAX_PAYLOAD_BYTES } from "../../codec/message_header.ts";
import { bodyUnlessAborted, type CallBody } from "../call_body.ts";
import type { EventOptions } from "../client_types.ts";
import { checkTopic } from "./emitter.ts";
import { pauseBefore } from "../pause.ts";

/** Bytes of a random idempotency key. */
const KEY_BYTES = 16;

/** What sends events over one connection. */
export interface EventSender {
  /** Whether its connection has ended. */
  readonly isOver: boolean;
  emit(topic: string, data: CallBody | undefined, options: EventOptions): Promise<void>;
  close(): Promise<void>;
}

/** What is needed to repeat an event. */
export interface RepeatedEventParts {
  readonly sender: EventSender;
  /** Another connection to the same node. */
  readonly reconnect: (signal: AbortSignal) => Promise<EventSender>;
  readonly random: Random;
  /** Aborted when whoever sends is closed: nothing is tried from then on. */
  readonly closing?: AbortSignal;
}

/** See `EventOptions.attempts`. @throws {MxpError} what the last attempt has failed with. */
export async function emitRepeatedly(
  parts: RepeatedEventParts,
  topic: string,
  body: CallBody | undefined,
  { attempts = 1, ...options }: EventOptions,
): Promise<void> {
  if (!(Number.isInteger(attempts) && attempts >= 1)) {
    throw new MxpError("usage", `attempts must be a whole number from 1 on, got ${attempts}`);
  }
  if (options.unreliable) throw new MxpError("usage", "an event is either unreliable or sent until it is accepted");
  checkTopic(topic);
  const { signal } = options;
  // An iterable can be read once.
  const data = await bodyUnlessAborted(body, MAX_PAYLOAD_BYTES, "the event", signal);
  if (data === undefined) throw cancelled(signal);
  const repeated = { ...options, ack: true, idempotencyKey: options.idempotencyKey ?? randomKey(parts.random) };
  const { closing = new AbortController().signal } = parts;
  const stop = signal === undefined ? closing : AbortSignal.any([signal, closing]);
  let { sender } = parts;
  try {
    for (let attempt = 1;; attempt++) {
      try {
        if (sender.isOver && attempt > 1) {
          if (sender !== parts.sender) await sender.close();
          sender = await parts.reconnect(stop);
        }
        return await sender.emit(topic, data, repeated);
      } catch (error) {
        if (closing.aborted) throw closedMeanwhile(error);
        if (attempt >= attempts || !mayRepeat(error)) throw error;
      }
      await pauseBefore(attempt - 1, parts.random, stop);
      if (signal?.aborted) throw cancelled(signal);
      if (closing.aborted) throw closedMeanwhile(undefined);
    }
  } finally {
    if (sender !== parts.sender) await sender.close();
  }
}

/** Whether the event may be accepted if it is sent again. */
function mayRepeat(error: unknown): boolean {
  return error instanceof MxpError && (error.retryable || error.code === "deadline");
}

function randomKey(random: Random): string {
  const bytes = new Uint8Array(KEY_BYTES);
  random.fillPublic(bytes);
  return toBase64Url(bytes);
}

function closedMeanwhile(cause: unknown): MxpError {
  if (cause instanceof MxpError && cause.code === "closed") return cause;
  return new MxpError("closed", "the client was closed before the event was accepted", { cause });
}

function cancelled(signal: AbortSignal | undefined): MxpError {
  return new MxpError("cancelled", "the event was cancelled", { cause: signal?.reason });
}

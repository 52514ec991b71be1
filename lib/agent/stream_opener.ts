/**
 * The agent streams that a client opens.
 *
 * @module
 */

import { MxpError } from "../base/errors.ts";
import { type Micros, NEVER } from "../base/time.ts";
import { uuidV4 } from "../base/uuid.ts";
import { StreamClass } from "../transport/scheduler.ts";
import { asMxpError, type ClientCore } from "./client_core.ts";
import type { StreamOptions } from "./client_types.ts";
import type { MxpStream } from "./mxp_stream.ts";
import { streamClassOf } from "./priority.ts";
import { MAX_DEADLINE_MS, metadataOf } from "./request_metadata.ts";
import { checkTimeout } from "./time_limit.ts";

/** Opens an agent stream; see `Client.stream`. */
export function openStream(core: ClientCore, method: string | undefined, options: StreamOptions): MxpStream {
  const { timeoutMs = 0, signal, capability } = options;
  checkTimeout(timeoutMs);
  if (capability !== undefined && options.agent !== undefined) {
    throw new MxpError("usage", "a stream goes to an agent or to a capability; give one of them");
  }
  const agent = capability === undefined ? options.agent ?? core.url.agent : undefined;
  core.checkOpen();
  core.session.begin();
  const targetText = core.targetText(agent);
  if (signal?.aborted) {
    throw new MxpError("cancelled", `the stream to ${targetText} was cancelled`, { cause: signal.reason });
  }
  const streamId = new Uint8Array(16);
  core.platform.random.fillPublic(streamId);
  core.ids.next();
  const metadata = metadataOf(options, method, timeoutMs);
  const { traceHigh, traceLow } = core.trace(metadata, options.traceId);
  const isEndless = timeoutMs === 0 || timeoutMs === Infinity;
  try {
    return core.session.streams.open({
      idHigh: core.ids.high,
      idLow: core.ids.low,
      traceHigh,
      traceLow,
      streamId: uuidV4(streamId),
      target: core.target(agent),
      kind: options.unidirectional ? "unidirectional" : "bidirectional",
      metadata: isEndless ? metadata : { ...metadata, deadlineMillis: Math.min(Math.ceil(timeoutMs), MAX_DEADLINE_MS) },
      streamClass: streamClassOf(options.priority, StreamClass.INTERACTIVE),
      deadline: isEndless ? NEVER : (core.session.driver.clock.now() + timeoutMs * 1000) as Micros,
      timeoutMs,
      targetText,
      signal,
    }).mxpStream;
  } catch (error) {
    throw asMxpError(error);
  }
}

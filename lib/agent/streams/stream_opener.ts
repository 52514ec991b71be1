/**
 * The agent streams that a client opens.
 *
 * @module
 */

import { MxpError } from "../../base/errors.ts";
import { type Micros, NEVER } from "../../base/time.ts";
import { uuidV4 } from "../../base/uuid.ts";
import { RESUME_TOKEN_BYTES } from "../../codec/payloads/stream_open.ts";
import { LEAST_BUFFER_BYTES } from "../../mesh/resumable_end.ts";
import { StreamClass } from "../../transport/scheduler.ts";
import { asMxpError, type ClientCore } from "../client_core.ts";
import type { StreamOptions } from "../client_types.ts";
import type { MxpStream } from "./mxp_stream.ts";
import { streamClassOf } from "../priority.ts";
import { MAX_DEADLINE_MS, metadataOf } from "../request_metadata.ts";
import type { StreamRequest } from "./outgoing_stream.ts";
import type { ResumeOptions } from "./resumable_outgoing.ts";
import { openingPacking } from "../packing/stream_packing.ts";
import { checkTimeout } from "../time_limit.ts";

const DEFAULT_BUFFER_BYTES = 1 << 20;
const MAX_BUFFER_BYTES = 64 << 20;

/** Opens an agent stream; see `Client.stream`. */
export function openStream(core: ClientCore, method: string | undefined, options: StreamOptions): MxpStream {
  const { timeoutMs = 0, signal, capability } = options;
  checkTimeout(timeoutMs);
  if (capability !== undefined && options.agent !== undefined) {
    throw new MxpError("usage", "a stream goes to an agent or to a capability; give one of them");
  }
  const agent = capability === undefined ? options.agent ?? core.url.agent : undefined;
  const resume = resumeOptions(core, options.resume);
  if (resume !== undefined && (options.compress === true || options.e2e !== undefined)) {
    throw new MxpError(
      "usage",
      "a stream that is resumable is neither compressed nor sealed; leave out one or the other",
    );
  }
  core.checkOpen();
  core.session.begin();
  const targetText = core.targetText(agent);
  if (signal?.aborted) {
    throw new MxpError("cancelled", `the stream to ${targetText} was cancelled`, { cause: signal.reason });
  }
  const streamId = new Uint8Array(16);
  core.platform.random.fillPublic(streamId);
  core.ids.next();
  const all = metadataOf(options, method, timeoutMs);
  const trace = core.trace(all, options.traceId);
  const isEndless = timeoutMs === 0 || timeoutMs === Infinity;
  try {
    const target = core.target(agent);
    const packing = openingPacking(core.platform, core.identity, options, trace, target, all, core.url.publicKey);
    const metadata = packing === undefined ? all : packing.metadata;
    const request: StreamRequest = {
      idHigh: core.ids.high,
      idLow: core.ids.low,
      ...trace,
      streamId: uuidV4(streamId),
      target,
      kind: options.unidirectional ? "unidirectional" : "bidirectional",
      metadata: isEndless ? metadata : { ...metadata, deadlineMillis: Math.min(Math.ceil(timeoutMs), MAX_DEADLINE_MS) },
      streamClass: streamClassOf(options.priority, StreamClass.INTERACTIVE),
      deadline: isEndless ? NEVER : (core.session.driver.clock.now() + timeoutMs * 1000) as Micros,
      timeoutMs,
      targetText,
      signal,
      packing,
    };
    const { streams } = core.session;
    if (resume === undefined) return streams.open(request).mxpStream;
    return streams.openResumable(request, resume, core.resumer!).mxpStream;
  } catch (error) {
    throw asMxpError(error);
  }
}

/** What is asked for, with a secret of its own. @throws {MxpError} `usage`. */
function resumeOptions(core: ClientCore, resume: StreamOptions["resume"]): ResumeOptions | undefined {
  if (resume === undefined || resume === false) return undefined;
  if (core.resumer === undefined) {
    throw new MxpError("usage", "a stream to who has called us ends with its connection; only a client's can go on");
  }
  const { bufferBytes = DEFAULT_BUFFER_BYTES, windowMs = 0 } = resume === true ? {} : resume;
  if (!(bufferBytes >= LEAST_BUFFER_BYTES && bufferBytes <= MAX_BUFFER_BYTES)) {
    const bounds = `${LEAST_BUFFER_BYTES} to ${MAX_BUFFER_BYTES} bytes`;
    throw new MxpError("usage", `the buffer of a resumable stream has ${bounds}, not ${bufferBytes}`);
  }
  if (!(windowMs >= 0 && windowMs <= 0xffff_ffff)) {
    throw new MxpError("usage", `a stream waits 0 to ${0xffff_ffff} ms for its opener, not ${windowMs}`);
  }
  const token = new Uint8Array(RESUME_TOKEN_BYTES);
  core.platform.random.fillSecret(token);
  const { clock } = core.session.driver;
  return { token, bufferBytes: Math.floor(bufferBytes), windowMs: Math.ceil(windowMs), clock };
}

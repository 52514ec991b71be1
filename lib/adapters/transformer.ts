/**
 * The transformer: changes what goes in, what comes back, or both.
 *
 * @module
 */

import type { CallContext } from "../agent/call_context.ts";
import { bodyBytes, type CallBody } from "../agent/call_body.ts";
import type { StreamData } from "../agent/streams/mxp_stream.ts";
import { type Adapter, adapter, asBytes, type Destination, wayTo } from "./destination.ts";

const MAX_BYTES = 16 << 20;

/** What a transformer does; what is left out stays as it is. */
export interface Transformation {
  /** Of a call: what goes in. */
  readonly request?: (payload: Uint8Array<ArrayBuffer>, context: CallContext) => CallBody | Promise<CallBody>;
  /** Of a call: what comes back. */
  readonly answer?: (answer: Uint8Array<ArrayBuffer>, context: CallContext) => CallBody | Promise<CallBody>;
  /** Of an agent stream: the chunks that go in. It may cut them otherwise, add some or leave some out. */
  readonly requestChunks?: (chunks: AsyncIterable<Uint8Array>, context: CallContext) => AsyncIterable<StreamData>;
  /** Of an agent stream: the chunks that come back. */
  readonly answerChunks?: (chunks: AsyncIterable<Uint8Array>, context: CallContext) => AsyncIterable<StreamData>;
}

/**
 * Changes requests on their way to `to`, and answers on their way back. Chunks of streams go through as they come; nothing is collected.
 *
 * @throws {MxpError} `usage` for what is no destination.
 *
 * @example
 * ```ts
 * import { connect, serve } from "../../mod.ts";
 * import { transformer } from "./transformer.ts";
 *
 * const add = (payload: Uint8Array) => {
 *   const [a, b] = JSON.parse(new TextDecoder().decode(payload));
 *   return JSON.stringify(a + b);
 * };
 * await using server = await serve({ listen: "127.0.0.1:0" }, transformer(add, {
 *   request: (payload) => JSON.stringify(new TextDecoder().decode(payload).split("+").map(Number)),
 *   answer: (answer) => `= ${new TextDecoder().decode(answer)}`,
 * }));
 * await using client = await connect(server.url);
 * console.log((await client.call("40+2")).text()); // = 42
 * ```
 */
export function transformer(to: Destination, transformation: Transformation): Adapter {
  const { ask, pipe } = wayTo(to);
  const { request, answer, requestChunks, answerChunks } = transformation;
  return adapter({
    call: async (payload, context, signal) => {
      const changed = request === undefined ? payload : await request(payload, context);
      const body = await bodyBytes(changed, MAX_BYTES, "the changed request") as Uint8Array<ArrayBuffer>;
      const bytes = await ask(body, context, signal);
      return answer === undefined ? bytes : await bodyBytes(await answer(bytes, context), MAX_BYTES, "the answer");
    },
    pipe: async function* (chunks, context, signal) {
      const changed = requestChunks === undefined ? chunks : asBytes(requestChunks(chunks, context));
      const answers = asBytes(pipe(changed, context, signal));
      yield* answerChunks === undefined ? answers : asBytes(answerChunks(answers, context));
    },
  });
}

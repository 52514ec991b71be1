/**
 * The router: looks at a request, and sends it where it belongs.
 *
 * @module
 */

import { MxpError } from "../base/errors.ts";
import type { CallContext } from "../agent/call_context.ts";
import { quote } from "../agent/quote.ts";
import { type Adapter, adapter, type Destination, type Way, wayTo } from "./destination.ts";

/** What a route can look at. */
export interface RoutedRequest {
  /** Method, metadata, content type, peer and the like. */
  readonly context: CallContext;
  /** The content of a call; empty for an agent stream, which has none yet. */
  readonly payload: Uint8Array;
  /** The content as text, with replacement characters for what is none. */
  text(): string;
}

/** One way that requests may go. */
export interface Route {
  /** The method, or whatever a function says of the request. */
  readonly when: string | ((request: RoutedRequest) => boolean | Promise<boolean>);
  /** Where to. */
  readonly to: Destination;
}

const NOTHING = new Uint8Array(0);

/**
 * Sends each request to the first of its routes that fits: by method, where routes are given by name, or by whatever a function sees in its
 * method, metadata, peer or content. What fits none goes to `otherwise`; without it, it fails with `agent_error`.
 *
 * @throws {MxpError} `usage` for what is no route.
 *
 * @example
 * ```ts
 * import { connect, serve } from "../../mod.ts";
 * import { router } from "./router.ts";
 *
 * const text = (payload: Uint8Array) => new TextDecoder().decode(payload);
 * await using server = await serve({ listen: "127.0.0.1:0" }, router([
 *   { when: "upper", to: (payload) => text(payload).toUpperCase() },
 *   { when: (request) => request.text().startsWith("{"), to: (payload) => Object.keys(JSON.parse(text(payload))).join() },
 * ], (payload) => payload));
 * await using client = await connect(server.url);
 * console.log((await client.call("upper", "hello")).text()); // HELLO
 * console.log((await client.call('{"a":1,"b":2}')).text()); // a,b
 * console.log((await client.call("anything else")).text()); // anything else
 * ```
 */
export function router(
  routes: Readonly<Record<string, Destination>> | readonly Route[],
  otherwise?: Destination,
): Adapter {
  const list: readonly Route[] = Array.isArray(routes)
    ? routes
    : Object.entries(routes as Record<string, Destination>).map(([when, to]) => ({ when, to }));
  const ways = list.map(({ when, to }) => ({ when, way: wayTo(to) }));
  for (const { when } of ways) {
    if (typeof when === "string" || typeof when === "function") continue;
    throw new MxpError("usage", `a route's when is a method or a function, got ${typeof when}`);
  }
  const last = otherwise === undefined ? undefined : wayTo(otherwise);

  const find = async (payload: Uint8Array, context: CallContext): Promise<Way> => {
    const request = { payload, context, text: () => new TextDecoder().decode(payload) };
    for (const { when, way } of ways) {
      if (typeof when === "string" ? context.method === when : await when(request)) return way;
    }
    if (last !== undefined) return last;
    const { method } = context;
    throw new MxpError("agent_error", method === undefined ? "no route for this" : `no route for ${quote(method)}`);
  };
  return adapter({
    call: async (payload, context, signal) => await (await find(payload, context)).ask(payload, context, signal),
    pipe: async function* (chunks, context, signal) {
      const way = await find(NOTHING, context);
      yield* way.pipe(chunks, context, signal);
    },
  });
}

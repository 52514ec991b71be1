/**
 * Small functions that make handlers out of handlers and agents: {@link router}, {@link aggregator}, {@link transformer}, {@link broadcaster},
 * {@link sentinel}, and {@link forward}. What they give back is handlers for `serve` and `register`, and a destination for each other, so
 * that they go into each other. Deadlines, cancellation, traces and priorities go along to agents.
 *
 * @example
 * ```ts
 * import { connect, serve } from "../../mod.ts";
 * import { aggregator, router, sentinel, transformer } from "./mod.ts";
 *
 * const shout = (payload: Uint8Array) => new TextDecoder().decode(payload).toUpperCase();
 * const chorus = aggregator([shout, shout], {
 *   combine: (answers) => answers.map((answer) => answer.ok ? answer.text() : "…").join(" "),
 * });
 * await using server = await serve({ listen: "127.0.0.1:0" }, sentinel(
 *   router({ shout, chorus, greet: transformer(shout, { answer: (answer) => `${new TextDecoder().decode(answer)}!` }) }),
 *   { rate: { perSecond: 1_000 } },
 * ));
 * await using client = await connect(server.url);
 * console.log((await client.call("chorus", "hey")).text()); // HEY HEY
 * console.log((await client.call("greet", "hey")).text()); // HEY!
 * ```
 *
 * @module
 */

export { type Adapter, type Destination, forward, type LocalParts, type Pipe, type Step } from "./destination.ts";
export { type Route, type RoutedRequest, router } from "./router.ts";
export { aggregator, type AggregatorOptions } from "./aggregator.ts";
export type { Answer, Destinations } from "./fan_out.ts";
export { type Transformation, transformer } from "./transformer.ts";
export { type Broadcaster, broadcaster, type BroadcasterOptions, type BroadcastReport } from "./broadcaster.ts";
export {
  type Sentinel,
  sentinel,
  type SentinelEntry,
  type SentinelOptions,
  type SentinelRefusal,
  type SentinelStats,
} from "./sentinel.ts";
export type { BreakerOptions } from "./circuit_breaker.ts";

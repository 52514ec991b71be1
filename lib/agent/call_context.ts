/**
 * What a handler knows of the call, agent stream or event that it answers.
 *
 * @module
 */

import { toBase64Url } from "../base/bytes.ts";
import { formatId64 } from "../mesh/id_sequence.ts";
import { ContextClient, type ContextTarget } from "./onward/context_client.ts";
import type { IncomingRequest } from "./incoming_request.ts";
import type { Onward } from "./onward/onward.ts";
import type { PeerInfo } from "./peer_info.ts";
import type { Priority } from "./priority.ts";

/**
 * A handler's view of its call, stream or event. Everything is computed when it is asked for: a handler that ignores its context costs
 * nothing.
 *
 * @example
 * ```ts
 * import { serve } from "../../mod.ts";
 * await using server = await serve({ listen: "127.0.0.1:0" }, async (payload, context) => {
 *   const answer = await fetch("http://127.0.0.1/", { signal: context.signal, method: "POST", body: payload });
 *   return await answer.arrayBuffer();
 * });
 * ```
 */
export class CallContext {
  readonly #call: IncomingRequest;
  readonly #onward: Onward;

  /** Contexts are made by the server, one for each call, stream or event. */
  constructor(call: IncomingRequest, onward: Onward) {
    this.#call = call;
    this.#onward = onward;
  }

  /**
   * Aborted when the deadline passes, the caller gives up, the connection ends or the server closes; its reason is an
   * `MxpError`.
   */
  get signal(): AbortSignal {
    return this.#call.signal;
  }

  /** Milliseconds until the caller's deadline; 0 once it has passed, `Infinity` if there is none. */
  remainingMs(): number {
    return this.#call.remainingMs();
  }

  /**
   * Calls others because of this request: an agent at the node over which the request came, by its name, UUID or
   * `{ capability }`; a node or an agent elsewhere, by its `mxp://` URL, which needs the node's public key or a known peer; or, without a
   * target, whoever this request came from, over the same connection. What goes along is said at {@link ContextClient}.
   *
   * An agent that is registered at a node finds others there, over the connection that it has. In a node's own handlers,
   * names and capabilities are looked up at the node itself. Connections to URLs are shared, made as who the server or client is, and closed
   * after a minute without use. Where a URL leads is up to whoever has written it: take none from a caller without looking at it.
   *
   * @throws {MxpError} `usage` for what is no target. Whether it can be reached shows when it is called.
   */
  client(target?: ContextTarget): ContextClient {
    return new ContextClient(this.#call, this.#onward, target);
  }

  /** Who calls: the public key that the connection proved. Over the plain carrier (`peer.carrier`) there is none. */
  get peer(): PeerInfo {
    return this.#call.peer;
  }

  /**
   * The key, 32 bytes, of who sealed the request end to end, wherever {@link peer} is a node on the way; undefined for a request that was not
   * sealed. What of the call came sealed (data, method, metadata, content type, idempotency key) is that sender's own.
   */
  get sealedBy(): Uint8Array | undefined {
    return this.#call.sealedBy;
  }

  /**
   * Who an event is from, as the node says that has passed it on to this agent: the public key as it stands in URLs. Undefined if {@link peer} sent it, and
   * for everything that is no event.
   */
  get publisher(): string | undefined {
    const { publisher } = this.#call;
    return publisher === undefined ? undefined : toBase64Url(publisher);
  }

  /** The caller's key/value pairs; empty if it sent none. */
  get metadata(): Readonly<Record<string, string>> {
    return this.#call.details.values;
  }

  /** W3C trace context of the caller. */
  get traceparent(): string | undefined {
    return this.#call.details.traceparent;
  }

  /** Ties log lines on both sides together: 16 hex digits. */
  get traceId(): string {
    return formatId64(this.#call.traceHigh, this.#call.traceLow);
  }

  /** The call's message id, 16 hex digits. Unique within its connection. */
  get messageId(): string {
    return formatId64(this.#call.idHigh, this.#call.idLow);
  }

  /** Which method is called. */
  get method(): string | undefined {
    return this.#call.details.method;
  }

  /** Which agent is called: a UUID or a name; undefined if it is the node itself. */
  get agent(): string | undefined {
    return this.#call.agent;
  }

  /**
   * Whether the call came with the first UDP datagram of a resumed connection. No copy of that datagram makes it come twice, but its caller, who had
   * called it idempotent, repeats it if the answer does not reach him.
   */
  get early(): boolean {
    return this.#call.early;
  }

  /** Which attempt of the caller at the same call this is, as far as it says: 0 is the first. */
  get attempt(): number {
    return this.#call.details.attempt?.number ?? 0;
  }

  /** Calls with the same key are meant to take effect once. The library sees to it for some minutes; who needs more keeps keys itself. */
  get idempotencyKey(): string | undefined {
    return this.#call.details.idempotencyKey;
  }

  /** How urgent it is, if its caller has said so. */
  get priority(): Priority | undefined {
    return this.#call.details.priority;
  }

  /** Media type of the payload. */
  get contentType(): string | undefined {
    return this.#call.details.contentType;
  }
}

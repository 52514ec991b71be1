/**
 * Runs the handler of events, whichever way they came.
 *
 * @module
 */

import type { CallContext } from "./call_context.ts";
import type { EventHandler } from "./handlers.ts";
import type { IncomingRequest } from "./incoming_request.ts";
import type { Onward } from "./onward.ts";

/** What a server counts about events. */
export interface EventCounters {
  /** Events that arrived whole. */
  total: number;
  /** Handlers that came back well. */
  ok: number;
  /** Handlers that failed. */
  failed: number;
  /** Turned away: malformed, too large, or with nobody to take them. */
  refused: number;
  /** Unreliable ones that arrived while too many handlers ran. */
  dropped: number;
}

/** What a dispatcher of events takes from the server. */
export interface EventDispatcherOptions {
  readonly handler: EventHandler | undefined;
  /** The ways that it has to others. */
  readonly onward: Onward;
  /** A handler runs; the result is called when it has come back. */
  readonly begin: () => () => void;
  readonly report: (error: unknown, context: CallContext) => void;
}

/** One for a server. */
export class EventDispatcher {
  readonly counters: EventCounters = { total: 0, ok: 0, failed: 0, refused: 0, dropped: 0 };
  readonly #options: EventDispatcherOptions;
  #running = 0;

  constructor(options: EventDispatcherOptions) {
    this.#options = options;
  }

  /** Whether anybody listens. */
  get hasHandler(): boolean {
    return this.#options.handler !== undefined;
  }

  /** Handlers that have not come back. */
  get running(): number {
    return this.#running;
  }

  /** Runs the handler. `done` is called once, at once or later, with what it threw if it failed. */
  dispatch(request: IncomingRequest, data: Uint8Array, done: (failure?: { readonly error: unknown }) => void): void {
    const { handler, onward, begin, report } = this.#options;
    this.counters.total++;
    const context = request.context(onward);
    const failed = (error: unknown): void => {
      this.counters.failed++;
      report(error, context);
      done({ error });
    };
    const succeeded = (): void => {
      this.counters.ok++;
      done();
    };
    let result: void | Promise<void>;
    try {
      result = handler!(request.topic!, data as Uint8Array<ArrayBuffer>, context);
    } catch (error) {
      failed(error);
      return;
    }
    if (typeof result !== "object" || result === null || typeof result.then !== "function") {
      succeeded();
      return;
    }
    const ended = begin();
    this.#running++;
    const settle = (finish: () => void): void => {
      this.#running--;
      finish();
      ended();
    };
    result.then(() => settle(succeeded), (error: unknown) => settle(() => failed(error)));
  }
}

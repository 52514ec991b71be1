/**
 * A watch that goes on over another connection when its own was lost: what has changed meanwhile is told as if it had been
 * seen.
 *
 * @module
 */

import type { Random } from "../../base/random.ts";
import { type Agent, type AgentQuery } from "./agent_card.ts";
import { asMxpError } from "../client_core.ts";
import type { AgentChange, LifecycleClient } from "./lifecycle_client.ts";
import { isLoss, pauseBefore } from "../pause.ts";

/** What a watch may be told. */
export interface WatchOptions {
  /** Ends it, by an error `cancelled`. */
  readonly signal?: AbortSignal;
  /**
   * Goes on over a connection of its own when the connection was lost, as often as need be, until the consumer stops or the node
   * refuses. What has changed meanwhile is told as soon as the node lists its agents again, and then `listed` once more.
   */
  readonly reconnect?: boolean;
  /** Told when the connection was lost and is tried again, and when the node has listed its agents again. */
  readonly onState?: (state: "reconnecting" | "watching") => void;
}

/** What a watch works with. */
export interface WatchLink {
  readonly lifecycle: LifecycleClient;
  /** Makes another connection to the same node. */
  readonly reconnect: (signal: AbortSignal) => Promise<WatchLink>;
  /** Ends the connection, if it is one that {@link reconnect} made. */
  readonly close: () => Promise<void>;
}

/** See `Client.watch`. */
export async function* watchRepeatedly(
  first: WatchLink,
  query: AgentQuery,
  options: WatchOptions,
  random: Random,
): AsyncGenerator<AgentChange, void, void> {
  const { reconnect = false, onState } = options;
  const signal = options.signal ?? new AbortController().signal;
  /** What the consumer knows, whatever connection it was told over. */
  const known = new Map<string, Agent>();
  let link = first;
  let attempt = 0;
  let isLost = false;
  const tell = (state: "reconnecting" | "watching"): void => {
    try {
      onState?.(state);
    } catch {
      // A listener that fails must not end the watch.
    }
  };
  try {
    for (;;) {
      try {
        for await (const change of link.lifecycle.watch(query, { signal }, known)) {
          if (change.type === "listed") {
            attempt = 0;
            if (isLost) tell("watching");
            isLost = false;
          }
          yield change;
        }
        return;
      } catch (error) {
        if (!reconnect || signal.aborted || !isLoss(asMxpError(error))) throw error;
      }
      if (!isLost) tell("reconnecting");
      isLost = true;
      if (link !== first) await link.close();
      link = first;
      do {
        await pauseBefore(attempt++, random, signal);
        try {
          link = await first.reconnect(signal);
        } catch (error) {
          if (signal.aborted || !isLoss(asMxpError(error))) throw error;
        }
      } while (link === first);
    }
  } finally {
    if (link !== first) await link.close();
  }
}

/**
 * What a node's log says about decisions: who connected, who registered, what was denied, what administrators did. One
 * line each, at the level `info`.
 *
 * @module
 */

import type { Logger } from "@logtape/logtape";
import type { AccessDecision, PeerInfo, RegistryEvent } from "../mod.ts";

/** Lines about denials, of one key within a second; the others are counted. */
const LINES_PER_KEY = 5;
/** The same for all keys together: whoever floods a log may make keys as he likes. */
const LINES_ALTOGETHER = 50;
const WINDOW_MS = 1_000;
/** Characters of a text that a peer chose. */
const MAX_TEXT = 200;

/** What a line says beside the peer. */
interface Facts {
  readonly action: string;
  readonly agent?: string;
  readonly name?: string;
  readonly capabilities?: readonly string[];
  readonly topic?: string;
  readonly reason?: string;
}

/** A peer's words; no line becomes longer than it helps, whatever the format. */
function clipped(text: string | undefined): string | undefined {
  return text !== undefined && text.length > MAX_TEXT ? text.slice(0, MAX_TEXT) + "…" : text;
}

/** Writes the lines. */
export class Audit {
  readonly #log: Logger;
  readonly #windowMs: number;
  /** Denials of this window by key; never more than {@link LINES_ALTOGETHER}. */
  readonly #denials = new Map<string, number>();
  #lines = 0;
  #suppressed = 0;
  #window: ReturnType<typeof setTimeout> | undefined;

  /** @param windowMs over which denials are counted. */
  constructor(log: Logger, windowMs = WINDOW_MS) {
    this.#log = log;
    this.#windowMs = windowMs;
  }

  /** For `serve`. */
  readonly onDecision = (decision: AccessDecision): void => {
    const { allowed, action, peer, agentId, name, capabilities, topic, reason } = decision;
    this.#tell(allowed, peer, { action, agent: agentId, name, capabilities, topic, reason });
  };

  /** For its registry. */
  readonly onRegistryEvent = (event: RegistryEvent): void => {
    const { type, agentId: agent, name, peer, reason, request = "registry" } = event;
    switch (type) {
      case "not_stored":
        return this.#log.error("registry not stored", { reason });
      case "refused":
        return this.#tell(false, peer!, { action: request, agent, name, reason });
      case "registered":
        return this.#tell(true, peer!, { action: "register", agent, name });
      case "deregistered":
        return this.#tell(true, peer!, { action: "deregister", agent, name });
    }
  };

  #tell(allowed: boolean, { publicKeyText, address, carrier }: PeerInfo, facts: Facts): void {
    if (!this.#log.isEnabledFor("info") || (!allowed && !this.#mayTell(publicKeyText))) return;
    const { action, agent, name, capabilities, topic, reason } = facts;
    const decision = allowed ? "allowed" : "denied";
    const said = {
      agent,
      name: clipped(name),
      capabilities: clipped(capabilities?.join(",")),
      topic: clipped(topic),
      reason: clipped(reason),
    };
    this.#log.info("audit", { action, decision, peer: publicKeyText, from: address, carrier, ...said });
  }

  /** Whether there is room for one more line about a denial. */
  #mayTell(key: string): boolean {
    if (this.#window === undefined) {
      this.#window = setTimeout(() => this.#endWindow(), this.#windowMs);
      // A node that ends does not wait for it.
      this.#window.unref();
    }
    const before = this.#denials.get(key) ?? 0;
    if (before >= LINES_PER_KEY || this.#lines >= LINES_ALTOGETHER) {
      this.#suppressed++;
      return false;
    }
    this.#denials.set(key, before + 1);
    this.#lines++;
    return true;
  }

  #endWindow(): void {
    const [suppressed, keys] = [this.#suppressed, this.#denials.size];
    this.#window = undefined;
    this.#denials.clear();
    this.#lines = this.#suppressed = 0;
    if (suppressed > 0) this.#log.info("audit", { action: "suppressed", decision: "denied", lines: suppressed, keys });
  }
}

/**
 * Brings a registry's changes to its store. Whoever registered is answered when the change is there, not before; a change
 * that cannot be stored is taken back.
 *
 * @module
 */

import type { Registry, RegistryChange } from "../../mesh/registry.ts";
import type { AgentStore, StoreChange } from "../../store/agent_store.ts";
import type { Micros } from "../../base/time.ts";

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** One writer for a registry. What comes while it writes is written together, next. */
export class RegistryJournal {
  readonly #registry: Registry;
  readonly #store: AgentStore | undefined;
  readonly #now: () => Micros;
  readonly #onFailure: (error: unknown) => void;
  #queued: RegistryChange[] = [];
  #waiters: Waiter[] = [];
  #running: Promise<void> | undefined;

  /**
   * @param store undefined: nothing is kept, and everything settles at once.
   * @param onFailure is told of each write that failed.
   */
  constructor(
    registry: Registry,
    store: AgentStore | undefined,
    now: () => Micros,
    onFailure: (error: unknown) => void,
  ) {
    this.#registry = registry;
    this.#store = store;
    this.#now = now;
    this.#onFailure = onFailure;
  }

  /**
   * Settles when everything that has changed so far is stored; rejects when it was not, and everything that the registry
   * has not stored has been taken back.
   */
  save(): Promise<void> {
    if (this.#store === undefined) return Promise.resolve();
    this.#queued.push(...this.#registry.pollChanges());
    if (this.#queued.length === 0 && this.#running === undefined) return Promise.resolve();
    const saved = new Promise<void>((resolve, reject) => this.#waiters.push({ resolve, reject }));
    this.#running ??= this.#run(this.#store);
    return saved;
  }

  /** Settles when nothing is being written any more. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(store: AgentStore): Promise<void> {
    while (this.#waiters.length > 0) {
      // One turn of the event loop, so that all that has arrived by now shares one write to the disk.
      await new Promise((resolve) => setTimeout(resolve, 0));
      const batch = this.#queued.splice(0);
      const waiters = this.#waiters.splice(0);
      try {
        if (batch.length > 0) await store.commit(batch.map(toStore));
        for (const { resolve } of waiters) resolve();
      } catch (error) {
        // What came in the meantime may build on what was not stored.
        const unsaved = [...batch, ...this.#queued.splice(0), ...this.#registry.pollChanges()];
        this.#registry.revert(this.#now(), unsaved);
        this.#onFailure(error);
        for (const { reject } of [...waiters, ...this.#waiters.splice(0)]) reject(error);
      }
    }
    this.#running = undefined;
  }
}

function toStore({ before, after }: RegistryChange): StoreChange {
  return { agentId: (after ?? before)!.agentId, stored: after };
}

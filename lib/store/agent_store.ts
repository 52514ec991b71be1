/**
 * Where a node's registry is kept while the node does not run.
 *
 * @module
 */

import type { StoredAgent } from "../mesh/registered_agent.ts";

/** What is to be written about one agent id. */
export interface StoreChange {
  /** 16 bytes. */
  readonly agentId: Uint8Array;
  /** All about it from now on; undefined: it is forgotten. */
  readonly stored: StoredAgent | undefined;
}

/**
 * A back end. One node at a time uses it; the node holds all of it in memory, and reads it once. Methods are asynchronous,
 * so that it may be on another machine.
 */
export interface AgentStore {
  /** What it is, for people: the path of a file. */
  readonly name: string;

  /**
   * Everything that is stored.
   *
   * @throws {MxpError} `config` if any of it is not what this program writes.
   */
  load(): Promise<readonly StoredAgent[]>;

  /**
   * Writes changes in their order: all of them or none. Once it resolves, they survive whatever happens to the
   * process and the machine. One call at a time.
   *
   * @throws {MxpError} `internal` if none of them was stored; what the message says goes to registrants, so it names no
   * paths. `retryable`, because disks are emptied and networks mended.
   */
  commit(changes: readonly StoreChange[]): Promise<void>;

  /** Gives everything back. Idempotent. */
  close(): Promise<void>;
}

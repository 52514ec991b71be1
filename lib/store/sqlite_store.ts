/**
 * A registry in an SQLite file (ADR 0015).
 *
 * @module
 */

import type { DatabaseSync, StatementSync } from "node:sqlite";
import { MxpError } from "../base/errors.ts";
import type { StoredAgent } from "../mesh/registered_agent.ts";
import { AGENT_COLUMNS, parseRow, toRow } from "./agent_row.ts";
import type { AgentStore, StoreChange } from "./agent_store.ts";

/** "MXPR": says whose file it is, also to `file`(1). */
const APPLICATION_ID = 0x4d58_5052;

/** What brings a file from each version to the next; the number of them is the version that this program writes. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE agents (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    owner BLOB NOT NULL CHECK (length(owner) = 32),
    register BLOB,
    lease_ms INTEGER NOT NULL,
    registered_at_ms INTEGER NOT NULL,
    gone_at_ms INTEGER NOT NULL,
    CHECK ((register IS NULL) = (gone_at_ms > 0))
  ) STRICT, WITHOUT ROWID`,
];

/** SQLite's primary result codes that deserve words of their own. */
const PROBLEMS: Readonly<Record<number, string>> = {
  5: "it is in use by another node",
  6: "it is in use by another node",
  8: "it cannot be written",
  10: "the disk failed",
  11: "it is damaged",
  13: "the disk is full",
  14: "there is no such folder, or the file may not be read and written",
  26: "it is not an SQLite file",
};

/** What opening may be told. */
export interface SqliteStoreOptions {
  /** The most that the file may grow to, in bytes; beyond it commits fail as if the disk were full. */
  readonly maxBytes?: number;
}

/**
 * Opens a registry file, or makes one; checks it, and brings it up to date.
 *
 * @throws {MxpError} `config`: it cannot be used, and why.
 */
export async function openSqliteStore(path: string, options: SqliteStoreOptions = {}): Promise<AgentStore> {
  const sqlite = await import("node:sqlite").catch((cause) => {
    const text = `cannot open ${path}: this runtime has no SQLite (Deno and Bun have it, and Node from 22.13 on)`;
    throw new MxpError("config", text, { cause });
  });
  let database: DatabaseSync | undefined;
  try {
    database = new sqlite.DatabaseSync(path);
    prepare(database, path, options);
    return new SqliteAgentStore(path, database);
  } catch (cause) {
    database?.close();
    if (cause instanceof MxpError) throw cause;
    throw new MxpError("config", `cannot open ${path}: ${problemOf(cause)}`, { cause });
  }
}

function prepare(database: DatabaseSync, path: string, { maxBytes }: SqliteStoreOptions): void {
  // One node at a time; also spares the file of shared memory that the log would want. The lock ends with the process.
  database.exec("PRAGMA locking_mode = EXCLUSIVE");
  const mode = pragma(database, "journal_mode = WAL");
  if (mode !== "wal") throw new MxpError("config", `cannot open ${path}: it cannot have a write-ahead log there`);
  // FULL: a commit returns when the log is on the disk, not merely with the operating system.
  database.exec("PRAGMA synchronous = FULL");
  database.exec("PRAGMA trusted_schema = OFF");
  database.exec("PRAGMA cell_size_check = ON");
  const check = database.prepare("PRAGMA integrity_check(1)").all() as { integrity_check: unknown }[];
  if (check.length !== 1 || check[0].integrity_check !== "ok") {
    throw new MxpError(
      "config",
      `cannot use ${path}: it is damaged (${check[0]?.integrity_check}); put a copy in its place`,
    );
  }
  migrate(database, path);
  if (maxBytes !== undefined) {
    const pageSize = Number(pragma(database, "page_size"));
    database.exec(`PRAGMA max_page_count = ${Math.max(1, Math.floor(maxBytes / pageSize))}`);
  }
}

function migrate(database: DatabaseSync, path: string): void {
  const version = Number(pragma(database, "user_version"));
  const isOurs = Number(pragma(database, "application_id")) === APPLICATION_ID;
  const isEmpty = database.prepare("SELECT count(*) AS n FROM sqlite_schema").get()?.n === 0;
  if (!isOurs && !(version === 0 && isEmpty)) {
    throw new MxpError("config", `cannot use ${path}: it belongs to another program`);
  }
  if (version > MIGRATIONS.length) {
    const text = `cannot use ${path}: a newer version of this program has written it (format ${version})`;
    throw new MxpError("config", text);
  }
  if (version === MIGRATIONS.length) return;
  database.exec("BEGIN EXCLUSIVE");
  for (const step of MIGRATIONS.slice(version)) database.exec(step);
  database.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
  database.exec(`PRAGMA user_version = ${MIGRATIONS.length}`);
  database.exec("COMMIT");
}

class SqliteAgentStore implements AgentStore {
  readonly name: string;
  readonly #database: DatabaseSync;
  readonly #put: StatementSync;
  readonly #remove: StatementSync;
  #open = true;

  constructor(path: string, database: DatabaseSync) {
    this.name = path;
    this.#database = database;
    const values = AGENT_COLUMNS.map(() => "?").join(", ");
    this.#put = database.prepare(`INSERT OR REPLACE INTO agents (${AGENT_COLUMNS.join(", ")}) VALUES (${values})`);
    this.#remove = database.prepare("DELETE FROM agents WHERE id = ?");
  }

  // Nothing here waits, but what it throws is to arrive as a rejection.
  // deno-lint-ignore require-await
  async load(): Promise<readonly StoredAgent[]> {
    let rows: Record<string, unknown>[];
    try {
      const select = this.#database.prepare(`SELECT ${AGENT_COLUMNS.join(", ")} FROM agents ORDER BY id`);
      rows = select.all() as Record<string, unknown>[];
    } catch (cause) {
      throw new MxpError("config", `cannot read ${this.name}: ${problemOf(cause)}`, { cause });
    }
    return rows.map((row, i) => {
      const agent = parseRow(row);
      if (typeof agent !== "string") return agent;
      throw new MxpError("config", `cannot use ${this.name}: row ${i + 1} of agents: ${agent}`);
    });
  }

  // deno-lint-ignore require-await
  async commit(changes: readonly StoreChange[]): Promise<void> {
    try {
      if (!this.#open) throw new Error("the store is closed");
      this.#database.exec("BEGIN IMMEDIATE");
      for (const { agentId, stored } of changes) {
        if (stored === undefined) this.#remove.run(agentId);
        else this.#put.run(...toRow(stored));
      }
      this.#database.exec("COMMIT");
    } catch (cause) {
      this.#rollBack();
      const text = `the registry cannot be written: ${problemOf(cause)}`;
      throw new MxpError("internal", text, { cause, retryable: true });
    }
  }

  close(): Promise<void> {
    if (this.#open) this.#database.close();
    this.#open = false;
    return Promise.resolve();
  }

  #rollBack(): void {
    try {
      this.#database.exec("ROLLBACK");
    } catch {
      // Some errors end the transaction by themselves.
    }
  }
}

function pragma(database: DatabaseSync, text: string): unknown {
  const row = database.prepare(`PRAGMA ${text}`).get() as Record<string, unknown> | undefined;
  return row && Object.values(row)[0];
}

/** What went wrong, without paths and statements. */
function problemOf(cause: unknown): string {
  const { errcode, message } = cause as { errcode?: unknown; message?: unknown };
  const text = String(message ?? cause).replaceAll("\n", " ");
  // One runtime gives no code for what goes wrong while it opens.
  const code = typeof errcode === "number" ? errcode & 0xff : text.startsWith("unable to open") ? 14 : -1;
  return PROBLEMS[code] ?? text;
}

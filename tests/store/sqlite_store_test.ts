import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import type { StoredAgent } from "../../lib/mesh/registered_agent.ts";
import { parseRow } from "../../lib/store/agent_row.ts";
import type { AgentStore } from "../../lib/store/agent_store.ts";
import { MemoryAgentStore } from "../../lib/store/memory_store.ts";
import { openSqliteStore } from "../../lib/store/sqlite_store.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { property, testSeed } from "../support/seed.ts";

const sqlite = await import("node:sqlite").catch(() => undefined);
const skip = sqlite === undefined && "this runtime has no SQLite";

async function inFolder(run: (path: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "mxp-store-"));
  try {
    await run(join(folder, "registry.db"));
  } finally {
    await rm(folder, { recursive: true });
  }
}

function stored(n: number, more: Partial<StoredAgent> = {}): StoredAgent {
  const agentId = new Uint8Array(16).fill(n);
  return {
    agentId,
    owner: new Uint8Array(32).fill(n),
    register: { agentId, name: `agent ${n}`, capabilities: ["text.echo"], description: "x".repeat(1000) },
    leaseMillis: 30_000,
    registeredAtMillis: 1_800_000_000_000,
    goneAtMillis: 0,
    ...more,
  };
}

function put(...agents: StoredAgent[]) {
  return agents.map((agent) => ({ agentId: agent.agentId, stored: agent }));
}

async function summary(store: AgentStore): Promise<string[]> {
  const agents = await store.load();
  return agents.map(({ agentId, register, goneAtMillis, owner }) =>
    `${agentId[0]} ${owner[0]} ${register?.name} ${goneAtMillis}`
  ).sort();
}

test("a runtime without SQLite says so", { skip: sqlite !== undefined && "this one has it" }, async () => {
  await assert.rejects(openSqliteStore("/nowhere/registry.db"), { code: "config", message: /no SQLite.*Node from 22/ });
});

test(
  "what was committed is there when the file is opened again, and agrees with a store in memory",
  { skip },
  async () => {
    const change = fc.record({ n: fc.nat(5), kind: fc.constantFrom("put", "gone", "forget"), owner: fc.nat(3) });
    const commits = fc.array(fc.array(change, { maxLength: 4 }), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(commits, (run) =>
        inFolder(async (path) => {
          const memory = new MemoryAgentStore(new SeededRandom(testSeed));
          let store = await openSqliteStore(path);
          for (const batch of run) {
            const changes = batch.map(({ n, kind, owner }) => {
              const more = { owner: new Uint8Array(32).fill(owner) };
              const gone = { ...more, register: undefined, goneAtMillis: 7 };
              const agent = kind === "forget" ? undefined : stored(n, kind === "gone" ? gone : more);
              return { agentId: stored(n).agentId, stored: agent };
            });
            await store.commit(changes);
            await memory.commit(changes);
            await store.close();
            store = await openSqliteStore(path);
            assert.deepEqual(await summary(store), await summary(memory));
          }
          await store.close();
        })),
      property(12),
    );
  },
);

test("a registration comes back field by field", { skip }, () =>
  inFolder(async (path) => {
    const store = await openSqliteStore(path);
    const agentId = new Uint8Array(16).fill(9);
    const register = {
      agentId,
      name: "Überagent \u{1f916}",
      capabilities: ["a", "b.c"],
      endpoint6: { host: "2001:db8::1", port: 9000, key: "[2001:db8::1]:9000" },
      version: "1.2",
      tags: ["x"],
      metadata: [["k", "v"], ["k", "w"]] as const,
      leaseMillis: 5_000,
    };
    await store.commit(put(stored(9, { register })));
    await store.close();
    const again = await openSqliteStore(path);
    const [agent] = await again.load();
    await again.close();
    for (const [name, value] of Object.entries(register)) {
      assert.deepEqual(agent.register![name as keyof typeof register], value, name);
    }
  }));

test("a commit is stored as a whole or not at all", { skip }, () =>
  inFolder(async (path) => {
    const store = await openSqliteStore(path);
    await store.commit(put(stored(1)));
    const bad = stored(3, { owner: new Uint8Array(31) });
    await assert.rejects(store.commit(put(stored(2), bad)), { code: "internal", retryable: true });
    assert.deepEqual(await summary(store), ["1 1 agent 1 0"]);
    await store.commit(put(stored(2)));
    assert.deepEqual(await summary(store), ["1 1 agent 1 0", "2 2 agent 2 0"]);
    await store.close();
    await store.close();
    await assert.rejects(store.commit(put(stored(2))), { message: /closed/ });
  }));

test(
  "a full disk is said in words, stores nothing by halves, and goes on when there is room",
  { skip },
  () =>
    inFolder(async (path) => {
      const store = await openSqliteStore(path, { maxBytes: 64 * 1024 });
      let count = 0;
      const error = await (async () => {
        for (; count < 255; count++) await store.commit(put(stored(count)));
      })().catch((error) => error);
      assert.ok(count > 10 && count < 100, `${count} were stored`);
      assert.equal(error.message, "the registry cannot be written: the disk is full");
      assert.equal(error.retryable, true);
      assert.equal((await store.load()).length, count);
      await store.commit([{ agentId: stored(0).agentId, stored: undefined }, {
        agentId: stored(1).agentId,
        stored: undefined,
      }]);
      await store.commit(put(stored(200)));
      assert.equal((await store.load()).length, count - 1);
      await store.close();
    }),
);

test("a file can be used by one node at a time", { skip }, () =>
  inFolder(async (path) => {
    const store = await openSqliteStore(path);
    await assert.rejects(openSqliteStore(path), { code: "config", message: /in use by another node/ });
    await store.close();
    await (await openSqliteStore(path)).close();
  }));

test("files that are none of ours are refused and left as they are", { skip }, () =>
  inFolder(async (path) => {
    const { DatabaseSync } = sqlite!;
    await writeFile(path, "this is no database, but it is long enough to have a header of one hundred bytes".repeat(4));
    await assert.rejects(openSqliteStore(path), { code: "config", message: /not an SQLite file/ });
    assert.match(await readFile(path, "utf8"), /^this is no database/);
    await rm(path);

    const others = new DatabaseSync(path);
    others.exec("CREATE TABLE recipes (name TEXT)");
    others.close();
    await assert.rejects(openSqliteStore(path), { code: "config", message: /belongs to another program/ });
    await rm(path);

    await (await openSqliteStore(path)).close();
    const newer = new DatabaseSync(path);
    newer.exec("PRAGMA user_version = 99");
    newer.close();
    await assert.rejects(openSqliteStore(path), { code: "config", message: /newer version.*format 99/ });
    for (const folder of [path, join(path, "nodir")]) {
      const refused = { code: "config", message: /there is no such folder, or the file may not be read and written$/ };
      await assert.rejects(openSqliteStore(join(folder, "x.db")), refused);
    }
  }));

test("a damaged file is noticed when it is opened", { skip }, () =>
  inFolder(async (path) => {
    const store = await openSqliteStore(path);
    for (let n = 0; n < 100; n++) await store.commit(put(stored(n)));
    await store.close();
    const bytes = await readFile(path);
    // The first page is left alone: with it the file would not be one of SQLite's at all.
    bytes.fill(0xff, 4096, 4096 + 200);
    await writeFile(path, bytes);
    await assert.rejects(openSqliteStore(path), { code: "config", message: /damaged/ });
  }));

test("rows that this program does not write are refused, not believed", { skip }, () =>
  inFolder(async (path) => {
    const { DatabaseSync } = sqlite!;
    for (
      const [sql, message] of [
        ["UPDATE agents SET id = x'00'", /the id is not 16 bytes/],
        ["UPDATE agents SET owner = x'00'", /the owner is not 32 bytes/],
        ["UPDATE agents SET lease_ms = 0", /the lease is out of range/],
        ["UPDATE agents SET registered_at_ms = -1", /a time is out of range/],
        ["UPDATE agents SET registered_at_ms = 9007199254740993", /a time is out of range|too large/],
        ["UPDATE agents SET register = x'0102'", /the registration does not decode/],
        ["UPDATE agents SET register = NULL", /there is no registration/],
        ["UPDATE agents SET gone_at_ms = 5", /an agent that has gone/],
        ["UPDATE agents SET id = x'05050505050505050505050505050505'", /the registration is of another agent/],
      ] as const
    ) {
      await rm(path, { force: true });
      const store = await openSqliteStore(path);
      await store.commit(put(stored(1)));
      await store.close();
      const database = new DatabaseSync(path);
      database.exec("PRAGMA ignore_check_constraints = ON");
      database.exec(sql);
      database.close();
      // The integrity check knows the constraints, and may be first.
      const opened = await openSqliteStore(path).then((store) => store.load().finally(() => store.close())).catch((e) =>
        e
      );
      assert.equal(opened.code, "config", sql);
      assert.match(opened.message, new RegExp(`${message.source}|CHECK constraint failed`), sql);
    }
  }));

test("no row makes the parser throw", () => {
  const value = fc.oneof(fc.anything(), fc.uint8Array({ maxLength: 80 }), fc.integer(), fc.constant(null));
  const columns = {
    id: value,
    owner: value,
    register: value,
    lease_ms: value,
    registered_at_ms: value,
    gone_at_ms: value,
  };
  const good = {
    id: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    owner: fc.uint8Array({ minLength: 32, maxLength: 32 }),
  };
  const times = { lease_ms: fc.constant(1), registered_at_ms: fc.constant(0), gone_at_ms: fc.constant(0) };
  const row = fc.oneof(
    fc.record(columns),
    fc.record({ ...good, ...times, register: fc.uint8Array({ maxLength: 80 }) }),
  );
  fc.assert(fc.property(row, (row) => assert.ok(["object", "string"].includes(typeof parseRow(row)))), property());
});

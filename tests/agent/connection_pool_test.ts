import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client } from "../../lib/agent/client.ts";
import { ConnectionPool } from "../../lib/agent/onward/connection_pool.ts";
import { deferred } from "../../lib/agent/deferred.ts";
import { parseMxpUrl } from "../../lib/agent/mxp_url.ts";
import { type Micros, seconds } from "../../lib/base/time.ts";
import { ManualClock } from "../../lib/testing/manual_clock.ts";
import { MxpError } from "../../mod.ts";

/** Clients that only open and close. */
function fakes(maxConnections = 2) {
  const clock = new ManualClock();
  const opened: string[] = [], closed: string[] = [];
  const ends = new Map<string, () => void>();
  const pool = new ConnectionPool({
    clock,
    maxConnections,
    connect: async ({ host }, signal) => {
      opened.push(host);
      if (host === "slow.test") await new Promise((_, reject) => signal.addEventListener("abort", reject));
      if (host === "dead.test") throw new MxpError("connect_failed", "nobody there");
      const ended = deferred<void>();
      const end = (): void => ended.resolve();
      ends.set(host, end);
      const close = (): Promise<void> => {
        closed.push(host);
        end();
        return Promise.resolve();
      };
      return { closed: ended.promise, close } as unknown as Client;
    },
  });
  const lease = (host: string, signal = new AbortController().signal) =>
    pool.lease(parseMxpUrl(`mxp://${host}`), signal);
  const pass = (time: number) => clock.advance((clock.now() + seconds(time)) as Micros);
  return { pool, lease, pass, opened, closed, ends };
}

test("a connection is shared while it is used, kept for a minute, and then closed", async () => {
  const { pool, lease, pass, opened, closed } = fakes();
  const [one, two] = await Promise.all([lease("a.test"), lease("a.test")]);
  assert.equal(one.client, two.client);
  one.release();
  one.release();
  pass(100);
  assert.deepEqual(closed, [], "somebody uses it");
  two.release();
  pass(50);
  (await lease("a.test")).release();
  pass(50);
  assert.deepEqual(closed, []);
  pass(20);
  await Promise.resolve();
  assert.deepEqual([opened, closed], [["a.test"], ["a.test"]]);
  const { open, dialled, reused, closed: count } = pool.stats();
  assert.deepEqual([open, dialled, reused, count], [0, 1, 2, 1]);
});

test("where there is no room, the connection that was not used for longest goes, and none that is in use", async () => {
  const { pool, lease, closed } = fakes();
  const a = await lease("a.test"), b = await lease("b.test");
  await assert.rejects(
    lease("c.test"),
    (error) => error instanceof MxpError && error.code === "overloaded" && error.retryable,
  );
  b.release();
  a.release();
  (await lease("b.test")).release();
  const c = await lease("c.test");
  assert.deepEqual(closed, ["a.test"]);
  c.release();
  assert.equal(pool.stats().refused, 1);
});

test("a connection that fails or has ended is made anew for who comes next", async () => {
  const { pool, lease, opened, ends } = fakes();
  await assert.rejects(lease("dead.test"), /nobody there/);
  await assert.rejects(lease("dead.test"), /nobody there/);
  const a = await lease("a.test");
  ends.get("a.test")!();
  await a.client.closed;
  await Promise.resolve();
  a.release();
  assert.notEqual((await lease("a.test")).client, a.client);
  assert.deepEqual(opened, ["dead.test", "dead.test", "a.test", "a.test"]);
  assert.equal(pool.stats().failed, 2);
});

test("a client whose connection has ended is closed with its last user, and with the pool: it may have made another", async () => {
  const { pool, lease, closed, ends } = fakes(4);
  const [a, again, b] = [await lease("a.test"), await lease("a.test"), await lease("b.test")];
  (await lease("c.test")).release();
  for (const end of ends.values()) end();
  for (const { client } of [a, b]) await client.closed;
  for (let i = 0; i < 5; i++) await Promise.resolve();
  assert.deepEqual([closed, pool.stats().open], [["c.test"], 0]);
  a.release();
  again.release();
  for (let i = 0; i < 5; i++) await Promise.resolve();
  assert.deepEqual(closed, ["c.test", "a.test"]);
  await pool.close();
  b.release();
  assert.deepEqual(closed, ["c.test", "a.test", "b.test"]);
});

test("who gives up waiting does not end it for others, and closing ends it for all", async () => {
  const { pool, lease } = fakes();
  const impatient = new AbortController();
  const first = assert.rejects(lease("slow.test", impatient.signal), /enough/);
  const second = assert.rejects(lease("slow.test"));
  impatient.abort(new Error("enough"));
  await first;
  assert.equal(pool.stats().open, 1);
  await pool.close();
  await second;
  await assert.rejects(lease("a.test"), (error) => error instanceof MxpError && error.code === "closed");
});

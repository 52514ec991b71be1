import assert from "node:assert/strict";
import { test } from "node:test";
import type { AgentChange } from "../../mod.ts";
import { failsWith, Mesh, until } from "./support/mesh.ts";

test("a watch that reconnects tells what has changed meanwhile, and nothing twice", async () => {
  await using mesh = await Mesh.start();
  const [stays, goes] = [await mesh.agent("stays", ["a"], () => ""), await mesh.agent("goes", ["a"], () => "")];
  const client = await mesh.client();
  const states: string[] = [];
  const changes = client.watch({ capability: "a" }, { reconnect: true, onState: (state) => states.push(state) });
  /** What is told up to the end of a listing. */
  const listing = async (): Promise<string[]> => {
    const told: string[] = [];
    for (;;) {
      const { value } = await changes.next() as { value: AgentChange };
      if (value.type === "listed") return told.sort();
      told.push(`${value.type} ${value.agent.name}`);
    }
  };
  assert.deepEqual(await listing(), ["up goes", "up stays"]);

  await mesh.server.close();
  await goes.client.close();
  await mesh.serve();
  await mesh.agent("comes", ["a"], () => "");
  await until(() => stays.registration.renewals >= 1, "the agent that stays is back");
  // Until it was back, it was down for whoever looked.
  const there = new Set(["goes", "stays"]);
  do {
    const change = (await changes.next()).value as AgentChange;
    if (change.type === "listed") continue;
    assert.equal(there.has(change.agent.name), change.type !== "up", `${change.type} ${change.agent.name}`);
    if (change.type === "down") there.delete(change.agent.name);
    else there.add(change.agent.name);
  } while ([...there].sort().join() !== "comes,stays" || states.length < 2);
  assert.deepEqual(states, ["reconnecting", "watching"]);

  const registry = mesh.server.stats().registry!;
  assert.equal(registry.watches, 1);
  await changes.return();

  const abort = new AbortController();
  const other = client.watch({}, { reconnect: true, signal: abort.signal });
  // The client's own connection is lost, and stays so.
  await assert.rejects(client.watch({}).next(), failsWith("connection_lost", true, /./));
  assert.equal(((await other.next()).value as AgentChange).type, "up");
  const rejected = assert.rejects(
    other.next().then(() => other.next()).then(() => other.next()),
    failsWith("cancelled", false, /./),
  );
  abort.abort();
  await rejected;
});

test("what goes on over other connections ends when the client that it was begun on is closed", async () => {
  await using mesh = new Mesh();
  await mesh.serve({}, { pubsub: true });
  const client = await mesh.client();
  const registration = await client.register({ name: "stays" });
  const changes = client.watch({}, { reconnect: true });
  const events = client.subscribe("a", { reconnect: true })[Symbol.asyncIterator]();
  await changes.next();
  const event = events.next();
  event.catch(() => {});
  await mesh.server.close();
  await mesh.serve({}, { pubsub: true });
  const { signal } = new AbortController();
  /** Reads on until the watch ends. */
  const watched = (async () => {
    for await (const _change of changes) if (signal.aborted) break;
  })();
  watched.catch(() => {});
  await until(() => registration.renewals === 1, "the agent is back");
  await until(() => mesh.server.stats().registry!.watches === 1, "the watch is back");
  await until(() => mesh.server.stats().pubsub!.subscriptions === 1, "the subscription is back");
  await client.close();
  await assert.rejects(watched, failsWith("closed", false, /./));
  await assert.rejects(event, failsWith("closed", false, /./));
  await registration.closed;
  assert.equal(registration.failure?.code, "closed");
  await until(() => mesh.server.stats().connections === 0, "no connection is left");
});

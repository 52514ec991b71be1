import assert from "node:assert/strict";
import { test } from "node:test";
import { deferred } from "../../lib/agent/deferred.ts";
import { CodecError } from "../../lib/codec/codec_error.ts";
import { ErrorCode } from "../../lib/codec/error_codes.ts";
import { MessageReader } from "../../lib/codec/message_reader.ts";
import { MessageType } from "../../lib/codec/message_type.ts";
import { decodeError } from "../../lib/codec/payloads/error.ts";
import { LifecycleMessages } from "../../lib/mesh/lifecycle_messages.ts";
import { MessageWriter } from "../../lib/mesh/message_writer.ts";
import { MemoryTickets } from "../../lib/agent/tickets/tickets.ts";
import { MemoryAgentStore } from "../../lib/store/memory_store.ts";
import {
  type AgentChange,
  type AgentStore,
  type Client,
  connect,
  type ConnectOptions,
  generateIdentity,
  type Identity,
  MxpError,
  type Platform,
  type RegistrationState,
  type RegistryOptions,
  serve,
  type ServeOptions,
  type Server,
  type StoreChange,
} from "../../mod.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { memoryPlatform, platforms } from "./support/platform.ts";
import { RawPeer } from "./support/raw_peer.ts";

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    if (await condition()) return;
    await sleep(10);
  }
  assert.fail(`timed out waiting until ${what}`);
}

const ID = "01234567-89ab-4cde-8f01-23456789abcd";
const nobody = (): string => "";

/** A node with a registry, and clients of it. */
class Mesh implements AsyncDisposable {
  readonly platform: Platform;
  readonly identity: Identity = generateIdentity();
  server!: Server;
  readonly #clients: Client[] = [];
  #listen = "127.0.0.1:0";

  constructor(platform: Platform = memoryPlatform()) {
    this.platform = platform;
  }

  static async start(
    registry: RegistryOptions = {},
    platform?: Platform,
    settings?: ServeOptions["settings"],
  ): Promise<Mesh> {
    const mesh = new Mesh(platform);
    await mesh.serve(registry, settings);
    return mesh;
  }

  /** Starts the node, after the first time where it was. */
  async serve(registry: RegistryOptions = {}, settings: ServeOptions["settings"] = {}): Promise<void> {
    const { platform, identity } = this;
    this.server = await serve({ listen: this.#listen, platform, identity, registry, settings }, nobody);
    this.#listen = `127.0.0.1:${this.server.address.port}`;
  }

  async client(options: ConnectOptions = {}): Promise<Client> {
    const client = await connect(this.server.url, { platform: this.platform, ...options });
    this.#clients.push(client);
    return client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) await client.close();
    await this.server.close();
  }
}

function failsWith(code: string, retryable: boolean, message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof MxpError, String(error));
    assert.deepEqual([error.code, error.retryable], [code, retryable], error.message);
    assert.match(error.message, message);
    return true;
  };
}

/** A store that fails, or waits, when it is told to. */
class FaultyStore implements AgentStore {
  readonly name = "faulty";
  readonly inner = new MemoryAgentStore(new SeededRandom(1));
  problem: string | undefined;
  gate: Promise<void> | undefined;
  commits = 0;
  closed = 0;

  load() {
    return this.inner.load();
  }

  async commit(changes: readonly StoreChange[]): Promise<void> {
    this.commits++;
    await this.gate;
    if (this.problem !== undefined) throw new MxpError("internal", this.problem, { retryable: true });
    await this.inner.commit(changes);
  }

  close(): Promise<void> {
    this.closed++;
    return Promise.resolve();
  }
}

for (const [name, makePlatform] of platforms) {
  test(`an agent registers, is found by capability, name and id, and goes when it is disposed of, ${name}`, async () => {
    await using mesh = await Mesh.start({}, makePlatform());
    const identity = generateIdentity();
    const agent = await mesh.client({ identity });
    const other = await mesh.client();
    const registration = await agent.register({
      name: "Über-echo",
      capabilities: ["text.echo", "text.upper"],
      description: "says it again",
      version: "1.2",
      tags: ["demo"],
      metadata: { place: "here", __proto__x: "y" },
      endpoint: "192.0.2.1:9000",
    });
    for (
      const query of [{ capability: "text.echo" }, { capability: "text.*" }, { name: "Über-echo" }, {
        id: registration.id,
      }, {}]
    ) {
      const [found, ...rest] = await other.discover(query);
      assert.deepEqual(rest, []);
      const { heartbeatAgeMs, registeredAtMs, ...facts } = found;
      assert.ok(heartbeatAgeMs! < 30_000 && Math.abs(registeredAtMs! - Date.now()) < 60_000);
      assert.deepEqual(JSON.parse(JSON.stringify(facts)), {
        id: registration.id,
        name: "Über-echo",
        capabilities: ["text.echo", "text.upper"],
        publicKey: identity.publicKeyText,
        endpoint: "192.0.2.1:9000",
        version: "1.2",
        description: "says it again",
        tags: ["demo"],
        metadata: { place: "here", __proto__x: "y" },
        status: "online",
        leaseMs: 30_000,
      });
    }
    assert.deepEqual(await other.discover({ capability: "image.*" }), []);
    await registration.close();
    assert.equal(registration.state, "closed");
    assert.deepEqual(await other.discover(), []);
    assert.deepEqual(mesh.server.stats().registry!.agents, 0);
  });
}

test("the same agent comes back under the same id, another agent or key has another one", async () => {
  await using mesh = await Mesh.start();
  const identity = generateIdentity();
  const ids: string[] = [];
  for (const [who, name] of [[identity, "a"], [identity, "a"], [identity, "b"], [generateIdentity(), "a"]] as const) {
    const client = await mesh.client({ identity: who });
    await using registration = await client.register({ name });
    ids.push(registration.id);
  }
  assert.equal(ids[0], ids[1]);
  assert.equal(new Set(ids).size, 3);
});

test("status and load that are set on a registration are seen by others soon", async () => {
  await using mesh = await Mesh.start();
  const [agent, other] = [await mesh.client(), await mesh.client()];
  await using registration = await agent.register({ name: "busy" });
  registration.load = 700.4;
  registration.status = "degraded";
  registration.load = 800;
  await until(async () => {
    const [{ status, load }] = await other.discover();
    return status === "degraded" && load === 800;
  }, "the node knows");
  assert.throws(() => registration.load = -1, failsWith("usage", false, /load/));
  assert.throws(() => registration.status = "asleep" as "online", failsWith("usage", false, /status/));
});

test("heartbeats keep a short lease alive, and without them the agent goes away", async () => {
  await using mesh = await Mesh.start({ minLeaseMillis: 300, leaseMillis: 300 });
  const [agent, other] = [await mesh.client(), await mesh.client()];
  const registration = await agent.register({ name: "mortal" });
  const types: string[] = [];
  const isListed = deferred<void>();
  const watcher = (async () => {
    for await (const change of other.watch()) {
      types.push(change.type);
      isListed.resolve();
      if (change.type === "down" && registration.state === "closed") return;
    }
  })();
  await isListed.promise;
  // Six leases long. A machine that stalls may make it look offline in between, and even away: then it registers anew.
  await until(() => mesh.server.stats().registry!.heartbeats >= 18, "it has sent heartbeats");
  await until(async () => (await other.discover())[0]?.status === "online", "it is there");
  // No farewell: as if the process had been killed.
  await agent.close();
  await registration.closed;
  assert.equal(registration.failure?.code, "closed");
  await watcher;
  assert.equal(types[0], "up");
  assert.equal(types.at(-1), "down");
  assert.deepEqual(await other.discover(), []);
});

test("an id cannot be taken, renewed or removed by another key, neither now nor after its lease nor after a restart", async () => {
  const store = new MemoryAgentStore(new SeededRandom(2));
  await using mesh = await Mesh.start({ store, minLeaseMillis: 200, leaseMillis: 200 });
  const owner = generateIdentity();
  const codec = mesh.platform.codec;
  const messages = new LifecycleMessages(new MessageWriter(codec));
  const ids = { idHigh: 1, idLow: 2, traceHigh: 3, traceLow: 4 };
  const agentId = Uint8Array.from(ID.replaceAll("-", "").match(/../g)!, (pair) => parseInt(pair, 16));
  const attack = async (): Promise<void> => {
    const mallory = await mesh.client();
    await assert.rejects(
      mallory.register({ name: "mallory", id: ID }),
      failsWith("refused", false, /belongs to somebody else/),
    );
    const raw = await RawPeer.connect(mesh.platform, mesh.server.url);
    for (
      const message of [
        messages.heartbeat(ids, { agentId }, false),
        messages.heartbeat(ids, { agentId, status: "offline" }, false),
        messages.heartbeat(ids, { agentId }, true),
        messages.register(ids, { agentId, name: "mallory", capabilities: [] }),
      ]
    ) {
      const { bytes } = await raw.answer(raw.open(message.slice()));
      const answer = codec.decode(bytes);
      assert.ok(!(answer instanceof CodecError) && answer.type === MessageType.ERROR);
      const error = decodeError(answer.payload);
      assert.equal(error instanceof CodecError ? undefined : error.code, ErrorCode.AGENT_ID_TAKEN);
    }
    raw.close();
    await mallory.close();
  };
  const agent = await mesh.client({ identity: owner });
  const registration = await agent.register({ name: "alice", id: ID });
  await attack();
  await registration.close();
  await attack();
  const again = await agent.register({ name: "alice", id: ID });
  await agent.close();
  await again.closed;
  const other = await mesh.client();
  await until(async () => (await other.discover()).length === 0, "the lease is over");
  await attack();
  await mesh.server.close();
  await mesh.serve({ store, minLeaseMillis: 200, leaseMillis: 200 });
  await attack();
  const back = await mesh.client({ identity: owner });
  await using third = await back.register({ name: "alice", id: ID });
  assert.equal(third.id, ID);
  assert.equal(mesh.server.stats().registry!.refused.AGENT_ID_TAKEN, 5);
});

test("a node that is started anew knows every agent that it had acknowledged, and they find back by themselves", async () => {
  const store = new MemoryAgentStore(new SeededRandom(3));
  await using mesh = await Mesh.start({ store });
  const states: RegistrationState[] = [];
  const agent = await mesh.client();
  await using registration = await agent.register({ name: "stays" }, { onState: (state) => states.push(state) });
  await mesh.server.close();
  await mesh.serve({ store });
  const other = await mesh.client();
  assert.deepEqual((await other.discover()).map(({ name }) => name), ["stays"]);
  await until(() => registration.renewals === 1 && registration.state === "registered", "it is registered again");
  assert.deepEqual(states, ["reconnecting", "registered"]);
  assert.notEqual(registration.client, agent);
  await registration.close();
  assert.deepEqual(states, ["reconnecting", "registered", "closed"], "who goes has lost nothing");
  assert.deepEqual(await other.discover(), []);
});

test("a node that forgot its agents gets them back", async () => {
  await using mesh = await Mesh.start();
  const agent = await mesh.client();
  await using registration = await agent.register({ name: "stays" });
  registration.load = 5;
  await mesh.server.close();
  await sleep(300);
  await mesh.serve();
  const other = await mesh.client();
  await until(async () => (await other.discover())[0]?.load === 5, "it is registered again, and has said how it is");
  assert.equal(registration.renewals, 1);
});

test("a registration that the node will not have ends when that is known", async () => {
  await using mesh = await Mesh.start();
  const agent = await mesh.client();
  const registration = await agent.register({ name: "unwanted" });
  await mesh.server.close();
  mesh.server = await serve({
    listen: `127.0.0.1:${mesh.server.address.port}`,
    platform: mesh.platform,
    identity: mesh.identity,
  }, nobody);
  await registration.closed;
  assert.equal(registration.failure?.code, "agent_error");
  assert.match(registration.failure!.message, /no registry/);
});

test("nothing is acknowledged before it is stored", async () => {
  const store = new FaultyStore();
  await using mesh = await Mesh.start({ store });
  const gate = deferred<void>();
  store.gate = gate.promise;
  const agent = await mesh.client();
  let acknowledged = false;
  const registered = agent.register({ name: "patient" }).then((registration) => {
    acknowledged = true;
    return registration;
  });
  await until(() => store.commits === 1, "the store was asked");
  await sleep(50);
  assert.equal(acknowledged, false);
  gate.resolve();
  await using registration = await registered;
  assert.equal((await store.inner.load()).length, 1);
  assert.equal(registration.state, "registered");
});

test("a store that fails is told to whoever registers, nothing is kept of it, and serving goes on", async () => {
  const store = new FaultyStore();
  const events: string[] = [];
  await using mesh = await Mesh.start({ store, onEvent: ({ type, reason }) => events.push(`${type} ${reason ?? ""}`) });
  const agent = await mesh.client();
  await using first = await agent.register({ name: "first", capabilities: ["a"] });
  store.problem = "the registry cannot be written: the disk is full";
  await assert.rejects(agent.register({ name: "second" }), failsWith("closed", true, /the disk is full/));
  await assert.rejects(
    agent.register({ name: "renamed", id: first.id, capabilities: ["b"] }),
    failsWith("closed", true, /the disk is full/),
  );
  const found = await agent.discover();
  assert.deepEqual(found.map(({ name, capabilities }) => [name, capabilities]), [["first", ["a"]]]);
  assert.equal((await agent.call("x")).text(), "");
  const { storeFailures, refused, ids } = mesh.server.stats().registry!;
  assert.deepEqual([storeFailures, refused.UNAVAILABLE, ids], [2, 2, 1]);
  assert.equal(events.filter((event) => event.startsWith("not_stored the registry cannot be written")).length, 2);
  store.problem = undefined;
  await using second = await agent.register({ name: "second" });
  assert.equal((await store.inner.load()).length, 2);
  assert.equal(second.state, "registered");
  await mesh.server.close();
  assert.equal(store.closed, 1);
});

test("registrations that arrive together share a write, and those behind a failed one are taken back with it", async () => {
  const store = new FaultyStore();
  await using mesh = await Mesh.start({ store });
  const gate = deferred<void>();
  store.gate = gate.promise;
  const agent = await mesh.client();
  const results = Array.from(
    { length: 20 },
    (_, n) => agent.register({ name: `agent ${n}` }).catch((error) => error.code),
  );
  await until(() => mesh.server.stats().registry!.agents === 20, "all have arrived");
  store.problem = "the disk failed";
  gate.resolve();
  for (const result of results) assert.equal(await result, "closed");
  assert.ok(store.commits <= 3, `${store.commits} writes`);
  assert.equal(mesh.server.stats().registry!.agents, 0);
  assert.deepEqual(await store.inner.load(), []);
});

test("a long listing comes in pages, and a limit is kept", async () => {
  await using mesh = await Mesh.start();
  const agent = await mesh.client();
  const registrations = await Promise.all(
    Array.from({ length: 620 }, (_, n) => agent.register({ name: `agent ${n}`, description: "x".repeat(1000) })),
  );
  const all = await agent.discover();
  assert.equal(all.length, 620);
  assert.deepEqual(all.map(({ id }) => id), registrations.map(({ id }) => id).sort());
  assert.deepEqual((await agent.discover({}, { limit: 7 })).map(({ id }) => id), all.slice(0, 7).map(({ id }) => id));
  assert.equal((await agent.discover({}, { limit: 510 })).length, 510);
  await Promise.all(registrations.map((registration) => registration.close()));
});

test("a watcher is told what is there, what comes, what changes and what goes, and nothing else", async () => {
  await using mesh = await Mesh.start();
  const [agent, other] = [await mesh.client(), await mesh.client()];
  await using first = await agent.register({ name: "first", capabilities: ["a.x"] });
  const changes = other.watch({ capability: "a.*" });
  const next = async (): Promise<string> => {
    const { value } = await changes.next() as { value: AgentChange };
    return value.type === "listed"
      ? `listed ${value.count}`
      : `${value.type} ${value.agent.name} ${value.agent.status}`;
  };
  assert.equal(await next(), "up first online");
  assert.equal(await next(), "listed 1");
  await using unseen = await agent.register({ name: "unseen", capabilities: ["b"] });
  await using second = await agent.register({ name: "second", capabilities: ["a.y"] });
  assert.equal(await next(), "up second online");
  first.status = "degraded";
  assert.equal(await next(), "changed first degraded");
  await second.close();
  assert.equal(await next(), "down second online");
  assert.equal(unseen.state, "registered");
  assert.equal(mesh.server.stats().registry!.watches, 1);
  await changes.return();
  await until(() => mesh.server.stats().registry!.watches === 0, "the watch is over");
});

test("a watch ends with its signal, its connection and its node, and each says so", async () => {
  await using mesh = await Mesh.start({ maxWatchesPerConnection: 3 });
  const other = await mesh.client();
  const begin = async (signal?: AbortSignal): Promise<AsyncGenerator<AgentChange>> => {
    const changes = other.watch({}, signal && { signal });
    await changes.next();
    return changes;
  };
  const abort = new AbortController();
  const aborted = await begin(abort.signal);
  const rejected = assert.rejects(aborted.next(), failsWith("cancelled", false, /cancelled/));
  abort.abort();
  await rejected;
  await assert.rejects(other.watch({}, { signal: abort.signal }).next(), failsWith("cancelled", false, /cancelled/));
  await until(() => mesh.server.stats().registry!.watches === 0, "the watch is over");

  const open = [await begin(), await begin(), await begin()];
  await assert.rejects(begin(), failsWith("overloaded", false, /3 times at once/));
  const told = open.map((changes) => assert.rejects(changes.next(), failsWith("closed", true, /shutting down/)));
  const startedAt = Date.now();
  await mesh.server.drain({ timeoutMs: 20_000 });
  assert.ok(Date.now() - startedAt < 10_000, "watches do not hold a node up");
  await Promise.all(told);
});

test("a watcher that reads nothing costs the node little, and is up to date once it reads", async () => {
  await using mesh = await Mesh.start({}, undefined, { sendBuffer: 16_384 });
  const [agent, other] = [
    await mesh.client(),
    await mesh.client({ settings: { maxStreamData: 16_384, maxStreamWindow: 16_384 } }),
  ];
  const changes = other.watch();
  assert.equal((await changes.next()).value?.type, "listed");
  await using registration = await agent.register({ name: "flicker", description: "x".repeat(30_000) });
  for (let i = 1; i <= 20; i++) {
    registration.load = i;
    await until(async () => (await agent.discover())[0].load === i, "the node knows");
  }
  let last: AgentChange | undefined;
  let count = 0;
  for await (const change of changes) {
    last = change;
    count++;
    if (change.type !== "listed" && change.agent.load === 20) break;
  }
  assert.equal(last?.type === "changed" || last?.type === "up", true);
  assert.ok(count < 20, `${count} changes were told`);
});

test("a connection that was held back for its first request begins with whatever that is", async () => {
  await using mesh = await Mesh.start();
  const identity = generateIdentity();
  const tickets = new MemoryTickets();
  const first = await mesh.client({ identity, tickets });
  await first.awaitTickets();
  await first.close();
  const early = (): Promise<Client> => mesh.client({ identity, tickets, early: true });
  const [one, two, three] = [await early(), await early(), await early()];
  assert.equal(mesh.server.stats().connections, 0, "nothing was sent so far");
  const changes = one.watch();
  assert.equal((await changes.next()).value?.type, "listed");
  await changes.return();
  await using registration = await two.register({ name: "early" });
  assert.equal(registration.state, "registered");
  assert.deepEqual((await three.discover()).map(({ name }) => name), ["early"]);
});

test("a node without a registry says so, and one with it refuses what makes no sense", async () => {
  const platform = memoryPlatform();
  await using plain = await serve({ listen: "127.0.0.1:0", platform }, nobody);
  await using client = await connect(plain.url, { platform });
  await assert.rejects(client.discover(), failsWith("agent_error", false, /no registry here/));
  await assert.rejects(client.register({ name: "x" }), failsWith("agent_error", false, /no registry here/));
  await assert.rejects(client.watch().next(), failsWith("agent_error", false, /no registry here/));

  await using mesh = await Mesh.start();
  const other = await mesh.client();
  await assert.rejects(other.register({ name: "x", id: "nonsense" }), failsWith("usage", false, /not a UUID/));
  await assert.rejects(other.register({ name: "" }), failsWith("usage", false, /at least one character/));
  await assert.rejects(
    other.register({ name: "x", capabilities: ["pg.*"] }),
    failsWith("usage", false, /does not end in \*/),
  );
  for (const card of [{ name: "a\u001bb" }, { name: "x", capabilities: ["a", "b\u0000"] }]) {
    await assert.rejects(other.register(card), failsWith("usage", false, /no control characters, got ".*\\u00/));
  }
  const uuid = "01234567-89ab-4cde-8f01-23456789abcd";
  await assert.rejects(other.register({ name: uuid }), failsWith("usage", false, /is a UUID.*give it as the id/));
  await assert.rejects(other.register({ name: "x", endpoint: "host" }), failsWith("usage", false, /not IP:PORT/));
  await assert.rejects(
    other.register({ name: "x", id: "00000000-0000-0000-0000-000000000000" }),
    failsWith("agent_error", false, /the node itself/),
  );
  await assert.rejects(
    other.register({ name: "x", description: "x".repeat(40_000) }),
    failsWith("too_large", false, /weigh/),
  );
  await assert.rejects(other.discover({ name: "x", capability: "y" }), failsWith("usage", false, /one of them/));
  await assert.rejects(other.discover({}, { limit: 0 }), failsWith("usage", false, /limit/));
  await assert.rejects(
    serve({ listen: "127.0.0.1:0", platform, registry: { maxAgents: 0 } }, nobody),
    failsWith("usage", false, /maxAgents/),
  );
});

test("what does not decode is refused, is counted, and disturbs nobody", async () => {
  await using mesh = await Mesh.start();
  const { codec } = mesh.platform;
  const raw = await RawPeer.connect(mesh.platform, mesh.server.url);
  for (const type of [MessageType.AGENT_REGISTER, MessageType.AGENT_HEARTBEAT, MessageType.AGENT_DISCOVER]) {
    for (const payload of [new Uint8Array(0), new Uint8Array(15).fill(1), new Uint8Array(500).fill(0xff)]) {
      const out = new Uint8Array(payload.length + 40);
      codec.encode(out, 0, { type, flags: 0, idLow: 1, idHigh: 0, traceLow: 1, traceHigh: 0 }, payload);
      const reader = new MessageReader(codec);
      reader.push((await raw.answer(raw.open(out))).bytes);
      const answer = reader.next();
      assert.ok(answer !== undefined && !(answer instanceof CodecError));
      const error = decodeError(answer.payload);
      assert.equal(error instanceof CodecError ? undefined : error.code, ErrorCode.BAD_REQUEST);
    }
    // There is no way back on a one-way stream, so nothing can be asked there.
    const out = new Uint8Array(40);
    codec.encode(out, 0, { type, flags: 0, idLow: 1, idHigh: 0, traceLow: 1, traceHigh: 0 }, new Uint8Array(0));
    raw.openOneWay(out);
  }
  assert.equal(mesh.server.stats().registry!.refused.BAD_REQUEST, 9);
  const client = await mesh.client();
  assert.deepEqual(await client.discover(), []);
  raw.close();
});

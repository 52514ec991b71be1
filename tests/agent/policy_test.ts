import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type AccessDecision,
  AccessList,
  type Client,
  connect,
  defaultPlatform,
  generateIdentity,
  type Handlers,
  type Identity,
  MxpError,
  type RelayedRequest,
  serve,
  type ServeOptions,
  type Server,
} from "../../mod.ts";
import { formatUuid } from "../../lib/base/uuid.ts";
import { nameTarget } from "../../lib/mesh/agent_target.ts";
import { SystemRandom } from "../../lib/runtime/random.ts";
import { MemoryAgentStore } from "../../lib/store/memory_store.ts";
import { memoryPlatform } from "./support/platform.ts";

/** Stands for the name "clock". */
const CLOCK = formatUuid(nameTarget((bytes) => defaultPlatform().crypto.sha256.hash(bytes), "clock"));
const ID = "01234567-89ab-4cde-8f01-23456789abcd";

/** A node with rules, and clients with identities of their own. */
class Guarded implements AsyncDisposable {
  readonly platform = memoryPlatform();
  readonly decisions: string[] = [];
  readonly events: string[] = [];
  readonly #clients: Client[] = [];
  server!: Server;

  async serve(options: Partial<ServeOptions>): Promise<this> {
    const onDecision = ({ allowed, action, peer, agentId, topic, reason }: AccessDecision): void => {
      assert.equal(peer.publicKey.length, 32);
      assert.match(peer.address, /:\d+$/);
      const about = [agentId, topic].filter((text) => text !== undefined).join(" ");
      this.decisions.push(`${allowed ? "+" : "-"} ${action} ${about}${reason === undefined ? "" : `: ${reason}`}`);
    };
    const { platform } = this;
    this.server = await serve(
      { listen: "127.0.0.1:0", platform, registry: true, pubsub: true, onDecision, ...options },
      {
        call: () => "called",
        stream: async (stream) => void await stream.text(),
        event: (topic) => void this.events.push(topic),
        agents: { clock: () => "tick" },
      },
    );
    return this;
  }

  async client(identity: Identity): Promise<Client> {
    const client = await connect(this.server.url, { platform: this.platform, identity });
    this.#clients.push(client);
    return client;
  }

  /** Waits until so many decisions were told of. */
  async decided(count: number): Promise<void> {
    while (this.decisions.length < count) await new Promise((resolve) => setTimeout(resolve, 1));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) await client.close();
    await this.server.close();
  }
}

/** Checks that somebody may not do it, and is told so by an Error message of the node. */
async function denied(what: Promise<unknown>, text: RegExp): Promise<void> {
  await assert.rejects(what, (error) => {
    assert.ok(error instanceof MxpError);
    assert.deepEqual([error.code, error.retryable, error.remoteCode], ["not_allowed", false, 9], error.message);
    assert.match(error.message, text);
    return true;
  });
}

test("every way into a node is denied to a key that has no permission for it, counted, and told of", async () => {
  const [mute, caller, stranger] = [generateIdentity(), generateIdentity(), generateIdentity()];
  await using node = await new Guarded().serve({
    allow: new AccessList([
      { key: mute.publicKey, permissions: ["subscribe"] },
      { key: caller.publicKey, permissions: ["call"] },
    ]),
  });
  const client = await node.client(mute);
  const register = client.register({ id: ID, name: "a", capabilities: ["text.upper"] });
  await denied(register, /^this key may not register agents with these capabilities here$/);
  await denied(client.discover(), /may not look for agents here/);
  await denied(client.watch().next(), /may not look for agents here/);
  await denied(client.deregister(ID), /may not register agents here/);
  await denied(client.call("x"), /may not make calls here/);
  await denied(client.call("x", { agent: "clock" }), /may not make calls to this agent/);
  await denied(client.call("x", { capability: "a\u202eb" }), /to agents with the capability "a\\u202eb"/);
  const stream = client.stream();
  await denied(stream.text(), /may not open agent streams here/);
  await denied(client.emit("a.b", "x", { ack: true }), /may not send events about "a.b"/);
  await client.emit("c.d", "x");
  await node.decided(11);
  await client.emit("e.f", "x", { unreliable: true });
  await node.decided(12);
  assert.deepEqual(node.events, []);
  assert.deepEqual(node.decisions.map((text) => text.replace(/:.*/, "")), [
    "+ connect ",
    `- register ${ID}`,
    "- discover ",
    "- discover ",
    `- deregister ${ID}`,
    "- call ",
    `- call ${CLOCK}`,
    "- call ",
    "- stream ",
    "- event a.b",
    "- event c.d",
    "- event e.f",
  ]);
  await assert.rejects((await node.client(stranger)).call("x"), {
    code: "refused",
    message: /does not allow this key/,
  });
  await node.decided(13);
  assert.equal(node.decisions.at(-1), "- connect : this key may not connect");

  const other = await node.client(caller);
  assert.equal((await other.call("x")).text(), "called");
  assert.equal((await other.call("x", { agent: "clock" })).text(), "tick");
  assert.deepEqual(await other.discover(), []);
  await other.emit("g.h", "x", { ack: true });
  assert.deepEqual(node.events, ["g.h"]);
  // What they subscribe to is said in the log.
  const subscription = other.subscribe(["a.*", "b.>"]);
  await denied(subscription[Symbol.asyncIterator]().next(), /^this key may not subscribe to "a\.\* b\.>"$/);
  const listener = client.subscribe("g.*");
  const next = listener[Symbol.asyncIterator]().next();
  await listener.ready;
  await other.emit("g.i", "x", { ack: true });
  assert.equal((await next).value!.topic, "g.i");
  await listener.close();
  const { access, calls, streams, events } = node.server.stats();
  assert.deepEqual(access, {
    connected: 2,
    denied: { connect: 1, register: 2, call: 9, subscribe: 1, admin: 0 },
    removed: 0,
  });
  assert.deepEqual([calls.refused, streams.total, streams.refused, events.refused], [9, 1, 1, 2]);
});

test("an agent may register what its rule says, call by name and capability what it says, and nothing beside", async () => {
  const [agent, caller] = [generateIdentity(), generateIdentity()];
  await using node = await new Guarded().serve({
    allow: new AccessList([
      { key: agent.publicKey, permissions: ["register:text.*"] },
      { key: caller.publicKey, permissions: ["call:text.upper", "call:clock"] },
    ]),
  });
  const host = await node.client(agent);
  await denied(host.register({ name: "a", capabilities: ["text.upper", "image.crop"] }), /with these capabilities/);
  const handlers: Handlers = {
    call: (payload) => new TextDecoder().decode(payload).toUpperCase(),
    stream: async (stream) => void await stream.text(),
  };
  await using _up = await host.register({ name: "upper", capabilities: ["text.upper"] }, { handlers });
  const client = await node.client(caller);
  assert.equal((await client.call("x", { capability: "text.upper" })).text(), "X");
  assert.equal((await client.call("x", { agent: "clock" })).text(), "tick");
  const stream = client.stream({ capability: "text.upper" });
  await stream.close();
  assert.equal(await stream.text(), "");
  await denied(client.stream({ capability: "text.*" }).text(), /open agent streams to agents with the capability/);
  await denied(client.stream({ agent: "upper" }).text(), /open agent streams to this agent/);
  await denied(client.call("x", { capability: "text.*" }), /"text\.\*"/);
  await denied(client.call("x", { agent: "upper" }), /to this agent/);
  await denied(client.call("x"), /make calls here/);
});

test("an administrator ends registrations of other keys and frees their ids, also in the store; nobody else does", async () => {
  const [owner, thief, admin] = [generateIdentity(), generateIdentity(), generateIdentity()];
  const store = new MemoryAgentStore(new SystemRandom());
  const allow = new AccessList([{ key: admin.publicKey, permissions: ["admin"] }, { key: "*" }]);
  {
    await using node = await new Guarded().serve({ allow, registry: { store } });
    const host = await node.client(owner);
    const registration = await host.register({ id: ID, name: "old", capabilities: [] });
    const other = await node.client(thief);
    await assert.rejects(other.deregister(ID), { code: "refused", message: /belongs to somebody else/ });
    assert.equal((await other.discover({ id: ID })).length, 1);
    // Where it is gone for everybody, the id still is its owner's.
    await host.deregister(ID);
    await assert.rejects(other.register({ id: ID, name: "new", capabilities: [] }), { code: "refused" });
    await registration.close();
    await host.register({ id: ID, name: "old", capabilities: [] });
    await host.close();
    const operator = await node.client(admin);
    await operator.deregister(ID);
    assert.equal((await operator.discover({ id: ID })).length, 0);
    assert.equal(node.decisions.at(-1), `+ remove ${ID}`);
    assert.deepEqual([node.server.stats().access.removed, node.server.stats().registry!.ids], [1, 0]);
    await operator.deregister(ID);
    await assert.rejects(operator.deregister("no id"), { code: "usage", message: /a UUID, got "no id"/ });
  }
  await using node = await new Guarded().serve({ allow, registry: { store } });
  const other = await node.client(thief);
  await using _taken = await other.register({ id: ID, name: "new", capabilities: [] });
  assert.deepEqual((await other.discover({ id: ID })).map(({ name }) => name), ["new"]);
});

test("nobody administrates where nobody has said who may", async () => {
  const [owner, other] = [generateIdentity(), generateIdentity()];
  await using node = await new Guarded().serve({ allow: [owner.publicKey, other.publicKey] });
  await using _kept = await (await node.client(owner)).register({ id: ID, name: "a", capabilities: [] });
  await assert.rejects((await node.client(other)).deregister(ID), { code: "refused" });
});

test("a function decides beside the rules, and one that throws denies", async () => {
  const identity = generateIdentity();
  const asked: string[] = [];
  await using node = await new Guarded().serve({
    allow: new AccessList([{ key: "*", permissions: ["call"] }]),
    authorize: (peer, { kind, capabilities }) => {
      assert.equal(peer.publicKeyText, identity.publicKeyText);
      asked.push(kind);
      if (capabilities?.[0] === "boom") throw new Error("boom");
      return kind === "call";
    },
  });
  const client = await node.client(identity);
  assert.equal((await client.call("x")).text(), "called");
  await denied(client.discover(), /look for agents/);
  await denied(client.call("x", { capability: "boom" }), /"boom"/);
  await denied(client.register({ name: "a", capabilities: [] }), /register agents/);
  assert.deepEqual(asked, ["call", "discover", "call"], "what the rules deny need not be asked for");
});

test("a node tells of each call and stream that it has passed on, with the trace of whoever asked", async () => {
  const [agent, caller] = [generateIdentity(), generateIdentity()];
  const told: RelayedRequest[] = [];
  const onRelayed = (request: RelayedRequest): void => {
    told.push(request);
    throw new Error("a log that fails");
  };
  await using node = await new Guarded().serve({ registry: { onRelayed } });
  const host = await node.client(agent);
  const registration = await host.register({ name: "a", capabilities: ["b"] }, {
    handlers: {
      methods: {
        good: () => "good",
        bad: () => {
          throw new MxpError("agent_error", "bad");
        },
      },
      stream: async (stream) => void await stream.text(),
    },
  });
  const client = await node.client(caller);
  const { traceId } = await client.call("good", "", { capability: "b" });
  await assert.rejects(client.call("bad", "", { agent: "a" }), { message: "bad" });
  const stream = client.stream({ agent: "a" });
  await stream.close();
  assert.equal(await stream.text(), "");
  await registration.close();
  await assert.rejects(client.call("good", "", { capability: "b" }), { code: "no_such_agent" });
  while (told.length < 3) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.deepEqual(told.map(({ kind, outcome }) => `${kind} ${outcome}`), ["call ok", "call failed", "stream ok"]);
  assert.deepEqual([told[0].traceId, told[2].traceId], [traceId, stream.traceId]);
  for (const { peer, agentId, name } of told) {
    assert.deepEqual([peer.publicKeyText, agentId, name], [caller.publicKeyText, registration.id, "a"]);
  }
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { addressKind, directUrl, mayBeDialled, whyNotDialled } from "../../lib/agent/onward/dial_policy.ts";
import type { Platform } from "../../lib/agent/platform.ts";
import {
  type Agent,
  type CallContext,
  type Client,
  connect,
  generateIdentity,
  type Handlers,
  type Identity,
  MxpError,
  serve,
  type Server,
} from "../../mod.ts";
import { memoryPlatform, platforms } from "./support/platform.ts";

function fails(code: string, message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof MxpError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  };
}

/** A server, and what has registered it as an agent at a node. */
async function agentAt(
  platform: Platform,
  node: Server,
  listen: string,
  name: string,
  handlers: Handlers,
  { endpoint, identity = generateIdentity(), capabilities = ["work"] }: {
    endpoint?: string;
    identity?: Identity;
    capabilities?: string[];
  } = {},
) {
  const server = await serve({ listen, platform, identity }, { agents: { [name]: handlers } });
  const client = await connect(node.url, { platform, identity });
  const own = `${server.address.host}:${server.address.port}`;
  const card = { name, capabilities, endpoint: endpoint ?? own };
  const registration = await client.register(card, { handlers: { call: () => "through the node" } });
  const close = async (): Promise<void> => {
    await server.close();
    await registration.close();
    await client.close();
  };
  return { server, client, registration, [Symbol.asyncDispose]: close };
}

for (const [name, makePlatform] of platforms) {
  test(`a direct call goes to the agent's own address, by id, name and capability, with all that belongs to it, ${name}`, async () => {
    const platform = makePlatform();
    await using node = await serve({ listen: "127.0.0.1:0", platform, registry: true }, {});
    let seen: CallContext | undefined;
    await using agent = await agentAt(platform, node, "127.0.0.1:0", "direct", {
      call: (payload, context) => {
        seen = context;
        return payload;
      },
      methods: { shout: (payload) => new TextDecoder().decode(payload).toUpperCase() },
      stream: async function* (stream) {
        for await (const chunk of stream) yield `${new TextDecoder().decode(chunk)}!`;
      },
    });
    const identity = generateIdentity();
    await using client = await connect(node.url, { platform, identity });
    for (
      const target of [{ agent: "direct" }, { agent: agent.registration.id }, { capability: "work" }]
    ) {
      assert.equal((await client.call("x", { ...target, direct: true })).text(), "x");
      assert.equal((await client.call("x", target)).text(), "through the node");
    }
    const traceparent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
    const options = { agent: "direct", direct: true, timeoutMs: 3_000, traceparent, metadata: { a: "b" } };
    await client.call("x", options);
    assert.deepEqual([seen!.traceparent, { ...seen!.metadata }, seen!.agent], [traceparent, { a: "b" }, "direct"]);
    assert.equal(seen!.peer.publicKeyText, identity.publicKeyText, "the caller itself calls");
    assert.equal((await client.call("shout", "x", options)).text(), "X");
    const { open, dialled, reused } = client.stats().dialled;
    assert.deepEqual([open, dialled, reused], [1, 1, 4]);
    await using itself = await client.dial({ capability: "work" });
    const stream = itself.stream();
    await stream.write("chunk");
    await stream.close();
    assert.equal(await stream.text(), "chunk!");
    assert.equal((await itself.call("y")).text(), "y");
    assert.equal(agent.server.stats().connections, 2);
  });
}

test("a server answers itself for the agent that is registered with its key and name, and else it is said what to do", async () => {
  const platform = memoryPlatform();
  await using node = await serve({ listen: "127.0.0.1:0", platform, registry: true }, {});
  const identity = generateIdentity();
  const listen = "127.0.0.1:0";
  await using server = await serve({ listen, platform, identity, name: "a" }, {
    call: () => "at its own server",
    stream: async function* () {
      yield "streamed";
    },
  });
  await using agent = await connect(node.url, { platform, identity });
  const endpoint = `127.0.0.1:${server.address.port}`;
  const through = { handlers: { call: () => "through the node" } };
  await agent.register({ name: "a", endpoint }, through);
  await agent.register({ name: "b", endpoint }, through);
  await using client = await connect(node.url, { platform });
  assert.equal((await client.call("x", { agent: "a" })).text(), "through the node");
  assert.equal((await client.call("x", { agent: "a", direct: true })).text(), "at its own server");
  await using dialled = await client.dial("a");
  assert.equal((await dialled.call("x")).text(), "at its own server");
  const chunks: string[] = [];
  for await (const chunk of dialled.stream()) chunks.push(new TextDecoder().decode(chunk));
  assert.deepEqual(chunks, ["streamed"]);
  await assert.rejects(
    client.call("x", { agent: "b", direct: true }),
    (error) =>
      fails(
        "no_such_agent",
        /^the server at 127\.0\.0\.1:\d+ does not answer for the agent "b" at 127.*: it has to be/,
      )(error) &&
      (error as MxpError).nothingDone,
  );
});

test("a node that knows agents leaves one with its own key and name to where that is registered", async () => {
  const platform = memoryPlatform();
  const identity = generateIdentity();
  const options = { listen: "127.0.0.1:0", platform, identity, name: "hub", registry: true };
  await using node = await serve(options, () => "the node");
  await using agent = await connect(node.url, { platform, identity });
  const { id } = await agent.register({ name: "hub" }, { handlers: { call: () => "the agent" } });
  await using client = await connect(node.url, { platform });
  assert.equal((await client.call("x", { agent: id })).text(), "the agent");
});

test("an address that an agent has no right to gains it nothing: who answers there has another key", async () => {
  const platform = memoryPlatform();
  await using node = await serve({ listen: "127.0.0.1:0", platform, registry: true }, {});
  let calls = 0;
  await using victim = await serve({ listen: "127.0.0.1:0", platform }, () => String(calls++));
  const endpoint = `127.0.0.1:${victim.address.port}`;
  await using _liar = await agentAt(platform, node, "127.0.0.1:0", "liar", {}, { endpoint });
  await using client = await connect(node.url, { platform });
  await assert.rejects(client.call("secret", { agent: "liar", direct: true, timeoutMs: 20_000 }), MxpError);
  assert.equal(calls, 0);
  assert.equal(client.stats().dialled.failed, 1);
});

test("without an endpoint, with one that must not be dialled, or with nobody there, a direct call fails, and nobody else gets it", async () => {
  const platform = memoryPlatform();
  // The node is on another machine, as far as its address says.
  await using node = await serve({ listen: "192.0.2.1:0", platform, registry: true }, {});
  const caller = await connect(node.url, { platform });
  const register = async (name: string, endpoint?: string): Promise<Client> => {
    const client = await connect(node.url, { platform, identity: generateIdentity() });
    await client.register({ name, ...(endpoint && { endpoint }) }, { handlers: { call: () => "relayed" } });
    return client;
  };
  const clients = [
    await register("nowhere"),
    await register("here", "127.0.0.1:9000"),
    await register("clouds", "169.254.169.254:80"),
    await register("all", "224.0.0.251:5353"),
    await register("portless", "10.0.0.1:0"),
    await register("silent", "10.0.0.1:9"),
  ];
  const direct = (agent: string, allowLocal = false, timeoutMs = 10_000) =>
    caller.call("", { agent, direct: { allowLocal }, timeoutMs });
  await assert.rejects(direct("nowhere"), fails("connect_failed", /has no address of its own/));
  await assert.rejects(direct("here"), fails("connect_failed", /at 127\.0\.0\.1:9000, which is a loopback address/));
  await assert.rejects(
    direct("here", true, 60),
    fails("deadline", /no answer from the agent "here" at 192.*within 60 ms/),
  );
  await assert.rejects(direct("clouds"), fails("connect_failed", /is a link-local address/));
  await assert.rejects(direct("all", true), fails("connect_failed", /no address that a single machine can have/));
  await assert.rejects(direct("portless"), fails("connect_failed", /has no port/));
  await assert.rejects(
    direct("silent", false, 60),
    fails("deadline", /says that it is at 10\.0\.0\.1:9, within 60 ms/),
  );
  await assert.rejects(direct("nobody"), fails("no_such_agent", /no agent "nobody" at 192/));
  await assert.rejects(caller.dial({ capability: "none" }), fails("no_such_agent", /no agent with "none" at 192/));
  await assert.rejects(caller.call("", { direct: true }), fails("usage", /needs an agent or a capability/));
  const stop = new AbortController();
  const dialling = caller.dial("silent", { signal: stop.signal });
  setTimeout(() => stop.abort(), 20);
  await assert.rejects(dialling, fails("cancelled", /was cancelled/));
  assert.equal(node.stats().registry!.relayed.total, 0);
  for (const client of [caller, ...clients]) await client.close();
});

test("which addresses are dialled follows from what they mean to others, in every spelling", () => {
  const kinds: [string, string][] = [
    ["routed", "192.0.2.1 10.1.2.3 172.16.0.1 192.168.1.1 100.64.0.1 2001:db8::1 fd00::1 ::ffff:10.0.0.1 169.253.0.1"],
    ["loopback", "127.0.0.1 127.255.255.254 ::1 ::ffff:127.0.0.1 64:ff9b::7f00:1 2002:7f00:1:: ::127.0.0.1"],
    ["link_local", "169.254.169.254 fe80::1 febf::1 ::ffff:169.254.1.1 64:ff9b::a9fe:a9fe"],
    ["nobody", "0.0.0.0 0.1.2.3 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 :: ff02::1 ::ffff:224.0.0.1 example.org"],
  ];
  for (const [kind, hosts] of kinds) for (const host of hosts.split(" ")) assert.equal(addressKind(host), kind, host);
  assert.equal(whyNotDialled("127.0.0.1", "127.0.0.1", false), undefined);
  assert.equal(whyNotDialled("169.254.1.1", "169.254.1.2", false), undefined);
  assert.match(whyNotDialled("127.0.0.1", "169.254.1.2", false)!, /loopback/);
  assert.match(whyNotDialled("169.254.1.1", "10.0.0.1", false)!, /link-local/);
  assert.equal(whyNotDialled("169.254.1.1", "10.0.0.1", true), undefined);
  assert.match(whyNotDialled("224.0.0.1", "127.0.0.1", true)!, /single machine/);
  assert.deepEqual(
    ["10.0.0.1:9", "10.0.0.1:0", "127.0.0.1:9", "[::1]:9", "host:9"].map((endpoint) => mayBeDialled(endpoint)),
    [true, false, false, false, false],
  );
  assert.ok(mayBeDialled("[::1]:9", { allowLocal: true }) && !mayBeDialled("0.0.0.0:9", { allowLocal: true }));
});

test("of several agents, the one with the least to do is dialled, and equals take turns", () => {
  const publicKey = generateIdentity().publicKeyText;
  const agent = (id: string, load: number, more: Partial<Agent> = {}): Agent => ({
    ...{
      id,
      name: id,
      capabilities: [],
      tags: [],
      metadata: {},
      status: "online",
      publicKey,
      endpoint: "10.0.0.1:1",
      load,
    },
    ...more,
  });
  const choose = (agents: Agent[], turn = 0): string => directUrl(agents, "x", "10.0.0.9", {}, turn).agent;
  assert.equal(choose([agent("a", 9), agent("b", 1), agent("c", 5)]), "b");
  assert.equal(
    choose([agent("a", 9), agent("b", 1, { status: "degraded" }), agent("c", 0, { status: "offline" })]),
    "a",
  );
  assert.deepEqual([0, 1, 2].map((turn) => choose([agent("a", 1), agent("b", 1)], turn)), ["a", "b", "a"]);
  const mute = agent("m", 0, { publicKey: undefined });
  assert.throws(() => choose([mute]), fails("connect_failed", /no key/));
  assert.throws(() => choose([agent("m", 0, { publicKey: "A".repeat(43) })]), fails("connect_failed", /no key/));
});

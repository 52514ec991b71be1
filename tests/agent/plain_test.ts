import assert from "node:assert/strict";
import { test } from "node:test";
import { address } from "../../lib/base/address.ts";
import { parseUuid } from "../../lib/base/uuid.ts";
import { CodecError } from "../../lib/codec/codec_error.ts";
import { ErrorCode } from "../../lib/codec/error_codes.ts";
import { decodeDiscoverResponse } from "../../lib/codec/payloads/discover_response.ts";
import { decodeError } from "../../lib/codec/payloads/error.ts";
import { connect, generateIdentity, MxpError } from "../../mod.ts";
import { answer, callTo, errorOf, Mesh, registerJson, Type, until } from "./support/plain_mesh.ts";
import { golden, message } from "./support/plain_peer.ts";
import { type memoryPlatform, platforms } from "./support/platform.ts";

const { REGISTER, DISCOVER, HEARTBEAT, CALL, RESPONSE, ACK, ERROR } = Type;
const FINAL = 8;
const ID = "5b0c2a1e-7d3f-4c8a-9e61-0f2d4b6a8c10";
const OTHER = "5b0c2a1e-7d3f-4c8a-9e61-0f2d4b6a8c22";
const ID_BYTES = parseUuid(ID)!;
const MINE = "5b0c2a1e-7d3f-4c8a-9e61-0f2d4b6a8c11";

/**
 * Datagrams of the published runtime: fields in the order of its structures, metadata in the order of a hash table. Header and
 * checksum come from another implementation of XXH3, not from this project's.
 */
const RUNTIME = {
  register: golden(
    "3150584d010000007768594a3b2c1d8f8877665544332211de00000000000000",
    `{"id":"${ID}","name":"reviewer","capabilities":["code.review","text.echo"],"address":"127.0.0.1:50052",` +
      `"metadata":{"tags":"[\\"rust\\",\\"llm\\"]","version":"0.1.0","description":"Reviews code"}}`,
    "e67fadc34e135b1c",
  ),
  heartbeat: golden(
    "3150584d0300000008070605040302011032547698badcfe3300000000000000",
    `{"agent_id":"${ID}"}`,
    "7136a8e63b91d9ab",
  ),
  deregister: golden(
    "3150584d03080000ffffffffffffffff01000000000000003300000000000000",
    `{"agent_id":"${ID}"}`,
    "303da88e19fef2bb",
  ),
  discover: golden(
    "3150584d02000000010000000000200002000000000000001c00000000000000",
    `{"capability":"code.review"}`,
    "048e2eca4d3ea226",
  ),
  call: golden(
    "3150584d1000000000eeffc000eeffc0efcdab00000000002c00000000000000",
    `{"code":"fn main() {}","type":"code_review"}`,
    "b6a655d30d2d6b27",
  ),
  /** The example agents register like this. */
  coordinatorRegister: golden(
    "3150584d01000000aa55aa55aa55aa5503000000000000008500000000000000",
    `{"agent_id":"7e57a9c4-11d2-4b3e-8f60-2c5d7e9fa1b3","name":"CodeReviewer","capabilities":["code.review"],` +
      `"endpoint":"127.0.0.1:50053"}`,
    "9b29a64ebde1de12",
  ),
};

test("what the published runtime sends, byte for byte, registers, heartbeats, is discovered, gets called and deregisters", async () => {
  await using mesh = await Mesh.start();
  // The runtime registers from one socket, and its agent listens on another.
  const registrar = await mesh.peer();
  const agent = await mesh.peer({ port: 50_052 });
  const other = await mesh.peer();

  const registered = await registrar.ask(RUNTIME.register);
  assert.deepEqual(
    [registered.type, registered.id, registered.trace, registered.text],
    [RESPONSE, 0x8f1d2c3b4a596877n, 0x1122334455667788n, `{"success":true,"agent_id":"${ID}","message":"registered"}`],
  );
  const beat = await registrar.ask(RUNTIME.heartbeat);
  assert.deepEqual([beat.type, beat.id, beat.trace], [RESPONSE, 0x0102030405060708n, 0xfedcba9876543210n]);
  const { timestamp, ...rest } = beat.json;
  assert.deepEqual(rest, { success: true, needs_register: false, agent_id: ID });
  assert.match(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

  const found = await other.ask(RUNTIME.discover);
  assert.deepEqual([found.type, found.id, found.trace], [RESPONSE, 0x20000000000001n, 2n]);
  const { last_heartbeat, registered_at, ...record } = found.json.agents[0];
  assert.deepEqual(record, {
    id: ID,
    name: "reviewer",
    version: "0.1.0",
    description: "Reviews code",
    capabilities: ["code.review", "text.echo"],
    tags: ["rust", "llm"],
    address: "127.0.0.1:50052",
    status: "Online",
  });
  assert.ok(registered_at <= last_heartbeat);
  assert.deepEqual([found.json.capability, found.json.count], ["code.review", 1]);

  // Called by another program in clear, by its id.
  const asked = other.ask(callTo(ID, 5, `{"code":"fn main() {}"}`));
  const call = await answer(agent, `{"status":"complete"}`);
  assert.deepEqual(
    [call.text, call.trace],
    [`{"code":"fn main() {}"}`, 5n],
    "who registered in JSON is called in JSON",
  );
  assert.equal(call.from.key, mesh.server.plainAddress);
  const reply = await asked;
  assert.deepEqual([reply.type, reply.id, reply.trace, reply.text], [RESPONSE, 77n, 5n, `{"status":"complete"}`]);

  // And by whoever has a connection: by id, name and capability, knowing what the agent is.
  const client = await mesh.client();
  const [listed] = await client.discover({ capability: "code.*" });
  assert.deepEqual([listed.carrier, listed.publicKey, listed.endpoint], ["plain", undefined, "127.0.0.1:50052"]);
  for (const options of [{ agent: ID }, { agent: "reviewer" }, { capability: "code.review" }]) {
    const calling = client.call("data that is no JSON", { ...options, timeoutMs: 5_000 });
    assert.equal((await answer(agent, "yes")).text, "data that is no JSON");
    assert.equal((await calling).text(), "yes", JSON.stringify(options));
  }
  const failing = client.call("{}", { agent: ID });
  await answer(agent, `{"error":"no model","code":"OVERLOADED"}`, undefined, ERROR);
  await assert.rejects(failing, (error) => error instanceof MxpError && error.code === "overloaded" && error.retryable);

  const gone = await registrar.ask(RUNTIME.deregister);
  assert.deepEqual([gone.id, gone.json.success, gone.json.needs_register], [0xffffffffffffffffn, true, false]);
  assert.deepEqual((await other.ask(RUNTIME.discover)).json, { capability: "code.review", agents: [], count: 0 });
  const unknown = await registrar.ask(RUNTIME.heartbeat);
  assert.deepEqual([unknown.json.success, unknown.json.needs_register], [false, true]);
  assert.equal((await registrar.ask(RUNTIME.register)).json.success, true);
  assert.equal(mesh.stats.agents, 1);
  assert.deepEqual(mesh.stats.passedOn, { running: 0, total: 5, answered: 5, expired: 0 });
});

test("an agent of the published examples answers under ids of its own, and repeats the request_id that it was sent", async () => {
  await using mesh = await Mesh.start();
  const agent = await mesh.peer({ port: 50_053 });
  const registered = await agent.ask(RUNTIME.coordinatorRegister);
  assert.deepEqual([registered.type, registered.id, registered.payload.length], [ACK, 0x55aa55aa55aa55aan, 0]);
  const client = await mesh.client();
  const calls = ["{}", `{ "code" : 1}`].map((data) => client.call(data, { capability: "code.review" }));
  const requests = [await agent.next(), await agent.next()];
  for (const request of requests.reverse()) {
    const { request_id, ...data } = request.json;
    assert.equal(request_id.length, 16);
    const reply = JSON.stringify({ review: data, status: "complete", request_id });
    agent.send(message(RESPONSE, 0, 0x1234n, 0x99n, reply), request.from);
  }
  assert.deepEqual((await Promise.all(calls)).map((reply) => JSON.parse(reply.text()).review), [{}, { code: 1 }]);
  // What is no object, or has such a member already, is left as it is.
  for (const data of ["[1]", `{"request_id":"mine"}`]) {
    const calling = client.call(data, { capability: "code.review" });
    assert.equal((await answer(agent, "ok")).text, data);
    await calling;
  }
  // Nobody else can answer, whatever he has found out, and nothing is an answer twice.
  const stranger = await mesh.peer();
  const calling = client.call("{}", { capability: "code.review" });
  const { id, from, json } = await agent.next();
  stranger.send(message(RESPONSE, 0, id, 0n, "stolen"), from);
  stranger.send(message(RESPONSE, 0, 1n, 0n, JSON.stringify({ request_id: json.request_id })), from);
  await until(() => mesh.stats.dropped.unmatched === 2, "both were dropped");
  for (const text of ["first", "second"]) agent.send(message(RESPONSE, 0, id, 0n, text), from);
  assert.equal((await calling).text(), "first");
  await until(() => mesh.stats.dropped.unmatched === 3, "the second answer was dropped");
});

for (const [where, makePlatform] of platforms) {
  test(`calls over the plain carrier reach the node itself, and in the mesh only whom it names, ${where}`, async () => {
    const platform = makePlatform() as ReturnType<typeof memoryPlatform>;
    await using mesh = await Mesh.start({}, {}, platform);
    const peer = await mesh.peer();
    const first = await peer.ask(RUNTIME.call);
    assert.deepEqual(
      [first.type, first.id, first.trace, first.text],
      [RESPONSE, 0xc0ffee00c0ffee00n, 0xabcdefn, `the node got {"code":"fn main() {}","type":"code_review"}`],
    );
    assert.equal((await peer.ask(callTo(undefined, 3, "bytes"))).text, "the node got bytes");
    const [, { peer: caller, traceId, agent, remainingMs }] = mesh.seen;
    assert.deepEqual(
      [caller.carrier, caller.address, caller.publicKey.length, traceId, agent, typeof remainingMs],
      ["plain", peer.address.key, 0, "0000000000000005", undefined, "function"],
    );
    // An agent with a key is not to be reached from here, neither by its id nor by its name.
    const secure = await mesh.client();
    await using registration = await secure.register({ name: "secret", id: MINE, capabilities: ["code.review"] }, {
      handlers: { call: (payload) => `the secure agent got ${new TextDecoder().decode(payload)}` },
    });
    assert.equal(registration.id, MINE);
    const refused = await peer.ask(callTo(MINE, 3, "x".repeat(100)));
    const error = decodeError(refused.payload);
    assert.ok(!(error instanceof CodecError));
    assert.deepEqual([refused.type, refused.id, error.text], [ERROR, 77n, `no agent ${MINE} here`]);
    assert.deepEqual((await peer.ask(RUNTIME.discover)).json.agents, [], "nor is it listed");

    await using open = await Mesh.start({ callTarget: "secret" }, {}, platform);
    const inside = await connect(open.server.url, { platform, identity: generateIdentity() });
    const agents = await inside.register({ name: "secret", id: MINE, capabilities: ["code.review"] }, {
      handlers: { call: (payload) => `the secure agent got ${new TextDecoder().decode(payload)}` },
    });
    const outside = await open.peer();
    assert.equal((await outside.ask(message(CALL, 0, 1n, 2n, `{"a":1}`))).text, `the secure agent got {"a":1}`);
    assert.equal((await outside.ask(callTo(undefined, 3, "bytes"))).text, "the node got bytes");
    const [target] = (await outside.ask(RUNTIME.discover)).json.agents;
    assert.deepEqual([target.name, target.address], ["secret", open.server.plainAddress], "it is called at the node");
    await agents.close();
    await inside.close();
    const [code, text] = errorOf(await outside.ask(message(CALL, 0, 1n, 2n, `{"padding":"${"x".repeat(80)}"}`)));
    assert.equal(code, "NO_SUCH_AGENT");
    assert.match(text, /^no agent .* here$/);
  });
}

test("in the binary form there is everything that the binary form has", async () => {
  await using mesh = await Mesh.start();
  const agent = await mesh.peer();
  const { port } = agent.address;
  const name = new TextEncoder().encode("binary");
  const payload = Uint8Array.of(...ID_BYTES, 6, 0, ...name, 1, 0, 6, 0, ...name, 127, 0, 0, 1, port & 0xff, port >>> 8);
  const registered = await agent.ask(message(REGISTER, 0, 9n, 8n, payload));
  assert.deepEqual([registered.type, registered.id, registered.payload[0]], [RESPONSE, 9n, 1]);
  assert.equal(new DataView(registered.payload.slice().buffer).getUint32(17, true), 30_000, "the lease");
  const beat = await agent.ask(message(HEARTBEAT, 0, 10n, 8n, Uint8Array.of(...ID_BYTES, 2, 2, 0, 244, 1)));
  assert.deepEqual([...beat.payload.subarray(0, 2)], [1, 0]);
  const query = Uint8Array.of(1, 6, 0, ...name);
  const page = decodeDiscoverResponse((await agent.ask(message(DISCOVER, 0, 11n, 8n, query))).payload);
  assert.ok(!(page instanceof CodecError));
  assert.deepEqual(page.agents.map(({ name, load, isPlain, endpoint }) => [name, load, isPlain, endpoint?.port]), [
    ["binary", 500, true, port],
  ]);
  const client = await mesh.client();
  const calling = client.call("data", { agent: ID, timeoutMs: 2_500 });
  const call = await answer(agent, "fine");
  assert.deepEqual([...call.payload], [...ID_BYTES, 3, 0, 0, 0, ...new TextEncoder().encode("data")]);
  assert.equal((await calling).text(), "fine");
  await assert.rejects(client.call("sum", "data", { agent: ID }), { code: "agent_error", message: /have no method/ });
  await assert.rejects(client.call(new Uint8Array(70_000), { agent: ID }), { code: "too_large" });
  // Who has given a call up gets no answer any more.
  const giveUp = new AbortController();
  const given = client.call("data", { agent: ID, signal: giveUp.signal });
  const unanswered = assert.rejects(given, { code: "cancelled" });
  const { id, from } = await agent.next();
  giveUp.abort();
  await unanswered;
  await until(() => mesh.stats.passedOn.running === 0, "the call is given up");
  agent.send(message(RESPONSE, 0, id, 0n, "too late"), from);
  await until(() => mesh.stats.dropped.unmatched === 1, "it was dropped");
  const gone = await agent.ask(message(HEARTBEAT, FINAL, 12n, 8n, ID_BYTES));
  assert.deepEqual([...gone.payload.subarray(0, 2)], [1, 0]);
});

test("an agent is called at the address that its registration came from, whatever address it names", async () => {
  await using mesh = await Mesh.start();
  const agent = await mesh.peer();
  const { port } = agent.address;
  const lie = registerJson(ID, port).replace("127.0.0.1", "192.0.2.9");
  assert.equal((await agent.ask(message(REGISTER, 0, 1n, 1n, lie))).json.success, true);
  const [{ address: listed }] = (await agent.ask(RUNTIME.discover)).json.agents;
  assert.equal(listed, `127.0.0.1:${port}`);
  // The node is no agent of itself: a call would come back to it for ever.
  const loop = registerJson(MINE, Number(mesh.server.plainAddress!.split(":")[1]));
  const [code, text] = errorOf(await agent.ask(message(REGISTER, 0, 1n, 1n, loop)));
  assert.equal(code, "BAD_REQUEST");
  assert.match(text, /is where this node itself listens/);
  // Neither can it do everything, or have no name.
  const nameless = registerJson(OTHER, port, "");
  const boaster = registerJson(OTHER, port, "boaster", ["pg.*"]).replace(`"id"`, `"agent_id"`)
    .replace(`"address"`, `"endpoint"`);
  for (const [json, reason] of [[nameless, /at least one character/], [boaster, /does not end in \*/]] as const) {
    const [code, text] = errorOf(await agent.ask(message(REGISTER, 0, 1n, 1n, json)));
    assert.equal(code, "BAD_REQUEST");
    assert.match(text, reason);
  }
  // And an agent that sends its call back to the node is not called again.
  const client = await mesh.client();
  const calling = client.call("{}", { agent: ID, timeoutMs: 5_000 });
  const call = await agent.next();
  agent.send(call.bytes);
  await until(() => mesh.stats.dropped.own_call === 1, "it was recognised");
  agent.send(message(RESPONSE, 0, call.id, 0n, "ok"));
  assert.equal((await calling).text(), "ok");
});

test("agents with a key come before those without one", async () => {
  await using mesh = await Mesh.start();
  const plain = await mesh.peer();
  await plain.ask(message(REGISTER, 0, 1n, 1n, registerJson(ID, plain.address.port, "twin")));
  const secure = await mesh.client();
  const registration = await secure.register({ name: "twin", capabilities: ["code.review"] }, {
    handlers: { call: () => "with a key" },
  });
  const client = await mesh.client();
  for (const options of [{ agent: "twin" }, { capability: "code.review" }]) {
    for (let i = 0; i < 3; i++) assert.equal((await client.call("{}", options)).text(), "with a key");
  }
  await registration.close();
  const calling = client.call("{}", { agent: "twin" });
  await answer(plain, "without a key");
  assert.equal((await calling).text(), "without a key");
});

test("agents without a key get neither agent streams nor events, and nobody is told to try again", async () => {
  await using mesh = await Mesh.start();
  const plain = await mesh.peer();
  await plain.ask(message(REGISTER, 0, 1n, 1n, registerJson(ID, plain.address.port, "twin")));
  const client = await mesh.client();
  const never = (error: unknown): boolean => {
    assert.ok(error instanceof MxpError);
    assert.deepEqual([error.retryable, error.remoteCode], [false, ErrorCode.UNSUPPORTED_TYPE], error.message);
    assert.match(error.message, /"twin" is on the plain carrier, which has calls, but no (agent streams|events)/);
    return true;
  };
  for (const options of [{ agent: "twin" }, { agent: ID }, { capability: "code.review" }]) {
    await assert.rejects(client.stream(options).text(), never, JSON.stringify(options));
    await assert.rejects(client.emit("a.b", "{}", { ...options, ack: true }), never);
  }
  // Who has a key comes first here, too.
  const secure = await mesh.client();
  const registration = await secure.register({ name: "twin", capabilities: ["code.review"] }, {
    handlers: { stream: (stream) => stream.write("with a key") },
  });
  assert.equal(await client.stream({ capability: "code.review" }).text(), "with a key");
  await registration.close();
});

test("a call that fits into a datagram only without the request_id that it gets is too large, and nothing breaks", async () => {
  await using mesh = await Mesh.start();
  const plain = await mesh.peer();
  await plain.ask(RUNTIME.coordinatorRegister);
  const agent = await mesh.peer({ port: 50_053 });
  const client = await mesh.client();
  const id = "7e57a9c4-11d2-4b3e-8f60-2c5d7e9fa1b3";
  const most = 65_507 - 40 - 32;
  const json = (length: number): string => `{"a":"${"x".repeat(length - 8)}"}`;
  const calling = client.call(json(most), { agent: id });
  const call = await answer(agent, "{}");
  assert.equal(call.bytes.length, 65_507);
  assert.equal((await calling).text(), "{}");
  for (const length of [most + 1, most + 12, most + 13]) {
    await assert.rejects(client.call(json(length), { agent: id }), { remoteCode: ErrorCode.PAYLOAD_TOO_LARGE });
  }
  assert.equal(mesh.stats.passedOn.running, 0);
});

test("who comes from an address that only means something on one machine is told that it cannot be called there", async () => {
  await using mesh = await Mesh.start({ listen: "[2001:db8::1]:9001", force: true });
  const near = await mesh.peer({ host: "fe80::7%eth0" });
  near.send(message(REGISTER, 0, 1n, 1n, registerJson(ID, near.address.port)), address("2001:db8::1", 9_001));
  const [code, text] = errorOf(await near.next("a refusal"));
  assert.equal(code, "BAD_REQUEST");
  assert.match(text, /^\[fe80::7%eth0\]:\d+ is an address of no use to any other machine/);
  assert.equal(mesh.stats.socket.faults, 0);
});

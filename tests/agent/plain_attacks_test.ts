import assert from "node:assert/strict";
import { test } from "node:test";
import { type Clock, type Micros, micros, seconds } from "../../lib/base/time.ts";
import { concatBytes, fromHex } from "../../lib/base/bytes.ts";
import { parseUuid } from "../../lib/base/uuid.ts";
import { encodeAgentRegister, sizeOfAgentRegister } from "../../lib/codec/payloads/agent_register.ts";
import { ErrorCode } from "../../lib/codec/error_codes.ts";
import { encodeError, sizeOfError } from "../../lib/codec/payloads/error.ts";
import { decodeDiscoverResponse } from "../../lib/codec/payloads/discover_response.ts";
import { SystemClock } from "../../lib/runtime/clock.ts";
import { MemoryAgentStore } from "../../lib/store/memory_store.ts";
import { PlainFuzzer } from "../../lib/testing/plain_fuzzer.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { generateIdentity, MxpError, serve } from "../../mod.ts";
import { testSeed } from "../support/seed.ts";
import { answer, callTo, errorOf, Mesh, registerJson, Type, until } from "./support/plain_mesh.ts";
import { message, type PlainPeer } from "./support/plain_peer.ts";
import { RawPeer } from "./support/raw_peer.ts";
import { memoryPlatform } from "./support/platform.ts";

const { REGISTER, DISCOVER, HEARTBEAT, CALL, RESPONSE, EVENT, ACK, ERROR } = Type;
const FINAL = 8;
const ID = "5b0c2a1e-7d3f-4c8a-9e61-0f2d4b6a8c10";
const ID_BYTES = parseUuid(ID)!;

function binaryRegister(name: string): Uint8Array {
  const register = { agentId: ID_BYTES, name, capabilities: ["stolen"] };
  const payload = new Uint8Array(sizeOfAgentRegister(register));
  encodeAgentRegister(payload, 0, register);
  return payload;
}

/** Everything that somebody can try in clear to get at an id. */
const PLAIN_WAYS: readonly (readonly [string, (port: number) => Uint8Array])[] = [
  ["register in JSON", (port) => message(REGISTER, 0, 1n, 1n, registerJson(ID, port, "thief"))],
  [
    "register in the coordinator's JSON",
    (port) => {
      const { id, name, capabilities, address } = JSON.parse(registerJson(ID, port, "thief"));
      return message(REGISTER, 0, 1n, 1n, JSON.stringify({ agent_id: id, name, capabilities, endpoint: address }));
    },
  ],
  ["register in binary", () => message(REGISTER, 0, 1n, 1n, binaryRegister("thief"))],
  ["heartbeat in JSON", () => message(HEARTBEAT, 0, 1n, 1n, `{"agent_id":"${ID}"}`)],
  ["heartbeat in binary", () => message(HEARTBEAT, 0, 1n, 1n, ID_BYTES)],
  ["FINAL in JSON", () => message(HEARTBEAT, FINAL, 1n, 1n, `{"agent_id":"${ID}"}`)],
  ["FINAL in binary", () => message(HEARTBEAT, FINAL, 1n, 1n, ID_BYTES)],
];

/** All of them, each answered with AGENT_ID_TAKEN. */
async function tryInClear(thief: PlainPeer, when: string): Promise<void> {
  for (const [way, bytes] of PLAIN_WAYS) {
    const refusal = await thief.ask(bytes(thief.address.port), way);
    assert.equal(refusal.type, ERROR, `${way} ${when}`);
    if (way.includes("JSON")) assert.equal(refusal.json.code, "AGENT_ID_TAKEN", `${way} ${when}`);
    else assert.deepEqual([...refusal.payload.subarray(0, 2)], [0x0e, 0], `${way} ${when}`);
  }
}

/** The same over a connection with another key. JSON says nothing there, so it changes nothing. */
async function tryWithKey({ platform, server }: Mesh, when: string): Promise<void> {
  const thief = await RawPeer.connect(platform, server.url);
  for (const [way, bytes] of PLAIN_WAYS) {
    const { bytes: answer } = await thief.answer(thief.open(bytes(1)));
    if (!way.includes("JSON")) assert.deepEqual([answer[4], answer[32]], [ERROR, 0x0e], `${way} ${when}`);
  }
  thief.close();
}

/** A clock that can be put forward, so that nobody has to wait for the end of a lease. */
class JumpingClock implements Clock {
  readonly #clock = new SystemClock();
  #ahead = 0;

  now(): Micros {
    return micros(this.#clock.now() + this.#ahead);
  }

  wakeAt(at: Micros, callback: () => void): () => void {
    return this.#clock.wakeAt(micros(at - this.#ahead), callback);
  }

  jump(by: Micros): void {
    this.#ahead += by;
  }
}

test("an id that belongs to a key can be had by nobody in clear: while it is there, offline, expired, and after a restart", async () => {
  const clock = new JumpingClock();
  const platform = { ...memoryPlatform(), clock };
  const store = new MemoryAgentStore(new SeededRandom(testSeed));
  const identity = generateIdentity();
  {
    await using mesh = await Mesh.start({}, { store }, platform);
    const thief = await mesh.peer();
    // Connections do not outlive the jumps, so each question gets a new one.
    const agents = async () =>
      (await (await mesh.client()).discover({ id: ID })).map((
        { name, publicKey, status },
      ) => [name, publicKey, status]);
    const owner = await mesh.client(identity);
    await owner.register({ name: "mine", id: ID });
    await tryInClear(thief, "while it is registered");
    await tryWithKey(mesh, "while it is registered");
    assert.deepEqual(await agents(), [["mine", identity.publicKeyText, "online"]]);
    // Its process is gone without a word.
    await owner.close();
    clock.jump(seconds(45));
    await tryInClear(thief, "while it is offline");
    assert.deepEqual(await agents(), [["mine", identity.publicKeyText, "offline"]]);
    clock.jump(seconds(45));
    await tryInClear(thief, "after it has expired");
    await tryWithKey(mesh, "after it has expired");
    assert.deepEqual(await agents(), []);
    assert.equal(mesh.stats.refused.AGENT_ID_TAKEN, 3 * PLAIN_WAYS.length);
    assert.ok(mesh.server.stats().registry!.refused.AGENT_ID_TAKEN >= 3 * PLAIN_WAYS.length);
  }
  await using mesh = await Mesh.start({}, { store }, platform);
  await tryInClear(await mesh.peer(), "after a restart");
  await (await mesh.client(identity)).register({ name: "mine again", id: ID });
});

test("an id that an address has registered can be had by nobody else while it is: over no carrier and in no form", async () => {
  const clock = new JumpingClock();
  await using mesh = await Mesh.start({}, {}, { ...memoryPlatform(), clock });
  const [owner, thief] = [await mesh.peer(), await mesh.peer()];
  const statuses = async () => {
    const { json } = await owner.ask(message(DISCOVER, 0, 1n, 1n, `{"capability":"code.review"}`));
    return json.agents.map(({ name, status }: { name: string; status: string }) => [name, status]);
  };
  await owner.ask(message(REGISTER, 0, 1n, 1n, registerJson(ID, owner.address.port, "mine")));
  await tryInClear(thief, "while it is registered");
  await tryWithKey(mesh, "while it is registered");
  clock.jump(seconds(45));
  await tryInClear(thief, "while it is offline");
  await tryWithKey(mesh, "while it is offline");
  assert.deepEqual(await statuses(), [["mine", "Offline"]]);
  clock.jump(seconds(45));
  assert.deepEqual(await statuses(), []);
  // A port that is free is anybody's, so it is no claim to anything.
  const taken = await thief.ask(PLAIN_WAYS[0][1](thief.address.port));
  assert.equal(taken.json.success, true);
  await tryInClear(owner, "after it was somebody else's");
});

test("what does not decode is dropped and counted by name, and so is what answers nothing; nobody is told anything", async () => {
  await using mesh = await Mesh.start({}, false);
  const peer = await mesh.peer();
  const good = message(CALL, 0, 1n, 1n, "{}");
  const changed = (at: number, value: number): Uint8Array => {
    const bytes = good.slice();
    bytes[at] = value;
    return bytes;
  };
  const bad: [string, Uint8Array][] = [
    ["short_buffer", good.subarray(0, 39)],
    ["short_buffer", new Uint8Array(0)],
    ["wrong_magic", changed(0, 0x32)],
    ["unknown_type", changed(4, 0x7f)],
    ["bad_flags", changed(5, 0x10)],
    ["reserved_not_zero", changed(7, 1)],
    ["payload_too_large", changed(27, 1)],
    ["payload_too_large", changed(31, 0x80)],
    ["checksum_mismatch", changed(33, 0x7b)],
    ["trailing_bytes", concatBytes(good, Uint8Array.of(0))],
    ["unmatched", message(RESPONSE, 0, 1n, 1n, "{}")],
    ["unmatched", message(ERROR, 0, 1n, 1n, "{}")],
    ["ignored", message(ACK, 0, 1n, 1n, "")],
    ["ignored", message(0x80, 0, 1n, 1n, "")],
    ["ignored", message(0xef, 0, 1n, 1n, "{}")],
  ];
  const expected: Record<string, number> = {};
  for (const [name, bytes] of bad) {
    peer.send(bytes);
    expected[name] = (expected[name] ?? 0) + 1;
  }
  await until(() => mesh.stats.received === bad.length, "all have arrived");
  const { dropped, sent } = mesh.stats;
  assert.deepEqual(Object.fromEntries(Object.entries(dropped).filter(([, count]) => count > 0)), expected);
  assert.deepEqual([sent, peer.unread, mesh.seen.length], [0, 0, 0]);

  // What decodes and makes no sense is told so, in its own form and briefly.
  const questions: [string, RegExp, Uint8Array][] = [
    [
      "UNSUPPORTED_TYPE",
      /^Event messages are not/,
      message(EVENT, 0, 1n, 1n, `{"topic":"a","data":"bcdefghijklmnop"}`),
    ],
    ["UNSUPPORTED_TYPE", /^compressed and encrypted/, message(CALL, 1, 1n, 1n, `{"a":"${"x".repeat(40)}"}`)],
    ["UNSUPPORTED_TYPE", /^there is no registry here/, message(REGISTER, 0, 1n, 1n, registerJson(ID, 1))],
    ["BAD_REQUEST", /member id/, message(REGISTER, 0, 1n, 1n, `{"id":"x","name":"y","capabilities":[]}`)],
    ["BAD_REQUEST", /member agent_id/, message(HEARTBEAT, 0, 1n, 1n, `{"agent_id":7,"more":"${"x".repeat(30)}"}`)],
  ];
  for (const [code, text, question] of questions) {
    const refusal = await peer.ask(question, code);
    assert.ok(refusal.bytes.length <= 3 * question.length);
    const [seen, why] = errorOf(refusal);
    assert.equal(seen, code);
    assert.match(why, text);
  }
  const short = await peer.ask(message(CALL, 0, 1n, 1n, "x"));
  assert.ok(short.bytes.length <= 3 * 41, "the text is cut");
  assert.deepEqual([...short.payload.subarray(0, 3)], [1, 0, 0]);
});

test("whatever is thrown at the port, nothing throws, little is said, and the next one is served", async () => {
  const fuzzer = new PlainFuzzer(new SeededRandom(testSeed));
  await using mesh = await Mesh.start({ maxRate: 1e9, maxRatePerSource: 1e9 });
  const peer = await mesh.peer();
  await peer.ask(message(REGISTER, 0, 1n, 1n, registerJson(ID, peer.address.port)));
  const heard = peer.bytesReceived;
  let asked = 0;
  for (let i = 0; i < 3_000; i++) {
    const bytes = fuzzer.next();
    asked += bytes.length;
    peer.send(bytes);
    if (i % 200 === 199) await until(() => mesh.stats.received === i + 2, "they were read");
  }
  const { dropped, refused, sent, socket } = mesh.stats;
  await until(() => peer.unread === sent - 1, "all answers are there");
  assert.equal(socket.faults, 0);
  assert.ok(peer.bytesReceived - heard <= 3 * asked, `${peer.bytesReceived - heard} bytes for ${asked}`);
  for (const name of ["wrong_magic", "checksum_mismatch", "unmatched", "ignored", "short_buffer"] as const) {
    assert.ok(dropped[name] > 0, `${name}: ${JSON.stringify(dropped)}`);
  }
  assert.ok(refused.BAD_REQUEST > 0 && refused.UNSUPPORTED_TYPE > 0, JSON.stringify(refused));
  const other = await mesh.peer();
  assert.equal((await other.ask(message(CALL, 0, 1n, 1n, "{}"))).text, "the node got {}");
});

test("who asks too much is not heard, whatever the others ask", async () => {
  await using mesh = await Mesh.start({ maxRatePerSource: 1 });
  const [flooder, other] = [await mesh.peer(), await mesh.peer()];
  for (let i = 0; i < 100; i++) flooder.send(message(CALL, 0, BigInt(i), 1n, "{}"));
  await until(() => mesh.stats.received === 100, "all have arrived");
  const { rate_limited } = mesh.stats.dropped;
  assert.ok(rate_limited >= 80 && rate_limited <= 98, `${rate_limited}`);
  // Another port of this machine is another source.
  assert.equal((await other.ask(message(CALL, 0, 1n, 1n, "{}"))).text, "the node got {}");
});

test("all together may ask so much and no more, but what agents answer is always heard", async () => {
  await using mesh = await Mesh.start({ maxRate: 10, maxRatePerSource: 1e6 });
  const agent = await mesh.peer();
  await agent.ask(message(REGISTER, 0, 1n, 1n, registerJson(ID, agent.address.port)));
  for (let n = 0; n < 4; n++) {
    const other = await mesh.peer();
    for (let i = 0; i < 25; i++) other.send(message(CALL, 0, BigInt(i), 1n, "{}"));
  }
  await until(() => mesh.stats.received === 101, "all have arrived");
  assert.ok(mesh.seen.length >= 9 && mesh.seen.length <= 70, `${mesh.seen.length} of 100 were carried out`);
  const client = await mesh.client();
  const calling = client.call("{}", { agent: ID });
  await answer(agent, "still here");
  assert.equal((await calling).text(), "still here");
});

test("no call lasts longer than the carrier lets it, neither one from here nor one to here", async () => {
  const aborted: unknown[] = [];
  await using mesh = await Mesh.start({ callTimeoutMs: 30 }, {}, undefined, {
    call: (_, { signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          aborted.push(signal.reason.code);
          reject(signal.reason);
        });
      }),
  });
  const agent = await mesh.peer();
  const late = await agent.ask(callTo(undefined, 3_600, "x".repeat(60)));
  assert.deepEqual([late.type, late.payload[0]], [ERROR, 7]);
  assert.deepEqual(aborted, ["deadline"]);
  await agent.ask(message(REGISTER, 0, 1n, 1n, registerJson(ID, agent.address.port)));
  const client = await mesh.client();
  await assert.rejects(client.call("{}", { agent: ID }), { code: "deadline", message: /not answered in time/ });
  assert.deepEqual(mesh.stats.passedOn, { running: 0, total: 1, answered: 0, expired: 1 });
  assert.equal((await agent.next()).text, "{}");
});

test("codes that agents make up do not become names of counters", async () => {
  await using mesh = await Mesh.start();
  const [agent, caller] = [await mesh.peer(), await mesh.peer()];
  await agent.ask(message(REGISTER, 0, 1n, 1n, registerJson(ID, agent.address.port)));
  for (const [id, code] of [0x7abc, 0x7abd, 0x4000, 0x8001, 0xffff, ErrorCode.OVERLOADED].entries()) {
    caller.send(callTo(ID, 5, "{}", BigInt(id + 10)));
    const call = await agent.next("a call");
    const error = { code, retryable: false, text: "" };
    const payload = new Uint8Array(sizeOfError(error));
    encodeError(payload, 0, error);
    agent.send(message(ERROR, 0, call.id, call.trace, payload), call.from);
    await caller.next("the error");
  }
  assert.deepEqual(mesh.stats.refused, { unknown: 3, application: 2, OVERLOADED: 1 });
});

test("calls that wait are bounded, those to one agent more so, and the same call again is not carried out twice", async () => {
  const platform = memoryPlatform();
  const release: (() => void)[] = [];
  const slow = () => new Promise<string>((resolve) => release.push(() => resolve("done")));
  await using mesh = await Mesh.start({ maxCalls: 8 }, {}, platform, { call: slow });
  const [peer, agent] = [await mesh.peer(), await mesh.peer()];
  await agent.ask(message(REGISTER, 0, 1n, 1n, registerJson(ID, agent.address.port)));
  for (let i = 0; i < 8; i++) peer.send(message(CALL, 0, BigInt(i), 1n, "{}"));
  peer.send(message(CALL, 0, 3n, 1n, "{}"));
  await until(() => mesh.stats.dropped.duplicate === 1, "the second one was noticed");
  const [code] = errorOf(await peer.ask(message(CALL, 0, 8n, 1n, `{"padding":"${"x".repeat(50)}"}`)));
  assert.equal(code, "OVERLOADED");
  assert.deepEqual([mesh.stats.running, mesh.stats.calls, release.length], [8, 9, 8]);
  for (const go of release.splice(0)) go();
  for (let i = 0; i < 8; i++) assert.equal((await peer.next()).text, "done");

  const client = await mesh.client();
  const once = { agent: ID, timeoutMs: 5_000 };
  const calls = [client.call("{}", once), client.call("{}", once)];
  await until(() => mesh.stats.passedOn.running === 2, "two wait");
  await assert.rejects(client.call("{}", once), { code: "overloaded", retryable: true });
  const unanswered = [await agent.next(), await agent.next()];
  await agent.ask(message(REGISTER, 0, 2n, 1n, registerJson(ID, agent.address.port)));
  await assert.rejects(client.call("{}", once), { code: "overloaded" }, "an agent gets no more by registering again");
  for (const { id, trace, from } of unanswered) agent.send(message(RESPONSE, 0, id, trace, "yes"), from);
  assert.deepEqual((await Promise.all(calls)).map((reply) => reply.text()), ["yes", "yes"]);

  // What is sealed cannot be passed on in clear, and who reads it there would not know what it is.
  const e2e = generateIdentity().publicKeyText;
  await assert.rejects(client.call("secret", { agent: ID, e2e }), /neither compressed nor sealed/);
  // The node goes: whoever waits hears of it or of nothing, and the numbers stay.
  peer.send(message(CALL, 0, 20n, 1n, "{}"));
  await until(() => mesh.stats.running === 1, "it runs");
  const waiting = client.call("{}", once);
  const failed = assert.rejects(waiting, (error) => error instanceof MxpError && error.retryable);
  await agent.next();
  const neighbour = await mesh.peer();
  neighbour.send(callTo(ID, 5, "{}", 21n));
  await agent.next();
  await mesh.server.close();
  await failed;
  // The agent has that one, and may have carried it out.
  const lost = await neighbour.next("what became of it");
  assert.equal(lost.type, ERROR);
  assert.equal(new DataView(lost.payload.buffer, lost.payload.byteOffset).getUint16(0, true), ErrorCode.ANSWER_LOST);
  assert.deepEqual([mesh.stats.running, mesh.stats.passedOn.running], [0, 0]);
  assert.equal(mesh.seen.length, 0);
  for (const go of release) go();
});

test("to other machines no more is answered than they ask, but for a little; on this machine nobody can be attacked so", async () => {
  const platform = memoryPlatform();
  const big = "x".repeat(20_000);
  await using mesh = await Mesh.start({ listen: "192.0.2.1:9001", force: true }, {}, platform, { call: () => big });
  const far = await mesh.peer({ host: "192.0.2.7" });
  const question = message(CALL, 0, 1n, 1n, "{}");
  let sent = 0;
  for (let i = 0; i < 100; i++) {
    far.send(message(CALL, 0, BigInt(i), 1n, "{}"));
    sent += question.length;
  }
  await until(() => mesh.stats.received === 100, "all have arrived");
  await until(() => far.unread + mesh.stats.dropped.amplification === 100, "all were dealt with");
  // 256 KiB at once, and 64 KiB for each second that it took.
  assert.ok(mesh.stats.dropped.amplification > 50, `${mesh.stats.dropped.amplification}`);
  assert.ok(far.bytesReceived <= 3 * sent + (256 + 64 * 20) * 1024, `${far.bytesReceived}`);
  assert.ok(far.unread > 0);
  // Who asks as much as he wants to hear is always answered.
  const long = await mesh.peer({ host: "192.0.2.8" });
  const padded = message(CALL, 0, 1n, 1n, `{${" ".repeat(7_000)}}`);
  for (let i = 0; i < 20; i++) assert.equal((await long.ask(padded)).text.length, 20_000);
  const near = await mesh.peer({ host: "127.0.0.9" });
  for (let i = 0; i < 100; i++) near.send(message(CALL, 0, BigInt(i), 1n, "{}"));
  await until(() => near.unread === 100, "all were answered");
});

test("a search is answered with one datagram, and says how many agents are in it", async () => {
  await using mesh = await Mesh.start({ maxRate: 1e9, maxRatePerSource: 1e9 }, { maxPlainAgentsPerAddress: 1_000 });
  const peer = await mesh.peer();
  const idOf = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
  for (let n = 0; n < 90; n++) {
    const json = registerJson(idOf(n), peer.address.port, `agent ${n} ${"é".repeat(200)}`, ["many"]);
    assert.equal((await peer.ask(message(REGISTER, 0, 1n, 1n, json))).json.success, true);
  }
  const found = await peer.ask(message(DISCOVER, 0, 1n, 1n, `{"capability":"many"}`));
  assert.ok(found.bytes.length <= 16_384 && found.bytes.length > 15_000, `${found.bytes.length}`);
  const { agents, count } = found.json;
  assert.equal(agents.length, count);
  assert.deepEqual(agents.map(({ id }: { id: string }) => id), Array.from({ length: count }, (_, n) => idOf(n)));
  // The binary form goes on behind the last one.
  const seen: string[] = [];
  let cursor: Uint8Array | undefined;
  do {
    const query = Uint8Array.of(0, 0, 0);
    const more = cursor === undefined ? query : concatBytes(query, fromHex("021000")!, cursor);
    const { payload, bytes } = await peer.ask(message(DISCOVER, 0, 1n, 1n, more));
    assert.ok(bytes.length <= 16_384);
    const page = decodeDiscoverResponse(payload);
    assert.ok("agents" in page);
    assert.equal(page.total, 90);
    seen.push(...page.agents.map(({ name }) => name.split(" ")[1]));
    cursor = page.cursor;
  } while (cursor !== undefined);
  assert.deepEqual(seen.map(Number), Array.from({ length: 90 }, (_, n) => n));
});

test("the carrier is on this machine alone unless forced, and what it cannot be told is said in one line", async () => {
  const platform = memoryPlatform();
  const start = (plain: object) => serve({ listen: "127.0.0.1:0", platform, plain: plain as never }, () => "");
  for (
    const [plain, what] of [
      [{ listen: "0.0.0.0:9001" }, /other machines can reach "0\.0\.0\.0".*no encryption and no keys/],
      [{ listen: "192.0.2.1:0" }, /other machines can reach/],
      [{ listen: "[::]:0" }, /other machines can reach/],
      [{ listen: "127.0.0.1" }, /needs a port, such as 127\.0\.0\.1:9001/],
      [{ listen: "127.0.0.1:0", maxCalls: 0 }, /plain\.maxCalls must be at least 1, got 0/],
      [{ listen: "127.0.0.1:0", maxRate: Infinity }, /plain\.maxRate must be/],
      [{ listen: "127.0.0.1:0", callTarget: "" }, /call target is empty/],
    ] as const
  ) {
    await assert.rejects(
      start(plain),
      (error) => error instanceof MxpError && error.code === "usage" && what.test(error.message),
      JSON.stringify(plain),
    );
  }
  await using server = await start({ listen: "localhost:0" });
  assert.match(server.plainAddress!, /^127\.0\.0\.1:\d+$/);
  await assert.rejects(start({ listen: server.plainAddress! }), { code: "config", message: /the port is taken/ });
  await using none = await serve({ listen: "127.0.0.1:0", platform }, () => "");
  assert.deepEqual([none.plainAddress, none.stats().plain], [undefined, undefined]);
});

test("callers in clear do what an `authorize` function lets them, and a list of keys does not concern them", async () => {
  const platform = memoryPlatform();
  const seen: string[] = [];
  await using server = await serve({
    listen: "127.0.0.1:0",
    platform,
    registry: true,
    allow: [generateIdentity().publicKeyText],
    plain: { listen: "127.0.0.1:0" },
    authorize: (peer, { kind }) => {
      seen.push(`${peer.carrier} ${kind}`);
      return kind !== "register";
    },
  }, () => "yes");
  const mesh = new Mesh(platform);
  mesh.server = server;
  const peer = await mesh.peer();
  assert.equal((await peer.ask(message(CALL, 0, 1n, 1n, "{}"))).text, "yes");
  assert.equal(errorOf(await peer.ask(message(REGISTER, 0, 1n, 1n, registerJson(ID, 1))))[0], "NOT_ALLOWED");
  assert.equal((await peer.ask(message(DISCOVER, 0, 1n, 1n, `{"capability":"a"}`))).json.count, 0);
  assert.equal((await peer.ask(callTo(undefined, 1, "bytes"))).text, "yes");
  assert.deepEqual(seen, ["plain call", "plain register", "plain discover", "plain call"]);
  peer.close();
});

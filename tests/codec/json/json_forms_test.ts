import assert from "node:assert/strict";
import { test } from "node:test";
import { address } from "../../../lib/base/address.ts";
import { parseUuid } from "../../../lib/base/uuid.ts";
import * as codec from "../../../lib/codec/mod.ts";
import { present } from "../golden.ts";

const { CodecError } = codec;
const ID = "00112233-4455-6677-8899-aabbccddeeff";
const AGENT = parseUuid(ID) ?? new Uint8Array(0);

function json(value: unknown): Uint8Array {
  return new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
}

function textOf(bytes: Uint8Array): unknown {
  return JSON.parse(new TextDecoder().decode(bytes));
}

function accepted<T>(result: T | codec.CodecError): T {
  if (result instanceof CodecError) assert.fail(result.toString());
  return result;
}

function refusal(result: unknown): string {
  assert.ok(result instanceof CodecError, `accepted: ${JSON.stringify(result)}`);
  return result.message;
}

const REGISTER: codec.AgentRegister = {
  agentId: AGENT,
  name: "écho",
  capabilities: ["echo", "text.a"],
  endpoint: address("127.0.0.1", 50052),
  version: "1.2.3",
  description: "says it again",
  tags: ["a", "b"],
  metadata: [["owner", "me"]],
};

test("a registration in the runtime's spelling goes both ways", () => {
  const bytes = codec.encodeRegisterJson(REGISTER, "runtime");
  assert.deepEqual(textOf(bytes), {
    id: ID,
    name: "écho",
    capabilities: ["echo", "text.a"],
    address: "127.0.0.1:50052",
    metadata: { owner: "me", version: "1.2.3", description: "says it again", tags: '["a","b"]' },
  });
  const { register, spelling } = accepted(codec.decodeRegisterJson(bytes));
  assert.equal(spelling, "runtime");
  assert.deepEqual(present(register), REGISTER);
});

test("a registration in the coordinator's spelling goes both ways", () => {
  const bytes = codec.encodeRegisterJson(REGISTER, "coordinator");
  assert.deepEqual(textOf(bytes), {
    agent_id: ID,
    name: "écho",
    capabilities: ["echo", "text.a"],
    endpoint: "127.0.0.1:50052",
  });
  const { register, spelling } = accepted(codec.decodeRegisterJson(bytes));
  assert.equal(spelling, "coordinator");
  const { agentId, name, capabilities, endpoint } = REGISTER;
  assert.deepEqual(present(register), { agentId, name, capabilities, endpoint, tags: [], metadata: [] });
});

test("an IPv6 address and a missing one find their places", () => {
  const six = { ...REGISTER, endpoint: undefined, endpoint6: address("2001:db8::1", 7) };
  const bytes = codec.encodeRegisterJson(six, "runtime");
  assert.match(new TextDecoder().decode(bytes), /"address":"\[2001:db8::1\]:7"/);
  assert.deepEqual(present(accepted(codec.decodeRegisterJson(bytes)).register), present(six));
  const none = codec.encodeRegisterJson({ ...REGISTER, endpoint: undefined }, "runtime");
  assert.match(new TextDecoder().decode(none), /"address":"0\.0\.0\.0:0"/);
  assert.equal(accepted(codec.decodeRegisterJson(none)).register.endpoint, undefined);
});

test("the answer to a registration goes both ways", () => {
  const response = { success: true, agentId: AGENT, leaseMillis: 5, heartbeatMillis: 6, message: "welcome" };
  const bytes = codec.encodeRegisterResponseJson(response);
  assert.deepEqual(textOf(bytes), { success: true, agent_id: ID, message: "welcome" });
  const back = accepted(codec.decodeRegisterResponseJson(bytes));
  assert.deepEqual(back, { ...response, leaseMillis: 0, heartbeatMillis: 0 });
  const silent = codec.encodeRegisterResponseJson({ ...response, message: undefined });
  assert.deepEqual(textOf(silent), { success: true, agent_id: ID, message: "" });
});

test("a heartbeat and its answer go both ways", () => {
  const beat = codec.encodeHeartbeatJson({ agentId: AGENT, load: 3 });
  assert.deepEqual(textOf(beat), { agent_id: ID });
  assert.deepEqual(accepted(codec.decodeHeartbeatJson(beat)), { agentId: AGENT });
  const answer = { success: false, needsRegister: true, agentId: AGENT, timestampMillis: 1_700_000_000_123 };
  const bytes = codec.encodeHeartbeatResponseJson(answer);
  assert.deepEqual(textOf(bytes), {
    success: false,
    needs_register: true,
    agent_id: ID,
    timestamp: "2023-11-14T22:13:20.123Z",
  });
  assert.deepEqual(present(accepted(codec.decodeHeartbeatResponseJson(bytes))), answer);
  const withNull = json({ ...textOf(bytes) as object, message: null });
  assert.equal(accepted(codec.decodeHeartbeatResponseJson(withNull)).message, undefined);
});

test("a question for agents and its answer go both ways", () => {
  const question = codec.encodeDiscoverJson({ query: { by: "capability", capability: "text.*" }, limit: 3 });
  assert.deepEqual(textOf(question), { capability: "text.*" });
  assert.deepEqual(accepted(codec.decodeDiscoverJson(question)).query, { by: "capability", capability: "text.*" });
  assert.throws(() => codec.encodeDiscoverJson({ query: { by: "all" } }), RangeError);

  const agents: codec.AgentRecord[] = [
    { ...REGISTER, metadata: [], status: "degraded", lastHeartbeatMillis: 1000, registeredAtMillis: 0 },
    { agentId: AGENT, name: "b", capabilities: [] },
  ];
  const bytes = codec.encodeDiscoverResponseJson({ capability: "text.*", response: { agents } });
  assert.deepEqual(textOf(bytes), {
    capability: "text.*",
    agents: [
      {
        id: ID,
        name: "écho",
        version: "1.2.3",
        description: "says it again",
        capabilities: ["echo", "text.a"],
        tags: ["a", "b"],
        address: "127.0.0.1:50052",
        status: "Degraded",
        last_heartbeat: "1970-01-01T00:00:01.000Z",
        registered_at: "1970-01-01T00:00:00.000Z",
      },
      {
        id: ID,
        name: "b",
        version: "",
        capabilities: [],
        address: "0.0.0.0:0",
        status: "Online",
        last_heartbeat: "1970-01-01T00:00:00.000Z",
        registered_at: "1970-01-01T00:00:00.000Z",
      },
    ],
    count: 2,
  });
  const back = accepted(codec.decodeDiscoverResponseJson(bytes));
  assert.equal(back.capability, "text.*");
  assert.deepEqual(present(back.response.agents[0]), agents[0]);
  assert.equal(back.response.agents[1].status, "online");
});

test("an error goes both ways, its code by name", () => {
  const error = { code: codec.ErrorCode.OVERLOADED, retryable: true, text: "try later" };
  const bytes = codec.encodeErrorJson(error);
  assert.deepEqual(textOf(bytes), { error: "try later", code: "OVERLOADED" });
  assert.deepEqual(accepted(codec.decodeErrorJson(bytes)), { error, codeText: "OVERLOADED" });
  const foreign = accepted(codec.decodeErrorJson(json({ error: "x", code: "E42" })));
  assert.deepEqual(foreign, { error: { code: 0, retryable: false, text: "x" }, codeText: "E42" });
  const lower = accepted(codec.decodeErrorJson(json({ error: "x", code: "no_such_agent" })));
  assert.equal(lower.error.code, codec.ErrorCode.NO_SUCH_AGENT);
});

test("a missing or ill-typed member is refused by its name", () => {
  const good = { id: ID, name: "n", capabilities: ["a"], address: "1.2.3.4:5" };
  accepted(codec.decodeRegisterJson(json(good)));
  accepted(codec.decodeRegisterJson(json({ ...good, metadata: null, extra: { deep: [1] } })));
  const bad: readonly (readonly [string, unknown])[] = [
    ["id", undefined],
    ["id", 7],
    ["id", ID.slice(1)],
    ["name", undefined],
    ["name", ["n"]],
    ["name", null],
    ["capabilities", "a"],
    ["capabilities", [1]],
    ["capabilities", { length: 1 }],
    ["capabilities", new Array(1025).fill("a")],
    ["address", "localhost:1"],
    ["address", 5],
    ["metadata", ["a"]],
    ["metadata", { version: 1 }],
    ["metadata", "x"],
  ];
  for (const [name, value] of bad) {
    const message = refusal(codec.decodeRegisterJson(json({ ...good, [name]: value })));
    assert.equal(message, `not the JSON that was expected: member ${name}`);
  }
  const pairs = Object.fromEntries(Array.from({ length: 257 }, (_, i) => [`k${i}`, ""]));
  assert.match(refusal(codec.decodeRegisterJson(json({ ...good, metadata: pairs }))), /member metadata/);
  const tags = new Array(300).fill("t").join(",");
  assert.match(refusal(codec.decodeRegisterJson(json({ ...good, metadata: { tags } }))), /too many of tags: 300/);
});

test("tags are an array written as text, or words with commas between them", () => {
  const good = textOf(codec.encodeRegisterJson(REGISTER, "runtime")) as object;
  const tagsOf = (tags: string) =>
    accepted(codec.decodeRegisterJson(json({ ...good, metadata: { tags } }))).register.tags;
  assert.deepEqual(tagsOf('["a, b","","[c]"]'), ["a, b", "", "[c]"]);
  assert.deepEqual(tagsOf("a, b ,,c"), ["a", "b", "c"]);
  assert.deepEqual(tagsOf("[a],[1]"), ["[a]", "[1]"]);
  assert.deepEqual(tagsOf("[1,2]"), ["[1", "2]"]);
  assert.deepEqual(tagsOf("["), ["["]);
  assert.deepEqual(tagsOf("[]"), []);
});

test("a status, a time or a truth value that is none is refused", () => {
  const answer = { success: true, needs_register: false, agent_id: ID, timestamp: "2024-02-30T00:00:00Z" };
  assert.match(refusal(codec.decodeHeartbeatResponseJson(json(answer))), /member timestamp/);
  const truth = { ...answer, success: 1, timestamp: "2024-02-29T00:00:00Z" };
  assert.match(refusal(codec.decodeHeartbeatResponseJson(json(truth))), /member success/);
  const agent = { id: ID, name: "n", version: "", capabilities: [], address: "1.2.3.4:5", status: "online" };
  const times = { last_heartbeat: "2024-01-01T00:00:00Z", registered_at: "2024-01-01T00:00:00Z" };
  const response = json({ capability: "a", agents: [{ ...agent, ...times }], count: 1 });
  assert.match(refusal(codec.decodeDiscoverResponseJson(response)), /member status/);
  assert.match(refusal(codec.decodeDiscoverResponseJson(json({ capability: "a", agents: [3] }))), /member agents/);
});

test("members named like parts of a prototype are data and nothing else", () => {
  const hostile = `{"id":"${ID}","name":"n","capabilities":[],"address":"1.2.3.4:5",` +
    `"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},` +
    `"metadata":{"__proto__":"p","constructor":"c","hasOwnProperty":"h"}}`;
  const { register } = accepted(codec.decodeRegisterJson(json(hostile)));
  assert.deepEqual(register.metadata, [["__proto__", "p"], ["constructor", "c"], ["hasOwnProperty", "h"]]);
  assert.equal(({} as Record<string, unknown>).polluted, undefined);
  const again = codec.encodeRegisterJson(register, "runtime");
  assert.deepEqual(accepted(codec.decodeRegisterJson(again)).register, register);
  assert.match(refusal(codec.decodeHeartbeatJson(json(`{"__proto__":{"agent_id":"${ID}"}}`))), /member agent_id/);
});

test("a member that is only inherited is not there", () => {
  Object.defineProperty(Object.prototype, "agent_id", { value: ID, configurable: true });
  try {
    assert.match(refusal(codec.decodeHeartbeatJson(json("{}"))), /member agent_id/);
  } finally {
    Reflect.deleteProperty(Object.prototype, "agent_id");
  }
});

test("JSON that is too deep, too long, not UTF-8, not an object or no JSON at all is refused", () => {
  const nested = (depth: number): string => `{"agent_id":"${ID}","x":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}}`;
  accepted(codec.decodeHeartbeatJson(json(nested(codec.MAX_JSON_DEPTH))));
  assert.match(refusal(codec.decodeHeartbeatJson(json(nested(codec.MAX_JSON_DEPTH + 1)))), /too deep/);
  assert.match(refusal(codec.decodeHeartbeatJson(json("[".repeat(500_000)))), /not an object/);
  assert.match(refusal(codec.decodeHeartbeatJson(json(`{${"[".repeat(500_000)}}`))), /too deep/);
  accepted(codec.decodeHeartbeatJson(json(`{"agent_id":"${ID}","x":"${'[\\"{'.repeat(50)}"}`)));
  const long = (length: number): Uint8Array => json(`{"agent_id":"${ID}","x":"${"a".repeat(length - 58)}"}`);
  assert.equal(long(100).length, 100);
  accepted(codec.decodeHeartbeatJson(long(codec.MAX_JSON_BYTES)));
  assert.match(refusal(codec.decodeHeartbeatJson(long(codec.MAX_JSON_BYTES + 1))), /not an object/);
  const notUtf8 = json(`{"agent_id":"${ID}","x":"?"}`);
  notUtf8[notUtf8.length - 3] = 0xff;
  const refused = codec.decodeHeartbeatJson(notUtf8);
  assert.ok(refused instanceof CodecError && refused.code === "bad_utf8");
  for (const text of ["", "{", "}", "{}}", `{"agent_id":}`, "[{}]", " {}", "{} ", `"{}"`, "{'a':1}", "{\u0000}"]) {
    const result = codec.decodeHeartbeatJson(json(text));
    assert.ok(result instanceof CodecError && result.code === "bad_json", text);
  }
  assert.match(refusal(codec.decodeErrorJson(json(`{"error":"\\ud800","code":"X"}`))), /member error/);
});

test("a payload is read in the form in which it comes", () => {
  const binary = new Uint8Array(codec.sizeOfAgentRegister(REGISTER));
  codec.encodeAgentRegister(binary, 0, REGISTER);
  assert.equal(accepted(codec.readRegister(binary)).form, "binary");
  assert.equal(accepted(codec.readRegister(codec.encodeRegisterJson(REGISTER, "runtime"))).form, "runtime-json");
  const coordinator = accepted(codec.readRegister(codec.encodeRegisterJson(REGISTER, "coordinator")));
  assert.equal(coordinator.form, "coordinator-json");
  assert.deepEqual(coordinator.value.agentId, AGENT);

  const forms: readonly (readonly [string, codec.Formed<unknown> | codec.CodecError])[] = [
    ["json", codec.readHeartbeat(codec.encodeHeartbeatJson({ agentId: AGENT }))],
    ["binary", codec.readHeartbeat(AGENT)],
    ["json", codec.readDiscover(json({ capability: "a" }))],
    ["binary", codec.readDiscover(Uint8Array.of(0, 0, 0))],
    ["json", codec.readRegisterResponse(json({ success: true, agent_id: ID, message: "" }))],
    ["binary", codec.readRegisterResponse(Uint8Array.of(1, ...AGENT, 0, 0, 0, 0, 0, 0, 0, 0))],
    ["json", codec.readDiscoverResponse(json({ capability: "a", agents: [], count: 0 }))],
    ["binary", codec.readDiscoverResponse(Uint8Array.of(0, 0))],
    ["json", codec.readError(json({ error: "x", code: "INTERNAL" }))],
    ["binary", codec.readError(Uint8Array.of(1, 0, 0, 0x7b, 0x7d))],
    [
      "json",
      codec.readHeartbeatResponse(
        json({ success: true, needs_register: false, agent_id: ID, timestamp: "2024-01-01T00:00:00+01:00" }),
      ),
    ],
    ["binary", codec.readHeartbeatResponse(Uint8Array.of(1, 0, ...AGENT, 0, 0, 0, 0, 0, 0, 0, 0))],
  ];
  for (const [form, result] of forms) assert.equal(accepted(result).form, form);
});

test("a payload between braces that is not the JSON expected is tried as binary, then refused as JSON", () => {
  // A registration whose id begins with a brace and whose last TLV ends in one.
  const id = AGENT.slice();
  id[0] = 0x7b;
  const register = { agentId: id, name: "n", capabilities: [], description: "}" };
  const binary = new Uint8Array(codec.sizeOfAgentRegister(register));
  codec.encodeAgentRegister(binary, 0, register);
  assert.equal(accepted(codec.readRegister(binary)).form, "binary");
  assert.match(refusal(codec.readRegister(json({ name: "n" }))), /member id/);
});

test("a Call that is a JSON object and nothing else is bare, every other is binary", () => {
  assert.equal(codec.callForm(json({ question: "why?" })), "json");
  assert.equal(codec.callForm(json("{}")), "json");
  assert.equal(codec.callForm(json("[1]")), "binary");
  assert.equal(codec.callForm(json("{not json}")), "binary");
  assert.equal(codec.callForm(new Uint8Array(0)), "binary");
  assert.equal(codec.callForm(json("{}").subarray(0, 1)), "binary");
});

test("no binary Call can pass for a bare one, whatever its target and data", () => {
  // Target and data are the best that somebody could choose; the time-out is the largest that may be sent.
  const target = json(`{"aaaaaaaaaaaaa `);
  const data = json(`":1}`);
  const out = new Uint8Array(codec.CALL_PREFIX_BYTES + data.length);
  codec.encodeCall(out, 0, { target, timeoutSeconds: codec.MAX_CALL_TIMEOUT_SECONDS, data });
  assert.equal(codec.callForm(out), "binary");
  // One second more, were it allowed, would do.
  out.fill(0x20, 16, 20);
  assert.equal(codec.callForm(out), "json");
});

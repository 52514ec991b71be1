import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { address } from "../../lib/base/address.ts";
import { toHex } from "../../lib/base/bytes.ts";
import { micros, seconds } from "../../lib/base/time.ts";
import { ErrorCode } from "../../lib/codec/error_codes.ts";
import type { AgentRegister } from "../../lib/codec/payloads/agent_register.ts";
import { isPlainOwner, plainOwner } from "../../lib/mesh/plain_owner.ts";
import { RegisteredAgent } from "../../lib/mesh/registered_agent.ts";
import { type HeartbeatOutcome, Registry } from "../../lib/mesh/registry.ts";
import { type RegistrySettings, registrySettings } from "../../lib/mesh/registry_settings.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";

const sha256 = (bytes: Uint8Array): Uint8Array => createHash("sha256").update(bytes).digest();
const WALL = 1_800_000_000_000;
const KEY = new Uint8Array(32).fill(0xaa);
const HERE = plainOwner(address("127.0.0.1", 50_052))!;
const THERE = plainOwner(address("127.0.0.1", 50_053))!;

function registry(settings: Partial<RegistrySettings> = {}): Registry {
  return new Registry(registrySettings(settings), new SeededRandom(1), sha256, true);
}

function agent(n: number, more: Partial<AgentRegister> = {}): AgentRegister {
  return { agentId: new Uint8Array(16).fill(n), name: `agent ${n}`, capabilities: ["text.echo"], ...more };
}

function outcome(result: HeartbeatOutcome): string {
  if (typeof result === "string") return result;
  return result instanceof RegisteredAgent ? "ok" : `refused ${result.code}`;
}

const TAKEN = `refused ${ErrorCode.AGENT_ID_TAKEN}`;

test("an address is an owner of its own, and never the one that a key is", () => {
  const texts = ([
    ["127.0.0.1", 9000],
    ["127.0.0.1", 9001],
    ["127.0.0.2", 9000],
    ["::1", 9000],
    ["2001:db8::1", 0],
    ["fe80::1%eth0", 65_535],
  ] as const).map(([host, port]) => {
    const owner = plainOwner(address(host, port))!;
    assert.ok(isPlainOwner(owner), host);
    return toHex(owner);
  });
  assert.equal(new Set(texts).size, texts.length);
  assert.ok(!isPlainOwner(KEY));
  // The same machine, whichever way the runtime spells it.
  assert.deepEqual(plainOwner(address("::ffff:127.0.0.1", 9000)), plainOwner(address("127.0.0.1", 9000)));
  for (const host of ["localhost", "", "1.2.3", "::1::"]) assert.equal(plainOwner(address(host, 1)), undefined, host);
});

test("a registration without a key is listed as one, belongs to its address while it lasts, and is never written down", () => {
  const agents = registry();
  let now = micros(0);
  assert.ok(agents.register(now, WALL, HERE, agent(1)) instanceof RegisteredAgent);
  assert.equal(outcome(agents.heartbeat(now, WALL, HERE, agent(1))), "ok");
  for (const owner of [THERE, KEY]) {
    assert.equal(outcome(agents.register(now, WALL, owner, agent(1))), TAKEN);
    assert.equal(outcome(agents.heartbeat(now, WALL, owner, agent(1))), TAKEN);
    assert.equal(outcome(agents.deregister(now, WALL, owner, agent(1).agentId)), TAKEN);
  }
  const page = agents.list(now, WALL, { query: { by: "all" } });
  assert.deepEqual(page.agents.map(({ isPlain, publicKey }) => [isPlain, publicKey]), [[true, undefined]]);

  // An address without an agent may be anybody's: who comes next may be a key.
  assert.equal(outcome(agents.deregister(now, WALL, HERE, agent(1).agentId)), "ok");
  assert.equal(agents.idCount, 0);
  agents.register(now, WALL, THERE, agent(1));
  now = seconds(61);
  assert.equal(outcome(agents.heartbeat(now, WALL, THERE, agent(1))), "not_registered");
  assert.deepEqual(agents.pollChanges(), []);
  assert.deepEqual([agents.size, agents.idCount, agents.weight, agents.plain.size], [0, 0, 0, 0]);
  assert.equal(outcome(agents.register(now, WALL, KEY, agent(1))), "ok");
  assert.equal(agents.pollChanges().length, 1);
});

test("what belongs to a key can be had by no address: not while the agent is there, nor after it, nor after a restart", () => {
  let agents = registry();
  let now = micros(0);
  const tryAll = (when: string): void => {
    assert.equal(outcome(agents.register(now, WALL, HERE, agent(1))), TAKEN, `register ${when}`);
    assert.equal(outcome(agents.heartbeat(now, WALL, HERE, agent(1))), TAKEN, `heartbeat ${when}`);
    assert.equal(outcome(agents.deregister(now, WALL, HERE, agent(1).agentId)), TAKEN, `FINAL ${when}`);
  };
  agents.register(now, WALL, KEY, agent(1));
  tryAll("while it is there");
  now = seconds(45);
  tryAll("while it is offline");
  now = seconds(90);
  tryAll("after it has expired");
  const stored = agents.pollChanges().map(({ after }) => after!);
  agents = registry();
  agents.restore(now, stored.slice(-1));
  tryAll("after a restart");
  assert.equal(outcome(agents.register(now, WALL, KEY, agent(1))), "ok");
  const claim = agents.register(now, WALL, HERE, agent(2, { publicKey: KEY }));
  assert.equal(outcome(claim), `refused ${ErrorCode.BAD_REQUEST}`, "an address cannot say that it has a key");
});

test("agents without a key have room of their own, and take none from those that have one", () => {
  const agents = registry({ maxPlainAgents: 3, maxPlainAgentsPerAddress: 2, maxPlainWeight: 2_000, maxIds: 5_000 });
  const now = micros(0);
  const register = (owner: Uint8Array, n: number, more: Partial<AgentRegister> = {}): string =>
    outcome(agents.register(now, WALL, owner, agent(n, more)));
  assert.equal(register(HERE, 1), "ok");
  assert.equal(register(HERE, 2), "ok");
  assert.equal(register(HERE, 3), `refused ${ErrorCode.LIMIT_REACHED}`);
  assert.equal(register(HERE, 2, { name: "another" }), "ok", "a place that it has is kept");
  assert.equal(register(THERE, 3, { description: "x".repeat(1_900) }), `refused ${ErrorCode.OVERLOADED}`);
  assert.equal(register(THERE, 3), "ok");
  assert.equal(register(THERE, 4), `refused ${ErrorCode.OVERLOADED}`);
  assert.equal(register(KEY, 4), "ok");
  assert.deepEqual([...agents.plain.from()].map(({ register: { name } }) => name), ["agent 1", "another", "agent 3"]);
  assert.equal(outcome(agents.deregister(now, WALL, HERE, agent(1).agentId)), "ok");
  assert.equal(register(THERE, 5), "ok");

  // An id that belongs to a key gives way to one of another key, however old, but to no address.
  const full = registry({ maxIds: 1, maxAgentsPerKey: 1, maxIdsPerKey: 1, keepOwnerMillis: 1 });
  full.register(now, WALL, KEY, agent(1));
  full.deregister(now, WALL, KEY, agent(1).agentId);
  assert.equal(outcome(full.register(now, WALL + 10, HERE, agent(2))), `refused ${ErrorCode.OVERLOADED}`);
  assert.equal(outcome(full.register(now, WALL + 10, new Uint8Array(32), agent(2))), "ok");
});

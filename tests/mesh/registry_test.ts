import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { micros } from "../../lib/base/time.ts";
import { formatUuid } from "../../lib/base/uuid.ts";
import { ErrorCode } from "../../lib/codec/error_codes.ts";
import type { AgentDiscover, DiscoverQuery } from "../../lib/codec/payloads/agent_discover.ts";
import type { AgentRecord, AgentStatus } from "../../lib/codec/payloads/agent_record.ts";
import type { AgentRegister } from "../../lib/codec/payloads/agent_register.ts";
import type { DiscoverResponse } from "../../lib/codec/payloads/discover_response.ts";
import { nameTarget } from "../../lib/mesh/agent_target.ts";
import { RegisteredAgent, type StoredAgent, weightOf } from "../../lib/mesh/registered_agent.ts";
import { heartbeatMillis, type HeartbeatOutcome, Registry } from "../../lib/mesh/registry.ts";
import type { Place } from "../../lib/mesh/agent_index.ts";
import { type RegistrySettings, registrySettings } from "../../lib/mesh/registry_settings.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { property, testSeed } from "../support/seed.ts";
import { NaiveRegistry } from "./naive_registry.ts";

const sha256 = (bytes: Uint8Array): Uint8Array => createHash("sha256").update(bytes).digest();
const A = new Uint8Array(32).fill(0xaa);
const B = new Uint8Array(32).fill(0xbb);
const WALL = 1_800_000_000_000;

/** A registry whose time is told in milliseconds. */
class Bench {
  readonly settings: RegistrySettings;
  registry: Registry;
  now = 0;
  readonly stored = new Map<string, StoredAgent>();

  constructor(settings: Partial<RegistrySettings> = {}) {
    this.settings = registrySettings(settings);
    this.registry = new Registry(this.settings, new SeededRandom(testSeed), sha256, true);
  }

  get wall(): number {
    return WALL + this.now;
  }

  get #micros() {
    return micros(this.now * 1000);
  }

  register(owner: Uint8Array, register: AgentRegister): string {
    return outcome(this.registry.register(this.#micros, this.wall, owner, register));
  }

  heartbeat(owner: Uint8Array, agentId: Uint8Array, status?: AgentStatus, load?: number): string {
    return outcome(this.registry.heartbeat(this.#micros, this.wall, owner, { agentId, status, load }));
  }

  deregister(owner: Uint8Array, agentId: Uint8Array): string {
    return outcome(this.registry.deregister(this.#micros, this.wall, owner, agentId));
  }

  page(discover: AgentDiscover): DiscoverResponse {
    const page = this.registry.discover(this.#micros, this.wall, discover);
    assert.ok("agents" in page, "the query was refused");
    return page;
  }

  /** All pages of a query. */
  find(query: DiscoverQuery, limit?: number): AgentRecord[] {
    const agents: AgentRecord[] = [];
    let cursor: Uint8Array | undefined;
    do {
      const page = this.page({ query, limit, cursor });
      agents.push(...page.agents);
      cursor = page.cursor;
    } while (cursor !== undefined);
    return agents;
  }

  tick(): void {
    this.registry.handleTimeout(this.#micros, this.wall);
  }

  /** Writes down what changed, as a store does. */
  save(): void {
    for (const { key, after } of this.registry.pollChanges()) {
      if (after === undefined) this.stored.delete(key);
      else this.stored.set(key, after);
    }
  }

  revert(): void {
    this.registry.revert(this.#micros, this.registry.pollChanges());
  }

  restart(): void {
    this.tick();
    this.save();
    this.registry = new Registry(this.settings, new SeededRandom(testSeed + 1), sha256, true);
    this.registry.restore(this.#micros, this.stored.values());
  }

  watch(discover: AgentDiscover) {
    const watch = this.registry.watch(discover);
    return { watch, poll: () => watch.poll(this.#micros, this.wall) };
  }
}

function outcome(result: HeartbeatOutcome): string {
  if (typeof result === "string") return result;
  return result instanceof RegisteredAgent ? `lease ${result.stored.leaseMillis}` : `refused ${result.code}`;
}

function id(n: number): Uint8Array {
  return Uint8Array.from({ length: 16 }, (_, i) => i === 15 ? n : i === 14 ? n >>> 8 : i === 0 ? 1 : 0);
}

function agent(n: number, more: Partial<AgentRegister> = {}): AgentRegister {
  return { agentId: id(n), name: `agent ${n}`, capabilities: ["text.echo"], ...more };
}

function numbers(records: readonly AgentRecord[]): number[] {
  return records.map(({ agentId }) => agentId[15] | (agentId[14] << 8));
}

const owners = [A, B, new Uint8Array(32).fill(0xcc)];
const offered = ["text", "text.echo", "text.sum", "text.sum.fast", "image.scale"];
const names = ["one", "two", "three"];

const queries: fc.Arbitrary<DiscoverQuery> = fc.oneof(
  fc.constant<DiscoverQuery>({ by: "all" }),
  fc.constantFrom("text", "text.*", "text.sum", "text.sum.*", "image.*", "*", "none", "text*")
    .map((capability): DiscoverQuery => ({ by: "capability", capability })),
  fc.constantFrom(...names, "nobody").map((name): DiscoverQuery => ({ by: "name", name })),
  fc.nat(9).map((n): DiscoverQuery => ({ by: "id", agentId: id(n) })),
);

type Step =
  | { kind: "register"; owner: number; n: number; name: string; capabilities: string[]; lease?: number }
  | { kind: "heartbeat"; owner: number; n: number; status?: AgentStatus; load?: number }
  | { kind: "deregister"; owner: number; n: number }
  | { kind: "failed"; owner: number; n: number; final: boolean }
  | { kind: "find"; query: DiscoverQuery; limit?: number }
  | { kind: "wait"; millis: number }
  | { kind: "restart" };

const who = { owner: fc.nat(2), n: fc.nat(9) };
const option = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(values, { nil: undefined });
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant<"register">("register"),
      ...who,
      name: fc.constantFrom(...names),
      capabilities: fc.array(fc.constantFrom(...offered, ...offered, ...offered, "image.*"), { maxLength: 3 }),
      lease: option(fc.constantFrom(0, 1, 5_000, 60_000, 0xffff_ffff)),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant<"heartbeat">("heartbeat"),
      ...who,
      status: option(fc.constantFrom<AgentStatus>("online", "degraded", "offline")),
      load: option(fc.nat(2000)),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant<"deregister">("deregister"), ...who }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant<"failed">("failed"), ...who, final: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant<"find">("find"),
      query: queries,
      limit: option(fc.integer({ min: 1, max: 3 })),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant<"wait">("wait"),
      millis: fc.oneof(fc.nat(40_000), fc.constantFrom(10_000, 30_000, 60_000, 500_000)),
    }),
  },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: "restart" }) },
);

test("the registry agrees with a naive one over any run of commands, failures to store and restarts included", () => {
  const small = { maxAgents: 5, maxAgentsPerKey: 3, maxIds: 8, maxIdsPerKey: 4, keepOwnerMillis: 400_000 };
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 120 }), (run) => {
      const bench = new Bench(small);
      const naive = new NaiveRegistry(bench.settings);
      for (const step of run) {
        bench.now++;
        const { now, wall } = bench;
        switch (step.kind) {
          case "register": {
            const { owner, n, name, capabilities, lease } = step;
            const register = agent(n, { name, capabilities, leaseMillis: lease });
            assert.equal(bench.register(owners[owner], register), naive.register(now, wall, owner, register));
            bench.save();
            break;
          }
          case "heartbeat": {
            const { owner, n, status, load } = step;
            const seen = bench.heartbeat(owners[owner], id(n), status, load);
            assert.equal(seen, naive.heartbeat(now, wall, owner, formatUuid(id(n)), status, load));
            break;
          }
          case "deregister": {
            const seen = bench.deregister(owners[step.owner], id(step.n));
            assert.equal(seen, naive.deregister(now, wall, step.owner, formatUuid(id(step.n))));
            bench.save();
            break;
          }
          case "failed":
            // As if it had never been asked for.
            bench.tick();
            bench.save();
            naive.find(now, wall, { by: "all" });
            if (step.final) bench.deregister(owners[step.owner], id(step.n));
            else bench.register(owners[step.owner], agent(step.n, { name: "failed" }));
            bench.revert();
            break;
          case "find": {
            const seen = bench.find(step.query, step.limit).map((record) =>
              `${formatUuid(record.agentId)} ${record.status} ${record.load} ${record.registeredAtMillis}`
            );
            assert.deepEqual(seen, naive.find(now, wall, step.query));
            assert.equal(bench.page({ query: step.query, limit: 1 }).total, seen.length);
            break;
          }
          case "wait":
            bench.now += step.millis;
            break;
          case "restart":
            bench.restart();
            naive.restart(now, wall);
            break;
        }
      }
      // What is left weighs what it should.
      const left = bench.find({ by: "all" });
      assert.equal(bench.registry.size, left.length);
      if (left.length === 0) assert.equal(bench.registry.weight, 0);
    }),
    property(),
  );
});

test("a watcher that is told of every change ends up with what a listing says", () => {
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 80 }), queries, fc.integer({ min: 1, max: 5 }), (run, query, limit) => {
      const bench = new Bench({ maxPendingChanges: 3 });
      const { poll } = bench.watch({ query, limit });
      const known = new Map<number, AgentRecord>();
      const read = (most: number): void => {
        for (let i = 0; i < most; i++) {
          const told = poll();
          if (told === undefined) return;
          assert.ok(told.agents.length <= limit);
          if (told.fromStart) known.clear();
          for (const record of told.agents) {
            if (record.leaseMillis === 0) known.delete(numbers([record])[0]);
            else known.set(numbers([record])[0], record);
          }
        }
      };
      run.forEach((step, i) => {
        if (step.kind === "register") bench.register(owners[step.owner], agent(step.n, step));
        if (step.kind === "heartbeat") bench.heartbeat(owners[step.owner], id(step.n), step.status, step.load);
        if (step.kind === "deregister") bench.deregister(owners[step.owner], id(step.n));
        if (step.kind === "wait") bench.now += step.millis;
        // Now and then, and never all of it: what is not read must not pile up.
        if (i % 3 === 0) read(1);
      });
      bench.tick();
      read(1_000);
      const told = [...known.values()].map(({ agentId, status, load }) => `${formatUuid(agentId)} ${status} ${load}`);
      const listed = bench.find(query).map(({ agentId, status, load }) => `${formatUuid(agentId)} ${status} ${load}`);
      assert.deepEqual(told.sort(), listed.sort());
    }),
    property(),
  );
});

test("an id belongs to the key that registered it first, whatever another key tries and whenever", () => {
  const bench = new Bench();
  const refused = `refused ${ErrorCode.AGENT_ID_TAKEN}`;
  const attack = (): void => {
    assert.equal(bench.register(B, agent(1, { name: "mallory" })), refused);
    assert.equal(bench.heartbeat(B, id(1), "offline"), refused);
    assert.equal(bench.deregister(B, id(1)), refused);
  };
  assert.equal(bench.register(A, agent(1)), "lease 30000");
  attack();
  assert.equal(bench.find({ by: "all" })[0].status, "online");
  bench.now += 45_000;
  attack();
  bench.now += 45_000;
  assert.deepEqual(bench.find({ by: "all" }), [], "the lease is over");
  attack();
  bench.restart();
  attack();
  bench.now += 365 * 86_400_000;
  attack();
  assert.equal(bench.register(A, agent(1)), "lease 30000");
  assert.equal(bench.deregister(A, id(1)), "lease 30000");
  attack();
  assert.equal(bench.registry.size, 0);
});

test("three missed heartbeats make an agent offline, three more end its registration", () => {
  const bench = new Bench();
  bench.register(A, agent(1));
  assert.equal(heartbeatMillis(30_000), 10_000);
  const status = (): string | undefined => bench.find({ by: "all" })[0]?.status;
  bench.now = 29_999;
  assert.equal(status(), "online");
  bench.now = 30_000;
  assert.equal(status(), "offline");
  assert.equal(bench.heartbeat(A, id(1), "degraded", 700), "lease 30000");
  assert.equal(status(), "degraded");
  bench.now += 59_999;
  assert.equal(status(), "offline");
  bench.now += 1;
  assert.equal(status(), undefined);
  assert.equal(bench.heartbeat(A, id(1)), "not_registered");
});

test("the time of day may jump by years, and leases do not care", () => {
  for (const jump of [3_600_000, -3_600_000, 10 * 365 * 86_400_000, -10 * 365 * 86_400_000]) {
    const registry = new Registry(registrySettings(), new SeededRandom(1), sha256);
    registry.register(micros(0), WALL, A, agent(1));
    const before = registry.discover(micros(29_000_000), WALL + jump, { query: { by: "all" } }) as DiscoverResponse;
    assert.equal(before.agents[0].status, "online");
    assert.equal(before.agents[0].lastHeartbeatMillis, WALL + jump - 29_000);
    const after = registry.discover(micros(60_000_000), WALL + jump, { query: { by: "all" } }) as DiscoverResponse;
    assert.deepEqual(after.agents, []);
  }
});

test("a record carries the owner's key and the granted lease, and no key that the agent made up", () => {
  const bench = new Bench();
  assert.equal(bench.register(A, agent(1, { publicKey: B })), `refused ${ErrorCode.BAD_REQUEST}`);
  bench.register(A, agent(1, { publicKey: A, leaseMillis: 1 }));
  bench.now = 1_500;
  const [record] = bench.find({ by: "id", agentId: id(1) });
  assert.deepEqual(record.publicKey, A);
  assert.equal(record.leaseMillis, 3_000);
  assert.equal(record.registeredAtMillis, WALL);
  assert.equal(record.lastHeartbeatMillis, WALL);
});

test("ids that mean something else cannot be registered", () => {
  const bench = new Bench();
  const nil = new Uint8Array(16);
  const name = Uint8Array.from(id(1), (byte, i) => i === 6 ? 0x8f : byte);
  for (const agentId of [nil, name]) {
    assert.equal(bench.register(A, agent(1, { agentId })), `refused ${ErrorCode.BAD_REQUEST}`);
  }
});

test("names and capabilities that nobody could ask for are refused, and what is listed twice counts once", () => {
  const bench = new Bench();
  for (const capability of ["", "*", "text.*", "text*"]) {
    const fields = { capabilities: ["text.sum", capability] };
    assert.equal(bench.register(A, agent(1, fields)), `refused ${ErrorCode.BAD_REQUEST}`, capability);
  }
  assert.equal(bench.register(A, agent(1, { name: "" })), `refused ${ErrorCode.BAD_REQUEST}`);
  assert.equal(bench.register(A, agent(1, { capabilities: ["b", "a*b", "b"] })), "lease 30000");
  assert.deepEqual(bench.find({ by: "id", agentId: id(1) })[0].capabilities, ["b", "a*b"]);
});

test("weights are limited for one registration, one key and all together", () => {
  const heavy = agent(1, { description: "x".repeat(900) });
  const weight = weightOf(heavy);
  const bench = new Bench({ maxWeight: weight, maxWeightPerKey: 2 * weight, maxTotalWeight: 3 * weight });
  assert.equal(
    bench.register(A, agent(1, { description: "x".repeat(901) })),
    `refused ${ErrorCode.PAYLOAD_TOO_LARGE}`,
  );
  assert.equal(bench.register(A, { ...heavy, agentId: id(1) }), "lease 30000");
  assert.equal(bench.register(A, { ...heavy, agentId: id(2) }), "lease 30000");
  assert.equal(bench.register(A, { ...heavy, agentId: id(3) }), `refused ${ErrorCode.LIMIT_REACHED}`);
  assert.equal(bench.register(A, { ...heavy, agentId: id(2) }), "lease 30000", "a renewal weighs nothing more");
  assert.equal(bench.register(B, { ...heavy, agentId: id(3) }), "lease 30000");
  assert.equal(bench.register(B, { ...heavy, agentId: id(4) }), `refused ${ErrorCode.OVERLOADED}`);
  bench.deregister(A, id(1));
  assert.equal(bench.register(B, { ...heavy, agentId: id(4) }), "lease 30000");
});

test("a Call's candidates are those with the capability, else the id, else the name", () => {
  const bench = new Bench();
  bench.register(A, agent(1, { name: "one", capabilities: ["a.b"] }));
  bench.register(A, agent(2, { name: "two", capabilities: ["a.c", "a.c"] }));
  bench.register(B, agent(3, { name: "two", capabilities: [] }));
  const find = (target: Uint8Array, capability?: string): number[] =>
    [...bench.registry.candidates(micros(bench.now * 1000), bench.wall, target, capability, {})].map(({ key }) =>
      parseInt(key.slice(-2), 16)
    );
  const nil = new Uint8Array(16);
  assert.deepEqual([find(nil, "a.b"), find(nil, "a.*"), find(nil, "b")], [[1], [1, 2], []]);
  assert.deepEqual([find(id(2)), find(id(9)), find(nil)], [[2], [], []]);
  assert.deepEqual([find(nameTarget(sha256, "two")), find(nameTarget(sha256, "none"))], [[2, 3], []]);
  bench.register(B, agent(3, { name: "three", capabilities: ["a.b"] }));
  assert.deepEqual([find(nameTarget(sha256, "two")), find(nil, "a.b")], [[2], [1, 3]]);
  bench.now += 60_000;
  assert.deepEqual(find(nil, "a.*"), []);
});

test("candidates go on where the last ones were looked at, around the list, while agents come and go", () => {
  const bench = new Bench();
  for (let n = 1; n <= 5; n++) {
    bench.register(A, agent(n, { name: "same", capabilities: [n % 2 === 0 ? "a.x" : "a.y"] }));
  }
  const place: Place = {};
  const take = (count: number, target: Uint8Array, capability?: string): number[] => {
    const taken: number[] = [];
    const now = micros(bench.now * 1000);
    for (const { key } of bench.registry.candidates(now, bench.wall, target, capability, place)) {
      taken.push(parseInt(key.slice(-2), 16));
      if (taken.length === count) break;
    }
    return taken;
  };
  const nil = new Uint8Array(16);
  const same = nameTarget(sha256, "same");
  assert.deepEqual([take(2, same), take(9, same), take(3, same)], [[1, 2], [3, 4, 5, 1, 2], [3, 4, 5]]);
  Object.assign(place, { key: undefined, capability: undefined });
  assert.deepEqual([take(1, nil, "a.*"), take(9, nil, "a.*")], [[2], [4, 1, 3, 5, 2]]);
  assert.deepEqual([take(4, nil, "*"), take(2, nil, "*")], [[4, 1, 3, 5], [2, 4]]);
  // The one that was looked at last is gone, with its capability; one comes behind its place.
  bench.deregister(A, id(4));
  bench.deregister(A, id(2));
  bench.register(A, agent(6, { capabilities: ["a.xx"] }));
  assert.deepEqual(take(9, nil, "a.*"), [6, 1, 3, 5]);
  assert.deepEqual([take(2, nil, "a.y"), take(2, nil, "a.y")], [[1, 3], [5, 1]]);
});

test("pages go on behind their cursor while agents come and go, and a foreign cursor is refused", () => {
  const bench = new Bench();
  for (let n = 0; n < 50; n += 2) bench.register(A, agent(n));
  const first = bench.page({ query: { by: "all" }, limit: 10 });
  assert.deepEqual(numbers(first.agents), [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]);
  assert.equal(first.total, 25);
  // The agent of the cursor goes, one before it and one behind it come.
  bench.deregister(A, id(18));
  bench.register(A, agent(1));
  bench.register(A, agent(19));
  const second = bench.page({ query: { by: "all" }, limit: 3, cursor: first.cursor });
  assert.deepEqual(numbers(second.agents), [19, 20, 22]);
  const refused = bench.registry.discover(micros(0), WALL, { query: { by: "all" }, cursor: Uint8Array.of(1) });
  assert.equal("code" in refused && refused.code, ErrorCode.BAD_REQUEST);
});

test("one answer stays small however large the records are", () => {
  const bench = new Bench();
  for (let n = 0; n < 60; n++) bench.register(A, agent(n, { description: "x".repeat(30_000) }));
  const page = bench.page({ query: { by: "all" }, limit: 60 });
  assert.ok(page.agents.length < 40, `${page.agents.length} records`);
  assert.deepEqual(numbers(bench.find({ by: "all" }, 60)), Array.from({ length: 60 }, (_, n) => n));
});

test("a watcher that falls behind while a page is made gets a listing anew all the same", () => {
  const bench = new Bench({ maxPendingChanges: 2 });
  for (const n of [1, 2, 3]) bench.register(A, agent(n));
  bench.now += 30_000;
  for (const n of [4, 5, 6]) bench.register(A, agent(n));
  const { poll } = bench.watch({ query: { by: "all" }, limit: 2 });
  assert.deepEqual(numbers(poll()!.agents), [1, 2]);
  // The three that expire do so in the middle of the next page.
  bench.now += 30_000;
  assert.deepEqual(numbers(poll()!.agents), [4, 5]);
  const told = poll()!;
  assert.deepEqual([told.fromStart, numbers(told.agents)], [true, [4, 5]]);
  assert.deepEqual(numbers(poll()!.agents), [6]);
  assert.equal(poll(), undefined);
});

test("an id that nobody uses makes room for others' only a month after its agent went", () => {
  const day = 86_400_000;
  const bench = new Bench({ maxIds: 3, maxIdsPerKey: 2, maxAgentsPerKey: 2 });
  bench.register(A, agent(1));
  bench.register(A, agent(2));
  bench.deregister(A, id(1));
  bench.now += day;
  bench.heartbeat(A, id(2));
  bench.deregister(A, id(2));
  bench.register(B, agent(3));
  const C = new Uint8Array(32).fill(0xcc);
  const refused = `refused ${ErrorCode.OVERLOADED}`;
  assert.equal(bench.register(C, agent(4)), refused);
  bench.now = 30 * day - 1;
  assert.equal(bench.register(C, agent(4)), refused);
  bench.now++;
  assert.equal(bench.register(C, agent(4)), "lease 30000", "the one that went first is forgotten");
  assert.equal(bench.register(C, agent(1)), refused, "the next one is not old enough");
  assert.equal(bench.register(B, agent(2)), `refused ${ErrorCode.AGENT_ID_TAKEN}`);
  // A key's own ids make room for its own at any time.
  bench.deregister(C, id(4));
  assert.equal(bench.register(C, agent(1)), refused);
  assert.equal(bench.register(A, agent(2)), "lease 30000");
});

test("an agent that comes back is as it was, and one that goes offline again is told again", () => {
  const bench = new Bench();
  const { poll } = bench.watch({ query: { by: "all" } });
  poll();
  bench.register(A, agent(1));
  const statuses: (string | undefined)[] = [];
  const tell = (): void => {
    bench.tick();
    for (let told = poll(); told !== undefined; told = poll()) {
      statuses.push(...told.agents.map(({ status }) => status));
    }
  };
  tell();
  for (let i = 0; i < 2; i++) {
    bench.now += 30_000;
    tell();
    bench.heartbeat(A, id(1));
    tell();
  }
  assert.deepEqual(statuses, ["online", "offline", "online", "offline", "online"]);
});

test("a registration that could not be replaced stays as it was, with its status, its load and its lease", () => {
  const bench = new Bench();
  bench.register(A, agent(1, { leaseMillis: 60_000 }));
  bench.heartbeat(A, id(1), "degraded", 5);
  bench.save();
  bench.now += 10_000;
  bench.register(A, agent(1, { name: "other", leaseMillis: 5_000 }));
  bench.revert();
  const [record] = bench.find({ by: "all" });
  assert.deepEqual([record.name, record.status, record.load, record.leaseMillis], ["agent 1", "degraded", 5, 60_000]);
  assert.deepEqual(bench.find({ by: "name", name: "other" }), []);
});

test("very many leases that end together end in portions, and all of them", () => {
  const bench = new Bench({ maxAgentsPerKey: 2_000, maxIdsPerKey: 2_000 });
  for (let n = 0; n < 1_200; n++) bench.register(A, agent(n));
  bench.now = 60_000;
  const sizes: number[] = [];
  while (bench.registry.pollTimeout() <= bench.now * 1000) {
    bench.tick();
    sizes.push(bench.registry.size);
  }
  assert.deepEqual(sizes, [700, 200, 0]);
  assert.equal(bench.registry.weight, 0);
  assert.equal(bench.registry.idCount, 1_200);
});

test("leases that end one by one do not make a registry go through all its agents one by one", () => {
  const bench = new Bench();
  for (let n = 0; n < 200; n++) {
    bench.now = n / 1_000;
    bench.register(A, agent(n));
  }
  let passes = 0;
  bench.now = 30_000;
  while (bench.registry.pollTimeout() <= 30_001_000) {
    bench.now = bench.registry.pollTimeout() / 1_000;
    bench.tick();
    passes++;
  }
  assert.ok(passes > 0 && passes <= 3, `${passes} passes for 200 leases`);
  assert.deepEqual(
    bench.page({ query: { by: "all" }, limit: 200 }).agents.filter(({ status }) => status !== "offline"),
    [],
  );
});

test("what a watcher is told at once is bounded by its weight, as a page of a listing is", () => {
  const bench = new Bench({ maxPendingChanges: 1_000 });
  const { poll } = bench.watch({ query: { by: "all" }, limit: 1_000 });
  poll();
  const metadata: [string, string][] = [["notes", "x".repeat(30_000)]];
  for (let n = 0; n < 100; n++) bench.register(A, agent(n, { metadata }));
  const sizes: number[] = [];
  for (let told = poll(); told !== undefined; told = poll()) sizes.push(told.agents.length);
  assert.deepEqual(sizes, [35, 35, 30]);
});

test("a watcher that falls behind gets a listing anew instead of a queue without end", () => {
  const bench = new Bench({ maxPendingChanges: 4 });
  const { watch, poll } = bench.watch({ query: { by: "capability", capability: "text.*" } });
  assert.deepEqual(poll(), { agents: [], total: 0, fromStart: true, nowMillis: WALL });
  assert.equal(poll(), undefined);
  let ready = 0;
  watch.onReady = () => ready++;
  bench.register(A, agent(1, { capabilities: ["image.scale"] }));
  assert.equal(ready, 0, "it is not concerned");
  bench.register(A, agent(2));
  assert.equal(ready, 1);
  assert.deepEqual(numbers(poll()!.agents), [2]);
  for (let n = 3; n < 9; n++) bench.register(A, agent(n));
  const told = poll()!;
  assert.equal(told.fromStart, true);
  assert.deepEqual(numbers(told.agents), [2, 3, 4, 5, 6, 7, 8]);
  bench.register(A, agent(2, { capabilities: ["image.scale"] }));
  const [left] = poll()!.agents;
  assert.deepEqual([left.leaseMillis, left.status], [0, "offline"], "it no longer answers the query");
  bench.registry.unwatch(watch);
  bench.register(A, agent(3, { name: "other" }));
  assert.equal(poll(), undefined);
});

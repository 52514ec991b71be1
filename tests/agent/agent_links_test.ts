import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { AgentLinks } from "../../lib/agent/relay/agent_links.ts";
import type { Session } from "../../lib/agent/session.ts";
import { type Micros, seconds } from "../../lib/base/time.ts";
import { RegisteredAgent } from "../../lib/mesh/registered_agent.ts";
import { Registry } from "../../lib/mesh/registry.ts";
import { registrySettings } from "../../lib/mesh/registry_settings.ts";
import { ManualClock } from "../../lib/testing/manual_clock.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { testSeed } from "../support/seed.ts";

/** A connection whose PINGs the test answers. */
class SilentSession {
  /** The questions that were neither answered nor taken back. */
  readonly pings = new Set<(rtt: number | undefined) => void>();
  asked = 0;
  onEnd: (() => void) | undefined;

  ping(onPong: (rtt: number | undefined) => void): () => void {
    this.asked++;
    this.pings.add(onPong);
    return () => this.pings.delete(onPong);
  }

  /** Answers the question that was put last. */
  pong(): void {
    const last = [...this.pings].at(-1)!;
    this.pings.delete(last);
    last(1_000);
  }
}

/** One agent, and the way to it. */
function oneAgent() {
  const clock = new ManualClock();
  const random = new SeededRandom(testSeed);
  const registry = new Registry(
    registrySettings({ maxLeaseMillis: 600_000 }),
    random,
    (bytes) => createHash("sha256").update(bytes).digest(),
  );
  const links = new AgentLinks({ registry, clock, random });
  const [agentId, key] = [new Uint8Array(16).fill(7), new Uint8Array(32)];
  const agent = registry.register(clock.now(), 0, key, {
    agentId,
    name: "one",
    capabilities: ["x"],
    leaseMillis: 600_000,
  });
  assert.ok(agent instanceof RegisteredAgent);
  const session = new SilentSession();
  links.attach(agent.key, session as unknown as Session);
  const { link } = links.choose({ target: agentId, capability: undefined }, new Set())!;
  const pass = (time: number): void => clock.advance((clock.now() + seconds(time)) as Micros);
  return { clock, pass, links, link, session, agent };
}

test("an agent that has missed one question is not taken for dead at the next call, hours later", () => {
  const { pass, links, link, session } = oneAgent();
  let givenUp = 0;
  const call = { giveUp: () => givenUp++ };
  links.begin(link, call);
  pass(1);
  assert.equal(session.asked, 1, "and the answer is lost");
  links.end(link, call);
  pass(1);
  assert.equal(session.asked, 2, "whoever was asked is asked until it answers");
  session.pong();
  assert.equal(session.pings.size, 0, "what was lost is not waited for any more");
  pass(100);
  assert.equal(session.asked, 2, "and then left alone");
  links.begin(link, call);
  pass(4);
  assert.deepEqual([session.asked, givenUp], [6, 0]);
  session.pong();
  pass(3);
  assert.equal(givenUp, 0);
});

test("an agent that answers nothing for five seconds is dead, whatever its calls have come to, until it is heard of", () => {
  const { pass, links, link, session, agent } = oneAgent();
  const given: string[] = [];
  const short = { giveUp: () => given.push("short") };
  const long = { giveUp: () => given.push("long") };
  links.begin(link, short);
  pass(2);
  links.end(link, short);
  pass(3);
  links.begin(link, long);
  pass(2);
  assert.deepEqual(given, ["long"]);
  const anybody = { target: new Uint8Array(16), capability: "x" };
  assert.equal(links.choose(anybody, new Set()), undefined);
  links.end(link, long);
  // Its heartbeat is as good as an answer: what it gets then is not given up because of what it has missed before.
  links.attach(agent.key, session as unknown as Session);
  assert.equal(links.choose(anybody, new Set())?.link, link);
  assert.equal(session.pings.size, 0);
  links.begin(link, long);
  pass(4);
  assert.deepEqual(given, ["long"]);
  session.pong();
});

test("no timer is left once nobody is there to be asked", () => {
  const { clock, links, link, session } = oneAgent();
  links.begin(link, { giveUp: () => {} });
  assert.equal(clock.waiting, 1);
  session.onEnd!();
  assert.equal(clock.waiting, 0);
});

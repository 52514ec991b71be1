/**
 * A16: machines that sleep, and clocks that are set.
 *
 * @module
 */

import { micros, seconds } from "../../lib/base/time.ts";
import { Pair } from "../../lib/testing/pair.ts";
import { connect, serve } from "../../mod.ts";
import { type Cell, type CellContext, link, type Outcome, round, type Scenario } from "./scenario.ts";

const BYTES = 5_000_000;
const NAP = seconds(600);

type Sleeper = "client" | "server" | "both";

/** A machine sleeps in the middle of a transfer, for longer than its connection would wait. */
function suspendWithTimeout({ seed, congestion, crypto }: CellContext, who: Sleeper): Outcome {
  const pair = new Pair({ seed, crypto, profile: link(50, 10), settings: { congestion } });
  const { network, client, server, serverTraffic } = pair;
  pair.establish();
  pair.clientTraffic.send(client, pair.connection, BYTES);
  pair.advance(seconds(1));
  const sleepers = who === "both" ? [client, server] : [who === "client" ? client : server];
  for (const node of sleepers) node.suspend();
  network.advance(NAP);
  const back = network.now;
  for (const node of sleepers) node.resume();
  pair.drive(() => client.ended.length === 1 && server.ended.length === 1, seconds(60));
  const noticed = Math.max(...sleepers.map(({ ended }) => ended[0]?.at ?? Infinity)) - back;
  const reasons = [...client.ended, ...server.ended].map(({ reason }) => reason.by);
  // Whoever has lost his connection makes another one.
  const before = serverTraffic.delivered;
  pair.clientTraffic.send(client, client.connect(server.address, { peerKey: server.identity.publicKey }), BYTES);
  const again = pair.drive(() => serverTraffic.delivered === before + BYTES, seconds(60));
  return {
    ok: again && reasons.length === 2 && reasons.every((by) => by === "idle_timeout") && noticed <= seconds(1),
    figures: { noticed_after_s: round(noticed / 1e6), ended: reasons.join("+"), new_connection_works: again },
    asked: "both sides end it as idle_timeout, once, the sleeper ≤ 1 s after it wakes; a new connection works",
  };
}

/** The same without idle timeout: the connection outlives the nap. */
function suspendWithoutTimeout({ seed, congestion, crypto }: CellContext, who: Sleeper): Outcome {
  const settings = { congestion, idleTimeout: micros(0) };
  const pair = new Pair({ seed, crypto, profile: link(50, 10), settings });
  const { network, client, server, serverTraffic } = pair;
  pair.establish();
  pair.clientTraffic.send(client, pair.connection, BYTES);
  pair.advance(seconds(1));
  const sleepers = who === "both" ? [client, server] : [who === "client" ? client : server];
  for (const node of sleepers) node.suspend();
  network.advance(NAP);
  const back = network.now, delivered = serverTraffic.delivered;
  for (const node of sleepers) node.resume();
  const resumed = pair.drive(() => serverTraffic.delivered > delivered, seconds(1200));
  const resumedAfter = network.now - back;
  const done = pair.drive(() => serverTraffic.delivered === BYTES, seconds(60));
  // A sender that was awake has asked ever more seldom meanwhile, though at least once a minute.
  const limit = who === "server" ? seconds(60) : seconds(1);
  return {
    ok: resumed && done && client.ended.length + server.ended.length === 0 && resumedAfter <= limit,
    figures: { exact: done, resumed_after_s: round(resumedAfter / 1e6) },
    asked: `the same connection goes on and delivers everything, resumed ≤ ${round(limit / 1e6)} s after the nap`,
  };
}

const HOUR_MS = 3_600_000, YEAR_MS = 365.25 * 24 * HOUR_MS;

/** The only call of this length takes a while. */
const LAST = "the last call, which takes a while";

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The clock on the wall is set, again and again, while calls are made over real sockets. */
async function wallClock({ quick }: CellContext): Promise<Outcome> {
  const honest = Date.now;
  let shift = 0, answered = 0;
  const failures: string[] = [];
  Date.now = () => honest() + shift;
  try {
    const server = await serve({ listen: "127.0.0.1:0" }, async (payload) => {
      if (payload.length === LAST.length) await pause(300);
      return payload;
    });
    const client = await connect(server.url);
    for (const jump of [0, HOUR_MS, -HOUR_MS, 10 * YEAR_MS, -10 * YEAR_MS, 0]) {
      shift = jump;
      for (let i = 0; i < (quick ? 5 : 100); i++) {
        try {
          const reply = await client.call(`call ${i}`, { timeoutMs: 2000 });
          if (reply.text() === `call ${i}`) answered++;
        } catch (error) {
          failures.push(error instanceof Error ? error.message : String(error));
        }
      }
    }
    shift = 10 * YEAR_MS;
    const begin = performance.now();
    const slow = client.call(LAST).catch((error: unknown) => failures.push(String(error)));
    await pause(100);
    shift = 0;
    await server.drain({ timeoutMs: 2000 });
    await slow;
    if (performance.now() - begin > 2500) failures.push("draining took too long");
    await client.close();
  } finally {
    Date.now = honest;
  }
  return {
    ok: failures.length === 0,
    figures: { answered, failed: failures.length, ...(failures.length > 0 ? { first: failures[0] } : {}) },
    asked: "every call is answered, with the clock set by ± 1 h and ± 10 y between them",
  };
}

const SLEEPERS: readonly Sleeper[] = ["client", "server", "both"];

/** Clocks. */
export const A16: Scenario = {
  name: "A16",
  title:
    "10 minutes of sleep in the middle of a transfer, with and without idle timeout; wall clock ± 1 h and ± 10 y (sockets)",
  asked: "transport unaffected; leases and tickets follow the written rule",
  cells: [
    ...SLEEPERS.map((who): Cell => ({
      name: `suspend=${who}`,
      inGate: true,
      run: (context) => suspendWithTimeout(context, who),
    })),
    ...SLEEPERS.map((who): Cell => ({
      name: `suspend=${who},idle=never`,
      inGate: true,
      run: (context) => suspendWithoutTimeout(context, who),
    })),
    { name: "wall", isReal: true, inGate: true, run: wallClock },
  ],
};

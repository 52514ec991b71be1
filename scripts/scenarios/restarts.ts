/**
 * A13: a server that is killed and comes back.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { createInterface } from "node:readline";
import process from "node:process";
import { address } from "../../lib/base/address.ts";
import { concatBytes } from "../../lib/base/bytes.ts";
import { millis, seconds } from "../../lib/base/time.ts";
import { defaultBindUdp, SystemClock } from "../../lib/runtime/mod.ts";
import { Invariants } from "../../lib/testing/invariants.ts";
import { CLIENT_ADDRESS, Pair, SERVER_ADDRESS } from "../../lib/testing/pair.ts";
import { PatternTraffic } from "../../lib/testing/pattern_traffic.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { SimulatedNetwork } from "../../lib/testing/simulated_network.ts";
import { type NodeApplication, SimulatedNode } from "../../lib/testing/simulated_node.ts";
import { UdpProxy } from "../../lib/testing/udp_proxy.ts";
import type { Connection } from "../../lib/transport/connection.ts";
import type { ConnectionEvent } from "../../lib/transport/events.ts";
import type { ResumptionTicket } from "../../lib/transport/resumed_handshake.ts";
import type { StreamId } from "../../lib/wire/stream_id.ts";
import { connect, MxpError } from "../../mod.ts";
import { projectRoot } from "../source_files.ts";
import { resolveDeno } from "../tools.ts";
import { type CellContext, link, type Outcome, round, type Scenario } from "./scenario.ts";

const RTT = 40;

/** The server is restarted at a random moment of an upload; the queue of the link is short, so that a round trip is one. */
function atRandomMoments({ seed, crypto, quick }: CellContext): Outcome {
  const runs = quick ? 10 : 200;
  const random = new SeededRandom(seed);
  let told = 0, slowest = 0, again = 0;
  for (let i = 0; i < runs; i++) {
    const pair = new Pair({ seed: random.nextU32(), crypto, profile: link(RTT, 20, { queue: 10_000 }) });
    const { network, client } = pair;
    pair.establish();
    pair.clientTraffic.send(client, pair.connection, 100_000_000);
    pair.advance(millis(random.next() * 2000));
    const traffic = new PatternTraffic();
    const server = pair.server.restart(traffic);
    const gone = network.now;
    let nextSent = Infinity;
    network.onSend = (from) => {
      if (from === client.address) nextSent = Math.min(nextSent, network.now);
    };
    if (!pair.drive(() => client.ended.length > 0, seconds(60))) continue;
    if (client.ended[0].reason.by === "reset") told++;
    // If nothing was under way, what is sent next tells.
    slowest = Math.max(slowest, client.ended[0].at - Math.max(gone, Math.min(nextSent, client.ended[0].at)));
    // A new connection works at once.
    pair.clientTraffic.send(client, client.connect(SERVER_ADDRESS, { peerKey: server.identity.publicKey }), 10_000);
    if (network.run(() => traffic.delivered === 10_000, seconds(5))) again++;
  }
  // What waits in the queue when the server is killed takes its time before the first datagram reaches the new one.
  const limit = (RTT + 10_000 * 8 / 20_000) / 1000;
  return {
    ok: told === runs && again === runs && slowest / 1e6 <= limit + 1e-3,
    figures: { restarts: runs, told_by_reset: told, slowest_s: round(slowest / 1e6), reconnected: again },
    asked: `every client knows ≤ ${
      round(limit)
    } s after what it sends next (a round trip and the queue), and reconnects`,
  };
}

/** Counts the requests that it acted upon. */
class Counting implements NodeApplication {
  readonly acted: string[] = [];
  readonly #parts = new Map<Connection, Map<StreamId, Uint8Array>>();

  onEvent(_node: SimulatedNode, connection: Connection, event: ConnectionEvent): void {
    if (event.type !== "readable") return;
    const streams = this.#parts.get(connection) ?? new Map<StreamId, Uint8Array>();
    this.#parts.set(connection, streams);
    let bytes = streams.get(event.id) ?? new Uint8Array(0);
    for (let piece; (piece = connection.read(event.id)) !== undefined;) bytes = concatBytes(bytes, piece);
    streams.set(event.id, bytes);
    if (!connection.readFinished(event.id)) return;
    this.acted.push(new TextDecoder().decode(bytes));
    connection.write(event.id, bytes, true);
  }
}

/** Keeps tickets. */
class Collector implements NodeApplication {
  readonly tickets: ResumptionTicket[] = [];

  onEvent(_node: SimulatedNode, _connection: Connection, event: ConnectionEvent): void {
    if (event.type === "ticket") this.tickets.push(event.ticket);
  }
}

/** One ticket carries early data twice: at the server that gave it, at the same one again, and after a restart. */
function ticketsTwice({ seed, crypto, quick }: CellContext): Outcome {
  const runs = quick ? 3 : 50;
  let earned = 0, most = 0, wrong = 0;
  for (let i = 0; i < runs; i++) {
    const network = new SimulatedNetwork({ seed: seed * 1000 + i, profile: link(RTT, 100) });
    const invariants = new Invariants(() => network.now);
    const counting = new Counting(), collector = new Collector();
    const client = new SimulatedNode(network, {
      address: CLIENT_ADDRESS,
      crypto,
      invariants,
      application: collector,
      accept: false,
    });
    let server = new SimulatedNode(network, { address: SERVER_ADDRESS, crypto, invariants, application: counting });
    const peerKey = server.identity.publicKey;
    client.connect(SERVER_ADDRESS, { peerKey, tickets: 1 });
    network.run(() => collector.tickets.length > 0, seconds(5));
    const [ticket] = collector.tickets;
    if (ticket === undefined) continue;
    earned++;
    const useTicket = (): void => {
      const connection = client.connect(SERVER_ADDRESS, { peerKey, ticket, held: true });
      connection.begin(network.now, new TextEncoder().encode("once"));
      client.pump(connection);
      network.run(() => false, seconds(2));
    };
    // Before the kill, or not at all, by turns; then twice at the new one.
    if (i % 2 === 0) useTicket();
    server = server.restart(counting);
    useTicket();
    useTicket();
    const { length } = counting.acted;
    most = Math.max(most, length);
    if (length > 1 || (i % 2 === 0 && length === 0)) wrong++;
  }
  return {
    ok: earned === runs && wrong === 0,
    figures: { tickets: earned, most_acted_upon: most, wrong },
    asked: "what came early with a ticket is acted upon at most once, also after a restart",
  };
}

/** A node in a process of its own; resolves when it listens. */
async function startNode(home: string, listen: string): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(resolveDeno(), ["run", "-A", `${projectRoot}cli.ts`, "serve", "--listen", listen, "--echo"], {
    cwd: projectRoot,
    stdio: ["ignore", "pipe", "ignore"],
    env: { ...process.env, XDG_CONFIG_HOME: home },
  });
  const [line] = await once(createInterface(child.stdout!), "line") as [string];
  return { child, url: line.slice("listening ".length) };
}

/** `kill -9` of a real node, through the proxy: how long a call takes to fail once the node is back. */
async function killed({ seed, quick }: CellContext): Promise<Outcome> {
  const runs = quick ? 1 : 5, delay = 50;
  const home = mkdtempSync(`${tmpdir()}/mxp-restart-`);
  const slow: number[] = [];
  const problems: string[] = [];
  let node = await startNode(home, "127.0.0.1:0");
  const port = Number(/:(\d+)$/.exec(node.url)![1]);
  const proxy = await UdpProxy.start({
    bindUdp: defaultBindUdp(),
    clock: new SystemClock(),
    listen: { host: "127.0.0.1", port: 0 },
    to: address("127.0.0.1", port),
    seed,
    profile: { delay: millis(delay) },
  });
  const url = node.url.replace(/:\d+$/, `:${proxy.local.port}`);
  try {
    for (let run = 0; run < runs; run++) {
      const client = await connect(url);
      await client.call("before");
      node.child.kill("SIGKILL");
      node = await startNode(home, `127.0.0.1:${port}`);
      const begin = performance.now();
      const error = await client.call("after").then(() => undefined, (error: unknown) => error);
      slow.push(performance.now() - begin);
      if (!(error instanceof MxpError && error.code === "connection_lost")) problems.push(String(error));
      await client.close();
      const again = await connect(url);
      if ((await again.call("again")).text() !== "again") problems.push("the node does not serve");
      await again.close();
    }
  } finally {
    proxy.close();
    node.child.kill("SIGKILL");
    rmSync(home, { recursive: true, force: true });
  }
  const worst = Math.max(...slow), limit = 1.2 * 2 * delay;
  return {
    ok: problems.length === 0 && worst <= limit,
    figures: { kills: runs, slowest_ms: round(worst, 1), ...(problems.length > 0 ? { problem: problems[0] } : {}) },
    asked:
      `a call fails as connection_lost ≤ ${limit} ms (1.2 round trips) after the node is back; the next connection works`,
  };
}

/** Restarts. */
export const A13: Scenario = {
  name: "A13",
  title:
    "kill -9 and restart: 200 times at random moments of an upload; with tickets that are used again; a real node through the proxy, 100 ms",
  asked:
    "clients know within 1 RTT; a 0-RTT ticket is not accepted twice (the registry's part comes with the registry)",
  cells: [
    { name: "moments", inGate: true, run: atRandomMoments },
    { name: "tickets", inGate: true, run: ticketsTwice },
    { name: "kill-9", isReal: true, run: killed },
  ],
};

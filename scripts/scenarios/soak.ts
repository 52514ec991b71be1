/**
 * A18: the same work for a long time, while keys are updated and addresses change: nothing may grow, and the counters have to agree.
 *
 * @module
 */

import { readdirSync } from "node:fs";
import process from "node:process";
import { address } from "../../lib/base/address.ts";
import { millis, seconds } from "../../lib/base/time.ts";
import { defaultBindUdp, SystemClock } from "../../lib/runtime/mod.ts";
import { Pair, SERVER_ADDRESS } from "../../lib/testing/pair.ts";
import type { NodeApplication, SimulatedNode } from "../../lib/testing/simulated_node.ts";
import { UdpProxy } from "../../lib/testing/udp_proxy.ts";
import type { Connection } from "../../lib/transport/connection.ts";
import type { ConnectionEvent } from "../../lib/transport/events.ts";
import { connect, serve } from "../../mod.ts";
import { type CellContext, type Figures, link, type Outcome, round, type Scenario } from "./scenario.ts";

const MIB = 2 ** 20;
/** Memory may vary this much between the middle and the last third of the samples; in the first, code is compiled and tables grow to their size. */
const GROWTH_LIMIT = 0.05;

/** What memory and descriptors did. */
class Resources {
  readonly #heaps: number[] = [];
  readonly #descriptors: number[] = [];
  #lastRss = 0;

  /** Bytes in use, after a collection where one can be asked for. */
  sample(): void {
    const { gc } = globalThis as { gc?: () => void };
    gc?.();
    const { heapUsed, external, rss } = process.memoryUsage();
    this.#heaps.push(heapUsed + external);
    this.#lastRss = rss;
    try {
      this.#descriptors.push(readdirSync("/proc/self/fd").length);
    } catch {
      // Only Linux tells.
    }
  }

  /** Least of the last third beyond the least of the middle third, as a share: what a collection leaves, not how it fluctuates. */
  get growth(): number {
    const third = Math.floor(this.#heaps.length / 3);
    if (third === 0) return NaN;
    return Math.min(...this.#heaps.slice(-third)) / Math.min(...this.#heaps.slice(-2 * third, -third)) - 1;
  }

  /** Descriptors at the end beyond those at the beginning. */
  get newDescriptors(): number {
    return (this.#descriptors.at(-1) ?? 0) - (this.#descriptors[0] ?? 0);
  }

  get isFlat(): boolean {
    return this.growth <= GROWTH_LIMIT && this.newDescriptors <= 0;
  }

  get figures(): Figures {
    const mib = (bytes: number): number => round(bytes / MIB, 2);
    return {
      samples: this.#heaps.length,
      heap_mib_first: mib(this.#heaps[0]),
      heap_mib_last: mib(this.#heaps.at(-1)!),
      growth_percent: round(this.growth * 100, 1),
      new_descriptors: this.newDescriptors,
      rss_mib: round(this.#lastRss / MIB, 0),
    };
  }
}

/** Sends back what comes, or counts what comes back; keeps nothing of streams that have ended. */
class Calls implements NodeApplication {
  bytes = 0;
  ended = 0;
  readonly #echoes: boolean;

  constructor(echoes: boolean) {
    this.#echoes = echoes;
  }

  onEvent(_node: SimulatedNode, connection: Connection, event: ConnectionEvent): void {
    if (event.type !== "readable") return;
    let size = 0;
    for (let piece; (piece = connection.read(event.id)) !== undefined;) size += piece.length;
    this.bytes += size;
    const isOver = connection.readFinished(event.id);
    if (this.#echoes && (size > 0 || isOver)) connection.write(event.id, new Uint8Array(size), isOver);
    if (isOver) this.ended++;
  }
}

/** Virtual hours: a call a second, a key update a minute, another address every five. */
function simulatedHours({ seed, congestion, crypto }: CellContext, hours: number): Outcome {
  const settings = { congestion, keyUpdateInterval: seconds(60) };
  // The invariants remember every nonce, which is the opposite of flat.
  const pair = new Pair({ seed, crypto, checked: false, profile: link(30, 50), settings });
  const { network, client, server } = pair;
  const asker = new Calls(false), echo = new Calls(true);
  client.application = asker;
  server.application = echo;
  pair.establish();
  const { connection } = pair;
  const resources = new Resources();
  let calls = 0, moves = 0;
  for (let second = 1; second <= hours * 3600; second++) {
    const id = connection.openStream(false, 1);
    if (id !== -1) {
      connection.write(id, new Uint8Array(100 + second % 400), true);
      calls++;
    }
    client.pump(connection);
    network.advance(seconds(1));
    if (second % 300 === 0) {
      client.moveTo(address(`10.1.${++moves >> 8}.${moves & 255}`, 40_000), [SERVER_ADDRESS]);
      // Links to addresses where nobody is any more are the simulator's own memory.
      network.forgetLinks(client.address, SERVER_ADDRESS);
    }
    if (second % 600 === 0) resources.sample();
  }
  network.advance(seconds(10));
  const [ours, theirs] = [connection.stats(), pair.serverConnection!.stats()];
  const lost = ours.packetsSent - theirs.packetsReceived;
  const isReconciled = asker.ended === calls && echo.ended === calls && asker.bytes === echo.bytes &&
    ours.openStreams === 0 && theirs.openStreams === 0 && theirs.packetsReceived <= ours.packetsSent &&
    ours.packetsReceived <= theirs.packetsSent && server.connections.length === 1;
  return {
    ok: isReconciled && resources.isFlat && ours.keyUpdatesSent + ours.keyUpdatesReceived >= hours * 55 &&
      theirs.paths.migrations >= moves - 1,
    figures: {
      hours,
      calls,
      answered: asker.ended,
      key_updates: ours.keyUpdatesSent + ours.keyUpdatesReceived,
      migrations: theirs.paths.migrations,
      packets_not_received: lost,
      ...resources.figures,
    },
    asked:
      "flat memory (≤ 5 % between middle and last third), every call answered, one connection, both sides' counters agree",
  };
}

/** How fast things happen over sockets. */
export interface SocketSoak {
  readonly seed: number;
  readonly minutes: number;
  readonly keyUpdateSeconds: number;
  readonly rebindSeconds: number;
  /** Called now and then with what is happening. */
  readonly onProgress?: (line: string) => void;
}

/** Real time and real sockets, through the proxy, which gives the client another port now and then. */
export async function soakSockets(options: SocketSoak): Promise<Outcome> {
  const { seed, minutes, keyUpdateSeconds, rebindSeconds } = options;
  const settings = { keyUpdateInterval: seconds(keyUpdateSeconds) };
  const server = await serve({ listen: "127.0.0.1:0", settings }, (payload) => payload);
  const proxy = await UdpProxy.start({
    bindUdp: defaultBindUdp(),
    clock: new SystemClock(),
    listen: { host: "127.0.0.1", port: 0 },
    to: address(server.address.host, server.address.port),
    seed,
    profile: { delay: millis(5), loss: 0.005 },
  });
  const client = await connect(server.url.replace(/:\d+$/, `:${proxy.local.port}`), { settings });
  const resources = new Resources();
  const begin = performance.now(), end = begin + minutes * 60_000;
  let calls = 0, answered = 0, nextRebind = begin + rebindSeconds * 1000, nextSample = begin + 5000;
  let failure: string | undefined;
  try {
    while (performance.now() < end) {
      const body = new Uint8Array(calls % 10 === 0 ? 30_000 : 100 + calls % 900).fill(calls);
      calls++;
      try {
        const { bytes } = await client.call(body, { timeoutMs: 20_000 });
        if (bytes.length === body.length && bytes.at(-1) === body.at(-1)) answered++;
      } catch (error) {
        failure ??= error instanceof Error ? error.message : String(error);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
      const now = performance.now();
      if (now >= nextRebind) {
        nextRebind += rebindSeconds * 1000;
        await proxy.rebind();
      }
      if (now >= nextSample) {
        nextSample += Math.min(10_000, Math.max(1000, minutes * 60_000 / 30));
        resources.sample();
        options.onProgress?.(
          `${round((now - begin) / 60_000, 1)} min: ${calls} calls, ${JSON.stringify(resources.figures)}`,
        );
      }
    }
    resources.sample();
    const { transport, calls: counted } = client.stats();
    const { calls: served } = server.stats();
    const keyUpdates = transport.keyUpdatesSent + transport.keyUpdatesReceived;
    const isReconciled = answered === calls && counted.started === calls && counted.ok === calls &&
      served.total === calls && served.ok === calls;
    return {
      ok: isReconciled && resources.isFlat && keyUpdates >= minutes * 60 / keyUpdateSeconds / 2,
      figures: {
        minutes,
        calls,
        answered,
        key_updates: keyUpdates,
        rebindings: proxy.counters.rebindings,
        served: served.total,
        ...resources.figures,
        ...(failure === undefined ? {} : { failure }),
      },
      asked: "flat memory (≤ 5 %) and descriptors, every call answered over one connection, both sides' counters agree",
    };
  } finally {
    await client.close();
    proxy.close();
    await server.close();
  }
}

/** Soak. */
export const A18: Scenario = {
  name: "A18",
  title:
    "24 virtual hours with a call a second, a key update a minute and another address every 5; a minute over sockets with both " +
    "accelerated (deno task soak -- --minutes N for longer)",
  asked: "flat memory and descriptors; counters reconcile",
  cells: [
    { name: "hours=24", run: (context) => simulatedHours(context, context.quick ? 2 : 24) },
    {
      name: "sockets",
      isReal: true,
      run: ({ seed, quick }) => soakSockets({ seed, minutes: quick ? 0.3 : 1, keyUpdateSeconds: 2, rebindSeconds: 5 }),
    },
  ],
};

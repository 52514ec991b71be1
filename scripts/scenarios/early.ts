/**
 * 0RTT: a call that goes along with the hello of a resumed connection.
 *
 * @module
 */

import { address } from "../../lib/base/address.ts";
import { type Micros, millis, seconds } from "../../lib/base/time.ts";
import type { CryptoProvider } from "../../lib/crypto/types.ts";
import { defaultBindUdp, SystemClock } from "../../lib/runtime/mod.ts";
import type { LinkProfile } from "../../lib/testing/link.ts";
import { CLIENT_ADDRESS, Pair, SERVER_ADDRESS } from "../../lib/testing/pair.ts";
import { UdpProxy } from "../../lib/testing/udp_proxy.ts";
import type { ResumptionTicket } from "../../lib/transport/resumed_handshake.ts";
import type { StreamId } from "../../lib/wire/stream_id.ts";
import { connect, MemoryTickets, parseMxpUrl, serve } from "../../mod.ts";
import { type Cell, type CellContext, link, type Outcome, round, type Scenario } from "./scenario.ts";

const RTT = 50;
const QUESTION = new Uint8Array(64).fill(7);
/** Calls over real sockets that are not measured. */
const WARM_UP = 5;
/** Round trips that an early answer may take over real sockets. */
const MOST_ROUND_TRIPS = 1.2;

/** How one early call went. */
interface Asked {
  /** Until the answer was complete; undefined if there was none. */
  readonly after: Micros | undefined;
  /** Whether the call was taken from the hello. */
  readonly early: boolean;
  /** How often the server acted on a question that came with a hello. */
  readonly earlyRuns: number;
}

/** Earns a ticket on a clean link, then asks with it over a bad one. */
function ask(seed: number, crypto: CryptoProvider, profile: Partial<LinkProfile>): Asked {
  const pair = new Pair({ seed, crypto, profile: { delay: millis(RTT / 2) } });
  const { network, client, server } = pair;
  const peerKey = server.identity.publicKey;
  let ticket: ResumptionTicket | undefined, answeredAt: Micros | undefined, earlyRuns = 0;
  const earning = client.connect(SERVER_ADDRESS, { peerKey, tickets: 1 });
  client.application = {
    onEvent: (_node, connection, event) => {
      if (event.type === "ticket") ticket = event.ticket;
      if (connection === earning) return;
      if (event.type === "established" && connection.earlyStream === undefined) {
        connection.write(connection.openStream(false, 1) as StreamId, QUESTION, true);
      } else if (event.type === "readable") {
        while (connection.read(event.id) !== undefined);
        if (connection.readFinished(event.id)) answeredAt = network.now;
      }
    },
  };
  server.application = {
    onEvent: (_node, connection, event) => {
      if (event.type !== "readable") return;
      while (connection.read(event.id) !== undefined);
      if (!connection.readFinished(event.id)) return;
      if (connection.earlyStream === event.id) earlyRuns++;
      connection.write(event.id, QUESTION, true);
    },
  };
  if (!network.run(() => ticket !== undefined, seconds(10))) throw new Error("there was no ticket");
  for (
    const direction of [network.link(CLIENT_ADDRESS, SERVER_ADDRESS), network.link(SERVER_ADDRESS, CLIENT_ADDRESS)]
  ) {
    direction.profile = { ...direction.profile, ...profile };
  }
  const begun = network.now;
  const asking = client.connect(SERVER_ADDRESS, { peerKey, ticket, held: true });
  asking.begin(begun, QUESTION);
  client.pump(asking);
  network.run(() => answeredAt !== undefined, seconds(60));
  const after = answeredAt === undefined ? undefined : answeredAt - begun as Micros;
  return { after, early: asking.earlyStream !== undefined, earlyRuns };
}

const CLEAN: Cell = {
  name: "loss=0",
  inGate: true,
  run: ({ seed, crypto }): Outcome => {
    const { after, early, earlyRuns } = ask(seed, crypto, {});
    return {
      ok: early && earlyRuns === 1 && after === millis(RTT),
      figures: { answer_ms: (after ?? NaN) / 1000, early, runs: earlyRuns },
      asked: `answered after exactly ${RTT} ms`,
    };
  },
};

const LOSSY: Cell = {
  name: "loss=30",
  inGate: true,
  run: ({ seed, crypto, quick }): Outcome => {
    const attempts = quick ? 50 : 2000;
    const times: number[] = [];
    let early = 0, most = 0;
    for (let i = 0; i < attempts; i++) {
      const asked = ask(seed * 1_000_000 + i, crypto, link(RTT, 100, { loss: 0.3, duplicate: 0.2 }));
      if (asked.after !== undefined) times.push(asked.after / 1e6);
      if (asked.early) early++;
      most = Math.max(most, asked.earlyRuns);
    }
    times.sort((a, b) => a - b);
    const at = (share: number): number => round(times[Math.floor(share * (times.length - 1))] ?? NaN);
    return {
      ok: times.length === attempts && most <= 1,
      figures: {
        attempts,
        failed: attempts - times.length,
        early,
        most_early_runs: most,
        p50_s: at(0.5),
        max_s: at(1),
      },
      asked: "all are answered, and no hello is acted upon twice",
    };
  },
};

/** The same over real sockets, through the proxy. */
async function overSockets({ seed, quick }: CellContext): Promise<Outcome> {
  const delay = 50, roundTrip = 2 * delay;
  const server = await serve({ listen: "127.0.0.1:0" }, (payload) => payload);
  const { host, port } = parseMxpUrl(server.url);
  const proxy = await UdpProxy.start({
    bindUdp: defaultBindUdp(),
    clock: new SystemClock(),
    listen: { host: "127.0.0.1", port: 0 },
    to: address(host, port),
    seed,
    profile: { delay: millis(delay) },
  });
  const times: number[] = [];
  try {
    const url = server.url.replace(/:\d+$/, `:${proxy.local.port}`);
    const tickets = new MemoryTickets();
    for (let i = 0; i < (quick ? 10 : 40); i++) {
      const begun = performance.now();
      const client = await connect(url, { tickets, early: true });
      const { early } = await client.call(QUESTION, { idempotent: true });
      // The first ones are slow because nothing is compiled yet.
      if (early && i >= WARM_UP) times.push(performance.now() - begun);
      await client.awaitTickets();
      await client.close();
    }
  } finally {
    proxy.close();
    await server.close();
  }
  times.sort((a, b) => a - b);
  const p50 = times[times.length >> 1] ?? NaN;
  return {
    ok: p50 <= MOST_ROUND_TRIPS * roundTrip,
    figures: {
      early: times.length,
      min_ms: round(times[0] ?? NaN),
      p50_ms: round(p50),
      p50_rtt: round(p50 / roundTrip),
    },
    asked: `p50 ≤ ${MOST_ROUND_TRIPS} round trips of ${roundTrip} ms, socket and connection included`,
  };
}

/** Early calls. */
export const EARLY: Scenario = {
  name: "0RTT",
  title: `a call with a ticket, RTT ${RTT} ms`,
  asked: "answered after one round trip; executed at most once",
  cells: [CLEAN, LOSSY, { name: "sockets,delay=50", isReal: true, run: overSockets }],
};

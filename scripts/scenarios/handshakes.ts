/**
 * A6: handshakes over a network that loses almost every third datagram, three in a row.
 *
 * @module
 */

import { address } from "../../lib/base/address.ts";
import { millis } from "../../lib/base/time.ts";
import { defaultBindUdp, SystemClock } from "../../lib/runtime/mod.ts";
import { runHandshake } from "../../lib/testing/handshake_run.ts";
import type { LinkProfile } from "../../lib/testing/link.ts";
import { UdpProxy } from "../../lib/testing/udp_proxy.ts";
import { connect, parseMxpUrl, serve } from "../../mod.ts";
import { type Cell, type CellContext, link, type Outcome, round, type Scenario } from "./scenario.ts";

const LOSSY: Partial<LinkProfile> = { loss: 0.3, lossBurst: 3 };
/** Round trip in milliseconds. */
const RTT = 50;
const P90_LIMIT_S = 4;

/** Figures of the times, in seconds, of those that succeeded. */
function judge(times: number[], attempts: number): Outcome {
  times.sort((a, b) => a - b);
  const at = (share: number): number => round(times[Math.floor(share * (times.length - 1))] ?? NaN);
  return {
    ok: times.length === attempts && at(0.9) <= P90_LIMIT_S,
    figures: { attempts, failed: attempts - times.length, p50_s: at(0.5), p90_s: at(0.9), max_s: at(1) },
    asked: `none fails, p90 ≤ ${P90_LIMIT_S} s`,
  };
}

function simulated(pattern: "IK" | "XX"): Cell {
  return {
    name: `pattern=${pattern.toLowerCase()}`,
    inGate: true,
    run: ({ seed, crypto, quick }): Outcome => {
      const attempts = quick ? 50 : 10_000;
      const times: number[] = [];
      for (let i = 0; i < attempts; i++) {
        const profile = link(RTT, 100, LOSSY);
        const { complete, established } = runHandshake({ seed: seed * 1_000_000 + i, profile, pattern, crypto });
        if (complete) times.push(established / 1e6);
      }
      return judge(times, attempts);
    },
  };
}

/** The same over real sockets, through the proxy. */
async function overSockets({ seed, quick }: CellContext): Promise<Outcome> {
  const attempts = quick ? 5 : 50;
  const server = await serve({ listen: "127.0.0.1:0" }, (payload) => payload);
  const { host, port } = parseMxpUrl(server.url);
  const proxy = await UdpProxy.start({
    bindUdp: defaultBindUdp(),
    clock: new SystemClock(),
    listen: { host: "127.0.0.1", port: 0 },
    to: address(host, port),
    seed,
    profile: { delay: millis(RTT / 2), ...LOSSY },
  });
  const times: number[] = [];
  try {
    const url = server.url.replace(/:\d+$/, `:${proxy.local.port}`);
    const attempt = async (): Promise<void> => {
      const begin = performance.now();
      const client = await connect(url, { timeoutMs: 30_000 });
      times.push((performance.now() - begin) / 1000);
      await client.close();
    };
    // A few at a time; each has a socket and so a link of its own.
    for (let i = 0; i < attempts; i += 10) {
      await Promise.all(Array.from({ length: Math.min(10, attempts - i) }, () => attempt().catch(() => {})));
    }
  } finally {
    proxy.close();
    await server.close();
  }
  return judge(times, attempts);
}

/** Handshakes. */
export const A6: Scenario = {
  name: "A6",
  title: "handshakes at 30 % loss each way in bursts of 3, 50 ms: 10 000 in the simulator, 50 over sockets",
  asked: "all succeed; p90 ≤ 4 s (picoquic: p50 0.41 s, p90 3.4 s, max 8.0 s)",
  cells: [simulated("IK"), simulated("XX"), { name: "sockets", isReal: true, run: overSockets }],
};

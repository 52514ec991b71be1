/**
 * A1, A3, A4, A5: uploads over links that lose, are long, reorder, duplicate and damage.
 *
 * @module
 */

import { millis, seconds } from "../../lib/base/time.ts";
import type { LinkProfile } from "../../lib/testing/link.ts";
import type { UploadOptions } from "../../lib/testing/upload_run.ts";
import { hashedUpload, type HashedUploadResult } from "./hashed_upload.ts";
import { type Cell, type CellContext, link, type Outcome, PACKET_OVERHEAD, round, type Scenario } from "./scenario.ts";

const FULL_SIZE = 100_000_000;
const QUICK_SIZE = 4_000_000;
const RATE = 100;

function upload(context: CellContext, options: Omit<UploadOptions, "seed">): HashedUploadResult {
  const { seed, congestion, crypto } = context;
  return hashedUpload({ seed, crypto, ...options, settings: { congestion, ...options.settings } });
}

/** Figures that every upload has. */
function figuresOf(result: HashedUploadResult): Record<string, number | string | boolean> {
  const { stats } = result;
  return {
    exact: result.isExact,
    goodput_mbit: round(result.goodput),
    steady_mbit: round(result.steadyGoodput),
    duration_s: round(result.duration / 1e6),
    lost: result.up.lost + result.up.queueDrops,
    resent_bytes: stats.retransmittedBytes,
    spurious: stats.spuriousLosses,
    ...(result.failure === undefined ? {} : { failure: result.failure }),
  };
}

/** What the link and the formula for congestion avoidance (Mathis) allow to ask for, in Mbit/s. */
function leastGoodput(mss: number, rtt: number, rate: number, loss: number): number {
  if (loss === 0) return 0.85 * rate;
  const mathis = 1.22 * mss * 8 / (rtt * 1000 * Math.sqrt(loss));
  return Math.min(0.7 * mathis, 0.85 * rate * (1 - loss));
}

function a1(lossPercent: number, rtt: number, rate = RATE): Cell {
  const loss = lossPercent / 100;
  return {
    name: `loss=${lossPercent},rtt=${rtt}${rate === RATE ? "" : `,rate=${rate}`}`,
    inGate: rtt === 50 && lossPercent > 0 && lossPercent < 20,
    run: (context): Outcome => {
      const bytes = context.quick ? QUICK_SIZE : FULL_SIZE;
      const result = upload(context, { bytes, profile: link(rtt, rate, { loss }) });
      const mss = result.stats.udpPayload - PACKET_OVERHEAD;
      const least = leastGoodput(mss, rtt, rate, loss);
      const lost = result.up.lost + result.up.queueDrops;
      const mostResent = 1.2 * lost * mss + 0.01 * bytes;
      const { retransmittedBytes } = result.stats;
      return {
        ok: result.isExact && result.goodput >= least && retransmittedBytes <= mostResent,
        figures: figuresOf(result),
        asked: `exact, goodput ≥ ${round(least)} Mbit/s, resent ≤ ${Math.round(mostResent)} bytes`,
      };
    },
  };
}

const LOSSES = [0, 0.1, 1, 5, 20];
const ROUND_TRIPS = [10, 50, 100, 300];

/** Uploads at loss and distance. */
export const A1: Scenario = {
  name: "A1",
  title: "100 MB at 0 to 20 % loss and 10 to 300 ms, 100 Mbit/s; and without loss at 1 Gbit/s",
  asked: "hash equal, one connection; ≥ 85 % of the link without loss, ≥ 0.7 × 1.22·MSS/(RTT·√p) with (at most 85 % " +
    "of what gets through); sent again ≤ 1.2 × lost + 1 %",
  perController: true,
  cells: [a1(0, 10, 1000), ...LOSSES.flatMap((loss) => ROUND_TRIPS.map((rtt) => a1(loss, rtt)))],
};

/** 1.5 × the gates of picoquic's own satellite tests, in seconds; a controller that has none there is only measured. */
const SATELLITE_LIMITS: Readonly<Record<string, readonly [number, number]>> = {
  cubic: [9.75, 11.25],
  bbr: [8.25, 12],
};

function a3(lossPercent: number): Cell {
  return {
    name: `loss=${lossPercent}`,
    run: (context): Outcome => {
      const loss = lossPercent / 100;
      const profile = link(600, 250, { loss });
      const result = upload(context, { bytes: FULL_SIZE, profile, down: { rate: 3 } });
      const limit = SATELLITE_LIMITS[context.congestion]?.[loss === 0 ? 0 : 1];
      return {
        ok: result.isExact && (limit === undefined || result.duration <= seconds(limit)),
        figures: figuresOf(result),
        asked: limit === undefined ? "exact" : `exact, ≤ ${limit} s`,
      };
    },
  };
}

/** Satellite. */
export const A3: Scenario = {
  name: "A3",
  title: "100 MB over a satellite: 600 ms, 250 Mbit/s there, 3 Mbit/s back",
  asked: "CUBIC ≤ 9.75 s without and 11.25 s with 1.56 % loss, BBR ≤ 8.25 and 12 s (1.5 × picoquic's gates)",
  perController: true,
  cells: [a3(0), a3(1.56)],
};

function a4(name: string, profile: Partial<LinkProfile>, inGate = false): Cell {
  return {
    name,
    inGate,
    run: (context): Outcome => {
      const bytes = context.quick ? QUICK_SIZE : 20_000_000;
      let learnt = { spurious: 0, sent: 0 };
      const result = upload(context, {
        bytes,
        profile: link(50, RATE, { queue: 4 << 20, ...profile }),
        onHalf: ({ spuriousLosses, packetsSent }) => learnt = { spurious: spuriousLosses, sent: packetsSent },
      });
      const share = (result.stats.spuriousLosses - learnt.spurious) / (result.stats.packetsSent - learnt.sent);
      return {
        ok: result.isExact && share <= 0.01,
        figures: { ...figuresOf(result), spurious_percent: round(share * 100) },
        asked: "exact, spurious ≤ 1 % of the packets of the second half",
      };
    },
  };
}

/** Reordering. */
export const A4: Scenario = {
  name: "A4",
  title: "reordering: 1 % held back until 3 to 1000 others have overtaken them; 10 % by 5 ms; 50 ms, 100 Mbit/s",
  asked: "exact; spurious retransmissions ≤ 1 % after adaptation (the second half)",
  perController: true,
  cells: [
    ...[3, 10, 100, 1000].map((depth) =>
      a4(`depth=${depth}`, { reorder: 0.01, reorderDepth: depth, reorderDelay: seconds(10) }, depth === 10)
    ),
    // So many others that only the time counts.
    a4("late=5ms", { reorder: 0.1, reorderDepth: 1_000_000, reorderDelay: millis(5) }, true),
  ],
};

function a5(name: string, profile: Partial<LinkProfile>, inGate = false): Cell {
  return {
    name,
    inGate,
    run: (context): Outcome => {
      const bytes = context.quick ? QUICK_SIZE / 4 : 20_000_000;
      const result = upload(context, { bytes, profile: link(50, RATE, profile) });
      const figures = figuresOf(result);
      if (profile.corrupt !== undefined) {
        return {
          ok: result.isExact && result.up.corrupted > 0,
          figures: { ...figures, corrupted: result.up.corrupted },
          asked: "exact: nothing damaged was delivered",
        };
      }
      const clean = upload(context, { bytes, profile: link(50, RATE) });
      const share = result.goodput / clean.goodput;
      return {
        ok: result.isExact && share >= 0.8,
        figures: { ...figures, clean_mbit: round(clean.goodput), share_percent: round(share * 100, 1) },
        asked: "exact, ≥ 80 % of the goodput without duplicates",
      };
    },
  };
}

/** Duplicates and damage. */
export const A5: Scenario = {
  name: "A5",
  title: "20 MB with 20 and 50 % duplicates, and with 1 and 30 % damaged datagrams; 50 ms, 100 Mbit/s",
  asked: "exact; with duplicates ≥ 80 % of the speed without; damaged data never delivered",
  perController: true,
  cells: [
    a5("duplicate=20", { duplicate: 0.2 }),
    a5("duplicate=50", { duplicate: 0.5 }, true),
    a5("corrupt=1", { corrupt: 0.01 }),
    a5("corrupt=30", { corrupt: 0.3 }, true),
  ],
};

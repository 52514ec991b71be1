/**
 * A7: the network is gone for a while, comes and goes, or is almost gone.
 *
 * @module
 */

import { type Micros, micros, seconds } from "../../lib/base/time.ts";
import { blackHole, flapping, type LinkChange, scheduleChanges } from "../../lib/testing/link_schedule.ts";
import { Pair } from "../../lib/testing/pair.ts";
import { type Cell, link, type Outcome, round, type Scenario } from "./scenario.ts";

const RTT = 50;
const RATE = 10;

/** What one return of the network was followed by. */
interface Resumption {
  /** Until the first new byte arrived. */
  readonly after: number;
  /** The pause between two probes that was running when the network returned. */
  readonly pause: number;
}

function a7(
  name: string,
  changes: readonly LinkChange[],
  returns: readonly Micros[],
  bytes: number,
  inGate = false,
): Cell {
  return {
    name,
    inGate,
    run: ({ seed, congestion, crypto }): Outcome => {
      const pair = new Pair({ seed, crypto, profile: link(RTT, RATE), settings: { congestion } });
      const { network, serverTraffic } = pair;
      scheduleChanges(network.clock, [pair.up, pair.down], changes);
      let lastSent = network.now, pause = 0, inFlight = 0;
      network.onSend = (from) => {
        if (from !== pair.client.address) return;
        // Acknowledgements answer the other side's probes, and say nothing about our own.
        const before = inFlight;
        inFlight = pair.client.connections[0]?.bytesInFlight ?? 0;
        if (inFlight <= before) return;
        if (network.now > lastSent) pause = network.now - lastSent;
        lastSent = network.now;
      };
      pair.connect();
      const stream = pair.clientTraffic.send(pair.client, pair.connection, bytes);
      const resumptions: Resumption[] = [];
      for (const at of returns) {
        pair.drive(() => false, micros(at - network.now));
        const before = serverTraffic.delivered, sentBefore = lastSent;
        // The probe that gets through is the first that is sent after the return.
        let running = 0;
        pair.drive(() => {
          if (running === 0 && lastSent > sentBefore) running = pause;
          return serverTraffic.delivered > before;
        }, seconds(60));
        resumptions.push({ after: network.now - at, pause: running });
      }
      const done = pair.drive(() => serverTraffic.delivered === bytes && stream.outcome === "finished", seconds(600));
      const worst = resumptions.reduce((a, b) => (b.after - b.pause > a.after - a.pause ? b : a));
      const exact = done && pair.server.connections.length === 1 && pair.client.ended.length === 0;
      return {
        ok: exact && resumptions.every(({ after, pause }) => after <= pause + RTT * 1000),
        figures: {
          exact,
          returns: resumptions.length,
          resumed_after_s: round(worst.after / 1e6),
          running_pto_s: round(worst.pause / 1e6),
          duration_s: round(network.now / 1e6),
        },
        asked: "exact over one connection, resumed within the probe timeout that was running and a round trip",
      };
    },
  };
}

const FLAP_END = seconds(27);
const FLAP_RETURNS = [7, 14, 21, 28].map((at) => seconds(at));

/** Outages. */
export const A7: Scenario = {
  name: "A7",
  title: "black hole of 3 s; 5 s on and 2 s off; 50 % loss for 20 s; 50 ms, 10 Mbit/s",
  asked: "resumes within one PTO of the return",
  perController: true,
  cells: [
    a7("hole=3s", blackHole(seconds(1), seconds(3)), [seconds(4)], 5_000_000, true),
    a7("flapping=5s,2s", flapping(seconds(5), seconds(2), FLAP_END), FLAP_RETURNS, 30_000_000),
    a7(
      "loss=50,for=20s",
      [{ at: seconds(1), profile: { loss: 0.5 } }, { at: seconds(21), profile: { loss: 0 } }],
      [seconds(21)],
      10_000_000,
      true,
    ),
  ],
};

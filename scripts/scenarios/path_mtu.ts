/**
 * A10: a path that carries less from one moment to the next, and says nothing.
 *
 * @module
 */

import { seconds } from "../../lib/base/time.ts";
import { scheduleChanges } from "../../lib/testing/link_schedule.ts";
import { Pair } from "../../lib/testing/pair.ts";
import { type Cell, link, type Outcome, round, type Scenario } from "./scenario.ts";

/** What an MTU of 1 280 leaves for UDP over IPv4. */
const TUNNEL_UDP_PAYLOAD = 1252;
const RATE = 10;
const SHRINKS_AT = seconds(10);
const RECOVERY_LIMIT = seconds(3);

function a10(rtt: number, direction: "up" | "down", lossPercent: number): Cell {
  return {
    name: `rtt=${rtt},${direction},loss=${lossPercent}`,
    run: ({ seed, congestion, crypto, quick }): Outcome => {
      const bytes = quick ? 15_000_000 : 30_000_000;
      const pair = new Pair({
        seed,
        crypto,
        profile: link(rtt, RATE, { loss: lossPercent / 100 }),
        settings: { congestion, pathMtuDiscovery: "bulk" },
      });
      const { network, client, server } = pair;
      pair.establish();
      scheduleChanges(network.clock, [pair.up, pair.down], [{ at: SHRINKS_AT, profile: { mtu: TUNNEL_UDP_PAYLOAD } }]);
      const isUp = direction === "up";
      const receiver = isUp ? pair.serverTraffic : pair.clientTraffic;
      const connection = isUp ? pair.connection : pair.serverConnection!;
      if (isUp) pair.clientTraffic.send(client, connection, bytes);
      else pair.serverTraffic.send(server, connection, bytes);
      let before = 0, last = 0, lastAt = network.now as number, longest = 0;
      network.clock.wakeAt(SHRINKS_AT, () => before = connection.stats().udpPayload);
      const done = pair.drive(() => {
        const { delivered } = receiver;
        if (delivered > last) {
          if (network.now > SHRINKS_AT) longest = Math.max(longest, network.now - Math.max(lastAt, SHRINKS_AT));
          last = delivered;
          lastAt = network.now;
        }
        return delivered === bytes;
      }, seconds(3600));
      const { udpPayload } = connection.stats();
      const exact = done && server.connections.length === 1 && client.ended.length + server.ended.length === 0;
      return {
        ok: exact && longest <= RECOVERY_LIMIT && before > TUNNEL_UDP_PAYLOAD && udpPayload <= TUNNEL_UDP_PAYLOAD,
        figures: {
          exact,
          payload_before: before,
          payload_after: udpPayload,
          longest_silence_s: round(longest / 1e6),
          duration_s: round(network.now / 1e6),
        },
        asked: `exact over one connection, larger datagrams than ${TUNNEL_UDP_PAYLOAD} before, no silence > 3 s after`,
      };
    },
  };
}

/** Path MTU. */
export const A10: Scenario = {
  name: "A10",
  title: `the path's MTU falls from 1 500 to 1 280 in the middle of a transfer, in silence; ${RATE} Mbit/s`,
  asked: "recovers ≤ 3 s",
  perController: true,
  cells: [50, 300].flatMap((rtt) =>
    (["up", "down"] as const).flatMap((direction) => [0, 1].map((lossPercent) => a10(rtt, direction, lossPercent)))
  ),
};

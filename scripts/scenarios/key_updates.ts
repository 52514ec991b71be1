/**
 * A9: keys that are replaced all the time.
 *
 * @module
 */

import { micros, seconds } from "../../lib/base/time.ts";
import { Pair } from "../../lib/testing/pair.ts";
import type { TransportSettings } from "../../lib/transport/settings.ts";
import { type Cell, link, type Outcome, round, type Scenario } from "./scenario.ts";

/** A key is replaced as soon as the rules allow it. */
const ALWAYS: Partial<TransportSettings> = { keyUpdateInterval: micros(0) };
/** Three probe timeouts and a round trip, 50 ms of which are the way and 25 the acknowledgement's delay, with room for variation. */
const LONGEST_EPOCH_S = 1.5;

function a9(who: string, client: Partial<TransportSettings>, server: Partial<TransportSettings>, inGate = false): Cell {
  return {
    name: `updates=${who}`,
    inGate,
    run: ({ seed, congestion, crypto, quick }): Outcome => {
      const bytes = quick ? 3_000_000 : 100_000_000;
      const pair = new Pair({
        seed,
        crypto,
        profile: link(50, 100, { loss: 0.05, reorder: 0.01, reorderDepth: 20 }),
        settings: { congestion },
        clientSettings: client,
        serverSettings: server,
      });
      pair.connect();
      const stream = pair.clientTraffic.send(pair.client, pair.connection, bytes);
      const { network, serverTraffic } = pair;
      const done = pair.drive(
        () => serverTraffic.delivered === bytes && stream.outcome === "finished",
        seconds(24 * 3600),
      );
      const exact = done && pair.server.connections.length === 1 && pair.client.ended.length === 0;
      const duration = network.now / 1e6;
      const sides = [pair.connection.stats(), pair.serverConnection?.stats() ?? pair.connection.stats()];
      const updates = sides[0].keyUpdatesSent + sides[0].keyUpdatesReceived;
      const unauthentic = sides.reduce((sum, { dropped }) => sum + dropped.unauthentic, 0);
      const tooLate = sides.reduce((sum, { dropped }) => sum + dropped.oldKeys, 0);
      return {
        ok: exact && unauthentic === 0 && tooLate === 0 && updates >= Math.floor(duration / LONGEST_EPOCH_S),
        figures: { exact, key_updates: updates, unauthentic, too_late: tooLate, duration_s: round(duration) },
        asked: `exact, nothing unauthentic or too late for its keys, an update every ${LONGEST_EPOCH_S} s at least`,
      };
    },
  };
}

/** Key updates. */
export const A9: Scenario = {
  name: "A9",
  title: "100 MB with a key update as often as allowed, 5 % loss, reordering; 50 ms, 100 Mbit/s",
  asked: "no authentication failure, nothing lost",
  perController: true,
  cells: [a9("sender", ALWAYS, {}), a9("receiver", {}, ALWAYS), a9("both", ALWAYS, ALWAYS, true)],
};

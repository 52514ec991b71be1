/**
 * A8: a client whose address changes in the middle of a transfer.
 *
 * @module
 */

import { address } from "../../lib/base/address.ts";
import { micros, millis, seconds } from "../../lib/base/time.ts";
import { CLIENT_ADDRESS, Pair, SERVER_ADDRESS } from "../../lib/testing/pair.ts";
import { type Cell, type CellContext, link, type Outcome, round, type Scenario } from "./scenario.ts";

const BYTES = 10_000_000;
/** So slow that there are four moves. */
const RATE = 5;
const FIRST_MOVE = seconds(1);
const MOVE_EVERY = seconds(5);
/** How often a client that only receives says something: nobody else could know where it is. */
const PING_EVERY = millis(200);

interface MoveKind {
  /** Whether the client's connections are told, as when it joins another network, or not, as behind a NAT. */
  readonly told: boolean;
  readonly direction: "up" | "down";
  readonly lossPercent: number;
}

function move(context: CellContext, { told, direction, lossPercent }: MoveKind): Outcome {
  const { seed, congestion, crypto, quick } = context;
  const bytes = quick ? BYTES / 5 : BYTES;
  const profile = link(50, RATE, { loss: lossPercent / 100 });
  const pair = new Pair({ seed, crypto, profile, settings: { congestion } });
  const { network, client, server } = pair;
  pair.establish();
  const begin = network.now;
  const [sender, receiver] = direction === "up"
    ? [pair.clientTraffic, pair.serverTraffic]
    : [pair.serverTraffic, pair.clientTraffic];
  if (direction === "up") sender.send(client, pair.connection, bytes);
  else sender.send(server, pair.serverConnection!, bytes);
  const ping = (): void => {
    if (pair.connection.state !== "established") return;
    pair.connection.ping();
    client.pump(pair.connection);
    network.clock.wakeAt(micros(network.now + PING_EVERY), ping);
  };
  if (direction === "down" && !told) ping();
  let moves = 0, movedAt = 0, waitingFor = -1, longest = 0;
  const done = pair.drive(() => {
    const { delivered } = receiver;
    if (waitingFor >= 0 && delivered > waitingFor) {
      longest = Math.max(longest, network.now - movedAt);
      waitingFor = -1;
    }
    if (delivered < bytes && network.now - begin >= FIRST_MOVE + moves * MOVE_EVERY) {
      moves++;
      // To another host and to another port by turns.
      const place = moves % 2 === 1 ? address(`10.0.1.${moves}`, 40_001) : address(CLIENT_ADDRESS.host, 40_001 + moves);
      client.moveTo(place, [SERVER_ADDRESS], told);
      movedAt = network.now;
      waitingFor = delivered;
    }
    return delivered === bytes;
  }, seconds(600));
  const { paths } = pair.serverConnection!.stats();
  const connections = server.connections.length;
  return {
    ok: done && connections === 1 && client.ended.length + server.ended.length === 0 && moves >= (quick ? 1 : 4) &&
      paths.pathsValidated >= paths.migrations && pair.serverConnection!.remote.key === client.address.key,
    figures: {
      exact: done,
      connections,
      moves,
      migrations: paths.migrations,
      paths_validated: paths.pathsValidated,
      longest_silence_s: round(longest / 1e6),
      duration_s: round((network.now - begin) / 1e6),
    },
    asked:
      "exact over one connection; each path validated first; ≤ 3× to an address before (an invariant of every step)",
  };
}

function a8(kind: MoveKind): Cell {
  const { told, direction, lossPercent } = kind;
  return {
    name: `${told ? "told" : "nat"},${direction},loss=${lossPercent}`,
    inGate: !told && direction === "up" && lossPercent === 5,
    run: (context) => move(context, kind),
  };
}

/** Moves. */
export const A8: Scenario = {
  name: "A8",
  title:
    "the client's address changes at 1 s and every 5 s during 10 MB up or down, told or behind a NAT; 50 ms, 5 Mbit/s",
  asked: "one connection; path validated first; ≤ 3× before",
  perController: true,
  cells: [true, false].flatMap((told) =>
    (["up", "down"] as const).flatMap((direction) => [0, 5].map((lossPercent) => a8({ told, direction, lossPercent })))
  ),
};

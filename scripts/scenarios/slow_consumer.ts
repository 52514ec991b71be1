/**
 * A14: a receiver that reads slowly, or not at all.
 *
 * @module
 */

import { type Micros, micros, seconds } from "../../lib/base/time.ts";
import { Pair } from "../../lib/testing/pair.ts";
import type { IncomingStream } from "../../lib/testing/pattern_traffic.ts";
import { type Cell, type CellContext, link, type Outcome, round, type Scenario } from "./scenario.ts";

const RATE = 50;
const STUCK_BYTES = 100_000_000;

/** What a run with or without the slow stream came to. */
interface Run {
  readonly done: boolean;
  /** How long the other stream took. */
  readonly duration: Micros;
  /** Most bytes of the slow stream that both sides together kept: accepted from the writer, and not yet read. */
  readonly mostKept: number;
  readonly read: number;
  /** What they may keep. */
  readonly limit: number;
}

function run(context: CellContext, bytesPerSecond: number, withSlow: boolean): Run {
  const { seed, congestion, crypto, quick } = context;
  const otherBytes = quick ? 1_000_000 : 10_000_000;
  const pair = new Pair({ seed, crypto, profile: link(40, RATE), settings: { congestion } });
  const { network, server, serverTraffic } = pair;
  pair.establish();
  const slow = withSlow ? pair.clientTraffic.send(pair.client, pair.connection, STUCK_BYTES) : undefined;
  serverTraffic.leavesUnread = (stream) => stream.id === slow?.id;
  let mostKept = 0, mostWindow = 0, read = 0;
  const note = (): void => {
    mostWindow = Math.max(mostWindow, pair.connection.congestionWindow);
    mostKept = Math.max(mostKept, (slow?.written ?? 0) - read);
  };
  const readSlowly = (stream: IncomingStream): void => {
    const size = serverTraffic.take(server, stream);
    read += size;
    const pause = size > 0 ? size / bytesPerSecond : 0.1;
    network.clock.wakeAt(micros(network.now + pause * 1e6), () => readSlowly(stream));
  };
  // The window of the slow stream fills up first.
  pair.drive(() => (note(), false), seconds(5));
  const stream = serverTraffic.incoming.find(({ id }) => id === slow?.id);
  if (stream !== undefined && bytesPerSecond > 0) readSlowly(stream);
  const begin = network.now;
  const other = pair.clientTraffic.send(pair.client, pair.connection, otherBytes);
  const done = pair.drive(() => {
    note();
    return serverTraffic.incoming.some(({ id, received }) => id === other.id && received === otherBytes);
  }, seconds(600));
  const duration = micros(network.now - begin);
  if (bytesPerSecond > 0) pair.drive(() => (note(), false), seconds(60));
  // The receiver's window may grow with what is read in a round trip, which is next to nothing here.
  const { maxStreamData, sendBuffer } = pair.client.endpoint.settings;
  return {
    done,
    duration,
    mostKept,
    read,
    limit: maxStreamData + Math.max(sendBuffer, 3 * mostWindow),
  };
}

function a14(bytesPerSecond: number): Cell {
  return {
    name: `reads=${bytesPerSecond}`,
    inGate: bytesPerSecond > 0,
    run: (context): Outcome => {
      const alone = run(context, 0, false);
      const beside = run(context, bytesPerSecond, true);
      const slower = beside.duration / alone.duration;
      return {
        ok: beside.done && beside.mostKept <= beside.limit && slower <= 1.2 &&
          (bytesPerSecond === 0 || beside.read > 0),
        figures: {
          kept_bytes: beside.mostKept,
          read_bytes: beside.read,
          other_s: round(beside.duration / 1e6),
          other_alone_s: round(alone.duration / 1e6),
          times: round(slower, 2),
        },
        asked:
          `both sides keep ≤ window and send buffer (${beside.limit} bytes), another stream takes ≤ 1.2 times as long as alone`,
      };
    },
  };
}

/** Slow consumers. */
export const A14: Scenario = {
  name: "A14",
  title: "a stream of 100 MB whose receiver reads nothing, or 1 KB/s, beside one of 10 MB; 40 ms, 50 Mbit/s",
  asked: "sender memory ≤ window; other streams unaffected",
  cells: [a14(0), a14(1024)],
};

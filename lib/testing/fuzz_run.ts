/**
 * Bad datagrams, by the thousand, into endpoints that have an honest transfer to do.
 *
 * @module
 */

import { address } from "../base/address.ts";
import { type Micros, micros, seconds } from "../base/time.ts";
import type { EndpointCounters } from "../transport/endpoint.ts";
import { DatagramFuzzer } from "./datagram_fuzzer.ts";
import { Pair, type PairOptions } from "./pair.ts";
import type { SimulatedHost } from "./simulated_network.ts";

/** How much of what. */
export interface FuzzOptions extends PairOptions {
  /** Bad datagrams. */
  readonly count: number;
  /** Pause between two of them; 100 µs by default. */
  readonly pause?: Micros;
}

/** How it went. That nothing was thrown goes without saying. */
export interface FuzzResult {
  /** The honest transfer arrived, over the connection on which it began. */
  readonly complete: boolean;
  readonly sent: number;
  readonly sentBytes: number;
  /** What came back to the attacker's own address. */
  readonly answers: number;
  readonly answeredBytes: number;
  readonly honestBytes: number;
  readonly duration: Micros;
  /** Most connections that the server held at once. */
  readonly mostConnections: number;
  readonly server: Readonly<EndpointCounters>;
  readonly client: Readonly<EndpointCounters>;
}

const ATTACKER = address("10.6.6.6", 666);
const PAUSE = micros(100);
/** Honest bytes for each bad datagram, so that the transfer lasts about as long as the attack. */
const HONEST_BYTES_PER_DATAGRAM = 200;
const LEAST_HONEST_BYTES = 100_000;

/**
 * Lets an attacker send `count` datagrams, from an address of its own to both sides, and in the name of each side to the other, while the client
 * uploads something to the server. Throws an `InvariantError` if a rule is broken, and whatever an endpoint throws.
 */
export function runFuzz(options: FuzzOptions): FuzzResult {
  const { count, pause = PAUSE } = options;
  const pair = new Pair(options);
  const { network, client, server } = pair;
  const random = network.random.fork();
  const fuzzer = new DatagramFuzzer(random.fork());
  let sent = 0, sentBytes = 0, answers = 0, answeredBytes = 0, mostConnections = 0;
  const attacker: SimulatedHost = {
    address: ATTACKER,
    receive: (_from, bytes) => {
      answers++;
      answeredBytes += bytes.length;
      fuzzer.learn(bytes);
    },
  };
  network.attach(attacker);
  network.onSend = (_from, _to, bytes) => fuzzer.learn(bytes);
  if (!pair.establish()) throw new Error("the pair did not connect");
  const established = network.now;

  const attack = (): void => {
    const bytes = fuzzer.next();
    sent++;
    // Straight into the endpoints: a link would only get in the way.
    const target = random.chance(0.7) ? server : client;
    const other = target === server ? client : server;
    if (random.chance(0.7)) {
      sentBytes += bytes.length;
      target.receive(ATTACKER, bytes);
    } else target.receive(other.address, bytes);
    mostConnections = Math.max(mostConnections, server.endpoint.connectionCount);
    if (sent < count) network.clock.wakeAt(micros(network.now + pause), attack);
  };
  attack();
  const honestBytes = Math.max(LEAST_HONEST_BYTES, count * HONEST_BYTES_PER_DATAGRAM);
  const { connection, clientTraffic, serverTraffic } = pair;
  clientTraffic.send(client, connection, honestBytes);
  const isOver = (): boolean => connection.closeReason !== undefined;
  const isDone = (): boolean => sent === count && serverTraffic.delivered === honestBytes && clientTraffic.open === 0;
  pair.drive(() => isOver() || isDone(), micros(count * pause + seconds(600)));
  return {
    complete: isDone() && !isOver(),
    sent,
    sentBytes,
    answers,
    answeredBytes,
    honestBytes,
    duration: micros(network.now - established),
    mostConnections,
    server: server.endpoint.counters,
    client: client.endpoint.counters,
  };
}

/**
 * Bad datagrams, by the thousand, into endpoints that have an honest transfer to do.
 *
 * @module
 */

import { address } from "../base/address.ts";
import { type Micros, micros, seconds } from "../base/time.ts";
import { Endpoint, type EndpointCounters } from "../transport/endpoint.ts";
import type { ResumptionTicket } from "../transport/resumed_handshake.ts";
import { MIN_INITIATOR_DATAGRAM_SIZE } from "../wire/constants.ts";
import { makeStreamId, StreamKind, StreamRole } from "../wire/stream_id.ts";
import { DatagramFuzzer } from "./datagram_fuzzer.ts";
import { Pair, type PairOptions, SERVER_ADDRESS } from "./pair.ts";
import { Pattern } from "./pattern.ts";
import { patternOf } from "./pattern_traffic.ts";
import type { SimulatedHost } from "./simulated_network.ts";

/** How much of what. */
export interface FuzzOptions extends PairOptions {
  /** Bad datagrams. */
  readonly count: number;
  /** Pause between two of them; 100 µs by default. */
  readonly pause?: Micros;
  /** Whether the honest connection is a resumed one, and the attacker has hellos with good tickets that nobody has used. */
  readonly resumed?: boolean;
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
const UNUSED_HELLOS = 3;
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
  if (options.resumed) learnResumption(pair, fuzzer);
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
  const hasArrived = (): boolean =>
    serverTraffic.incoming.some(({ received, outcome }) => received === honestBytes && outcome === "finished");
  const isDone = (): boolean => sent === count && clientTraffic.open === 0 && hasArrived();
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

/** Earns tickets: one for the pair's next connection, and others for hellos that only the fuzzer sees. */
function learnResumption(pair: Pair, fuzzer: DatagramFuzzer): void {
  const { network, client, server, clientTraffic } = pair;
  const peerKey = server.identity.publicKey;
  const tickets: ResumptionTicket[] = [];
  clientTraffic.onOther = (_node, _connection, event) => {
    if (event.type === "ticket") tickets.push(event.ticket);
  };
  const connection = client.connect(SERVER_ADDRESS, { peerKey, tickets: UNUSED_HELLOS + 1 });
  if (!network.run(() => tickets.length > UNUSED_HELLOS, seconds(60))) throw new Error("there were no tickets");
  clientTraffic.onOther = undefined;
  connection.close(network.now, 0, "");
  client.pump(connection);
  pair.ticket = tickets.pop();
  const out = new Uint8Array(MIN_INITIATOR_DATAGRAM_SIZE);
  // Should it be acted upon, it has to be what the pattern says.
  const early = new Pattern().piece(
    patternOf(makeStreamId(0, StreamRole.INITIATOR, StreamKind.BIDIRECTIONAL), 0),
    0,
    100,
  );
  for (const ticket of tickets) {
    const { identity } = client;
    const thief = new Endpoint({ identity, crypto: pair.crypto, random: network.random.fork(), accept: false });
    const unsent = thief.connect(network.now, SERVER_ADDRESS, { peerKey, ticket, held: true });
    unsent.begin(network.now, early);
    fuzzer.learn(out.subarray(0, unsent.pollTransmit(network.now, out)));
  }
}

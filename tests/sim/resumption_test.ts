import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, address } from "../../lib/base/address.ts";
import { concatBytes } from "../../lib/base/bytes.ts";
import { type Micros, micros, seconds } from "../../lib/base/time.ts";
import { HostilePeer } from "../../lib/testing/hostile_peer.ts";
import { Invariants } from "../../lib/testing/invariants.ts";
import type { LinkProfile } from "../../lib/testing/link.ts";
import { SimulatedNetwork } from "../../lib/testing/simulated_network.ts";
import { type NodeApplication, SimulatedNode } from "../../lib/testing/simulated_node.ts";
import type { Connection } from "../../lib/transport/connection.ts";
import type { ConnectOptions } from "../../lib/transport/initiator_plan.ts";
import type { ConnectionEvent } from "../../lib/transport/events.ts";
import type { ResumptionTicket } from "../../lib/transport/resumed_handshake.ts";
import type { TransportSettings } from "../../lib/transport/settings.ts";
import type { StreamId } from "../../lib/wire/stream_id.ts";
import { RejectCode, TransportError } from "../../lib/wire/error_codes.ts";
import { encodeReject } from "../../lib/wire/handshake_message.ts";
import { writeHandshakePacket } from "../../lib/wire/packet_header.ts";
import { HandshakeKind, WIRE_VERSION } from "../../lib/wire/constants.ts";
import { testSeed } from "../support/seed.ts";
import { crypto, handshakeKind, isHandshake, millis } from "./shared.ts";

const CLIENT = address("10.0.0.1", 40001), SERVER = address("10.0.0.2", 9000), STRANGER = address("10.6.6.6", 666);
const QUESTION = new TextEncoder().encode("what was it?");
const DELAY = millis(25);

/** Answers every stream of a peer with what came on it, once it has come to its end. */
class Echo implements NodeApplication {
  /** What was acted upon, and whether it came early. */
  readonly requests: { readonly bytes: Uint8Array; readonly early: boolean }[] = [];
  readonly #parts = new Map<Connection, Map<StreamId, Uint8Array[]>>();

  onEvent(_node: SimulatedNode, connection: Connection, event: ConnectionEvent): void {
    if (event.type !== "readable") return;
    const { id } = event;
    const streams = this.#parts.get(connection) ?? new Map<StreamId, Uint8Array[]>();
    this.#parts.set(connection, streams);
    const parts = streams.get(id) ?? [];
    streams.set(id, parts);
    for (let piece; (piece = connection.read(id)) !== undefined;) parts.push(piece);
    if (!connection.readFinished(id)) return;
    const bytes = concatBytes(...parts);
    this.requests.push({ bytes, early: connection.earlyStream === id });
    connection.write(id, bytes, true);
  }
}

/** Keeps tickets, and what is answered. */
class Asker implements NodeApplication {
  readonly tickets: ResumptionTicket[] = [];
  answered: Micros | undefined;
  answer: Uint8Array = new Uint8Array(0);
  /** What to ask on an ordinary stream if it was not taken early. */
  question: Uint8Array | undefined;

  onEvent(node: SimulatedNode, connection: Connection, event: ConnectionEvent): void {
    if (event.type === "ticket") this.tickets.push(event.ticket);
    else if (event.type === "established") {
      if (this.question === undefined || connection.earlyStream !== undefined) return;
      connection.write(connection.openStream(false, 1) as StreamId, this.question, true);
    } else if (event.type === "readable") {
      for (let piece; (piece = connection.read(event.id)) !== undefined;) this.answer = concatBytes(this.answer, piece);
      if (connection.readFinished(event.id)) this.answered = node.network.now;
    }
  }
}

interface World {
  readonly network: SimulatedNetwork;
  readonly client: SimulatedNode;
  server: SimulatedNode;
  readonly echo: Echo;
  readonly asker: Asker;
  /** Puts another process in the server's place: the same identity, none of its memory. */
  restart(): void;
}

interface WorldOptions {
  readonly seed?: number;
  readonly profile?: Partial<LinkProfile>;
  readonly serverSettings?: Partial<TransportSettings>;
  readonly authorize?: (peerKey: Uint8Array) => boolean;
}

function makeWorld(options: WorldOptions = {}): World {
  const network = new SimulatedNetwork({ seed: options.seed ?? 1, profile: { delay: DELAY, ...options.profile } });
  const invariants = new Invariants(() => network.now);
  const echo = new Echo(), asker = new Asker();
  const serverOptions = {
    address: SERVER,
    crypto,
    invariants,
    application: echo,
    settings: options.serverSettings,
    authorize: options.authorize,
  };
  const client = new SimulatedNode(network, { address: CLIENT, crypto, invariants, application: asker, accept: false });
  const server = new SimulatedNode(network, serverOptions);
  const world: World = {
    network,
    client,
    server,
    echo,
    asker,
    restart: () => world.server = world.server.restart(echo),
  };
  return world;
}

/** Connects in full, asks for tickets, and waits for them. */
function earnTickets(world: World, count = 2): ResumptionTicket[] {
  const { network, client, server, asker } = world;
  const connection = client.connect(SERVER, { peerKey: server.identity.publicKey, tickets: count });
  assert.ok(network.run(() => asker.tickets.length === count, seconds(30)), `${asker.tickets.length} tickets`);
  connection.close(network.now, 0, "");
  client.pump();
  network.run(() => false, seconds(1));
  return [...asker.tickets];
}

/** Begins a connection with a ticket and asks at once. */
function askEarly(world: World, ticket: ResumptionTicket, options: ConnectOptions = {}): Connection {
  const { network, client, server, asker } = world;
  asker.question = QUESTION;
  asker.answered = undefined;
  asker.answer = new Uint8Array(0);
  const connection = client.connect(SERVER, { peerKey: server.identity.publicKey, ticket, held: true, ...options });
  connection.begin(network.now, QUESTION);
  client.pump(connection);
  return connection;
}

/** Lets a time pass in which nothing need happen. */
function pass(world: World, duration: Micros): void {
  const { network } = world, end = micros(network.now + duration);
  network.clock.wakeAt(end, () => {});
  network.run(() => network.now >= end, duration);
}

/** Every datagram that the client sends from now on. */
function record(world: World): Uint8Array[] {
  const sent: Uint8Array[] = [];
  world.network.onSend = (from, _to, bytes) => {
    if (from === CLIENT) sent.push(bytes.slice());
  };
  return sent;
}

test("a question in the hello of a resumed connection is answered after exactly one round trip", () => {
  const world = makeWorld();
  const [ticket] = earnTickets(world);
  const begun = world.network.now;
  const connection = askEarly(world, ticket);
  assert.ok(world.network.run(() => world.asker.answered !== undefined, seconds(5)));
  assert.equal(world.asker.answered! - begun, 2 * DELAY);
  assert.deepEqual(world.asker.answer, QUESTION);
  assert.deepEqual(world.echo.requests, [{ bytes: QUESTION, early: true }]);
  assert.deepEqual([connection.pattern, connection.earlyStream], ["NNpsk0", 0]);
  assert.deepEqual(connection.peerKey, world.server.identity.publicKey);
  assert.deepEqual(world.server.connections.at(-1)!.peerKey, world.client.identity.publicKey);
  world.network.run(() => false, seconds(1));
  assert.equal(connection.confirmed, true);
  assert.equal(connection.stats().openStreams + world.server.connections.at(-1)!.stats().openStreams, 0);
  const { ticketsIssued, ticketsAccepted, earlyDataAccepted } = world.server.endpoint.counters;
  assert.deepEqual([ticketsIssued, ticketsAccepted, earlyDataAccepted], [2, 1, 1]);
});

test("the answer to early data that is larger than three hellos waits for the address to be proven, and arrives whole", () => {
  const world = makeWorld();
  const [ticket] = earnTickets(world);
  world.server.application = {
    onEvent: (_node, connection, event) => {
      if (event.type === "readable") connection.write(event.id, new Uint8Array(200_000).fill(7), true);
    },
  };
  askEarly(world, ticket);
  assert.ok(world.network.run(() => world.asker.answered !== undefined, seconds(5)));
  assert.equal(world.asker.answer.length, 200_000);
});

test("a resumed connection without early data is like any other, and earns tickets of its own", () => {
  const world = makeWorld();
  const [first] = earnTickets(world, 1);
  const { network, client, server, asker } = world;
  asker.question = QUESTION;
  const connection = client.connect(SERVER, { peerKey: server.identity.publicKey, ticket: first, tickets: 1 });
  assert.ok(network.run(() => asker.answered !== undefined && asker.tickets.length === 2, seconds(5)));
  assert.deepEqual([connection.pattern, connection.earlyStream], ["NNpsk0", undefined]);
  askEarly(world, asker.tickets[1]);
  assert.ok(network.run(() => asker.answered !== undefined, seconds(5)));
  assert.deepEqual(world.echo.requests.map(({ early }) => early), [false, true]);
});

test("tickets that are lost on the way are sent again, and nobody gets more than were asked for", () => {
  const world = makeWorld({ seed: testSeed, profile: { loss: 0.3 }, serverSettings: { maxTickets: 16 } });
  const tickets = earnTickets(world, 12);
  assert.equal(new Set(tickets.map(({ psk }) => psk.join())).size, 12, "each has a secret of its own");
});

test("a node that gives no tickets gives none, and one that is not asked neither", () => {
  const world = makeWorld({ serverSettings: { maxTickets: 0 } });
  world.client.connect(SERVER, { peerKey: world.server.identity.publicKey, tickets: 4 });
  world.network.run(() => false, seconds(1));
  assert.deepEqual([world.asker.tickets.length, world.server.endpoint.counters.ticketsIssued], [0, 0]);
  const other = makeWorld();
  other.client.connect(SERVER, { peerKey: other.server.identity.publicKey });
  other.network.run(() => false, seconds(1));
  assert.equal(other.server.endpoint.counters.ticketsIssued, 0);
});

test("a ticket that was used before leads to a full handshake, and the question is asked anew there", () => {
  const world = makeWorld();
  const [ticket] = earnTickets(world);
  askEarly(world, ticket);
  assert.ok(world.network.run(() => world.asker.answered !== undefined, seconds(5)));
  const begun = world.network.now;
  const connection = askEarly(world, ticket);
  assert.ok(world.network.run(() => world.asker.answered !== undefined, seconds(5)));
  assert.deepEqual([connection.pattern, connection.earlyStream], ["IK", undefined]);
  assert.equal(world.asker.answered! - begun, 6 * DELAY, "the rejection, the handshake, the question");
  assert.deepEqual(world.echo.requests.map(({ early }) => early), [true, false]);
  assert.equal(world.server.endpoint.counters.ticketsUsed, 1);
});

test("copies of a hello with early data are acted upon once: at once, later, from elsewhere, after the end, after a restart", () => {
  const world = makeWorld({ profile: { duplicate: 1 } });
  const [ticket] = earnTickets(world);
  const sent = record(world);
  const connection = askEarly(world, ticket);
  const hello = sent[0];
  const replay = (from: Address): void => {
    world.network.send(from, SERVER, hello);
    world.network.run(() => false, millis(200));
  };
  world.network.send(CLIENT, SERVER, hello);
  world.network.send(STRANGER, SERVER, hello);
  assert.ok(world.network.run(() => world.asker.answered !== undefined, seconds(5)));
  for (const from of [CLIENT, STRANGER]) replay(from);
  assert.equal(world.server.endpoint.counters.connectionsAccepted, 2, "the one that earned the ticket, and this one");
  connection.close(world.network.now, 0, "");
  world.client.pump();
  world.network.run(() => false, seconds(5));
  assert.equal(world.server.endpoint.connectionCount, 0, "forgotten");
  for (const from of [CLIENT, STRANGER]) replay(from);
  assert.ok(world.server.endpoint.counters.ticketsUsed >= 4, `${world.server.endpoint.counters.ticketsUsed}`);
  world.restart();
  for (const from of [CLIENT, STRANGER]) replay(from);
  assert.deepEqual([world.echo.requests.length, world.server.endpoint.connectionCount], [1, 0]);
  assert.ok(world.server.endpoint.counters.ticketsUnknown >= 2);
});

test("a hello that a thief of datagrams replays first costs its owner the ticket, not the answer", () => {
  const world = makeWorld();
  const [ticket] = earnTickets(world);
  const link = world.network.link(CLIENT, SERVER);
  link.intercept = (bytes) => {
    world.network.send(STRANGER, SERVER, bytes.slice());
    link.intercept = undefined;
    return millis(50);
  };
  const connection = askEarly(world, ticket);
  assert.ok(world.network.run(() => world.asker.answered !== undefined, seconds(5)));
  assert.deepEqual([connection.pattern, world.echo.requests.map(({ early }) => early)], ["IK", [true, false]]);
  world.network.run(() => false, seconds(60));
  assert.equal(world.server.endpoint.halfOpenCount, 0, "what the thief began has come to nothing");
});

test("a node that asks for cookies gets the early data with the cookie, once, and the ticket is still good", () => {
  const world = makeWorld({ serverSettings: { retry: "always" } });
  const [ticket] = earnTickets(world);
  const begun = world.network.now;
  const connection = askEarly(world, ticket);
  assert.ok(world.network.run(() => world.asker.answered !== undefined, seconds(5)));
  assert.equal(world.asker.answered! - begun, 4 * DELAY);
  assert.deepEqual([connection.pattern, connection.stats().handshakeRetries], ["NNpsk0", 1]);
  assert.deepEqual(world.echo.requests, [{ bytes: QUESTION, early: true }]);
  const largest = world.asker.tickets[1];
  const held = world.client.connect(SERVER, { peerKey: world.server.identity.publicKey, ticket: largest, held: true });
  held.begin(world.network.now, new Uint8Array(held.earlyCapacity).fill(7));
  world.client.pump(held);
  assert.ok(world.network.run(() => world.echo.requests.length === 2, seconds(5)), "the largest one that there can be");
});

test("a cookie can be asked for again when a used ticket leads to a full handshake", () => {
  const world = makeWorld({ serverSettings: { retry: "always" } });
  const [ticket] = earnTickets(world);
  for (const pattern of ["NNpsk0", "IK"]) {
    const connection = askEarly(world, ticket);
    assert.ok(world.network.run(() => world.asker.answered !== undefined, seconds(5)));
    assert.equal(connection.pattern, pattern);
  }
});

test("after a restart of the responder tickets are unknown, and the initiator makes a full handshake by itself", () => {
  const world = makeWorld();
  const [first, second] = earnTickets(world);
  world.restart();
  for (const ticket of [first, second]) {
    const connection = askEarly(world, ticket, { tickets: 1 });
    assert.ok(world.network.run(() => world.asker.answered !== undefined, seconds(5)));
    assert.equal(connection.pattern, "IK");
  }
  assert.equal(world.server.endpoint.counters.ticketsUnknown, 2);
  world.network.run(() => world.asker.tickets.length === 4, seconds(1));
  const connection = askEarly(world, world.asker.tickets[3]);
  assert.ok(world.network.run(() => world.asker.answered !== undefined, seconds(5)));
  assert.equal(connection.pattern, "NNpsk0", "with a ticket of the new process");
});

test("a ticket is refused once its lifetime is over", () => {
  const world = makeWorld({ serverSettings: { ticketLifetime: seconds(100) } });
  const [early, late] = earnTickets(world);
  pass(world, seconds(90));
  const before = askEarly(world, early);
  assert.ok(world.network.run(() => world.asker.answered !== undefined, seconds(5)));
  assert.equal(before.pattern, "NNpsk0");
  pass(world, seconds(20));
  const connection = askEarly(world, late);
  assert.ok(world.network.run(() => world.asker.answered !== undefined, seconds(5)));
  assert.deepEqual([connection.pattern, world.server.endpoint.counters.ticketsExpired], ["IK", 1]);
});

test("whoever lives on tickets alone has to prove his key anew after a day", () => {
  const world = makeWorld({ serverSettings: { ticketLifetime: seconds(20 * 3600) } });
  let [ticket] = earnTickets(world, 1);
  const patterns: string[] = [];
  for (let hour = 0; hour < 48; hour += 12) {
    pass(world, seconds(12 * 3600));
    const before = world.asker.tickets.length;
    const connection = askEarly(world, ticket, { tickets: 1 });
    assert.ok(world.network.run(() => world.asker.answered !== undefined, seconds(5)));
    world.network.run(() => world.asker.tickets.length > before, seconds(1));
    patterns.push(`${connection.pattern} ${world.asker.tickets.length - before}`);
    ticket = world.asker.tickets.at(-1)!;
  }
  assert.deepEqual(patterns, ["NNpsk0 1", "NNpsk0 0", "IK 1", "NNpsk0 1"]);
});

test("early data of a peer that is not welcome any more is not acted upon, and the peer is told at the end of the handshake", () => {
  let welcome = true, asked = 0;
  const world = makeWorld({
    authorize: () => {
      asked++;
      return welcome;
    },
  });
  const [ticket] = earnTickets(world);
  welcome = false;
  asked = 0;
  askEarly(world, ticket);
  assert.ok(world.network.run(() => world.client.ended.length === 2, seconds(5)));
  const { reason } = world.client.ended[1];
  assert.deepEqual([reason.by, reason.code], ["peer", TransportError.NOT_ALLOWED]);
  assert.deepEqual([world.echo.requests.length, asked], [0, 1]);
  assert.equal(world.server.endpoint.counters.earlyDataRefused, 1);
});

test("a node that takes no early data resumes all the same, and gets the question on a stream", () => {
  const world = makeWorld({ serverSettings: { acceptEarlyData: false } });
  const [ticket] = earnTickets(world);
  const begun = world.network.now;
  const connection = askEarly(world, ticket);
  assert.ok(world.network.run(() => world.asker.answered !== undefined, seconds(5)));
  assert.deepEqual([connection.pattern, connection.earlyStream], ["NNpsk0", undefined]);
  assert.deepEqual(world.echo.requests.map(({ early }) => early), [false]);
  assert.equal(world.asker.answered! - begun, 4 * DELAY);
});

test("none of 50 resumed questions fails at 30 % loss each way, and each answer is right", () => {
  for (let seed = testSeed; seed < testSeed + 50; seed++) {
    const world = makeWorld({ seed });
    const [ticket] = earnTickets(world);
    const lossy = { loss: 0.3, duplicate: 0.2, jitter: millis(20) };
    for (const link of [world.network.link(CLIENT, SERVER), world.network.link(SERVER, CLIENT)]) {
      link.profile = { ...link.profile, ...lossy };
    }
    askEarly(world, ticket);
    assert.ok(world.network.run(() => world.asker.answered !== undefined, seconds(60)), `seed ${seed}`);
    assert.deepEqual(world.asker.answer, QUESTION, `seed ${seed}`);
    const early = world.echo.requests.filter(({ early }) => early).length;
    assert.ok(early <= 1, `seed ${seed}: ${early} times early`);
  }
});

test("a flood of hellos does not push a resumed connection out before it is confirmed", () => {
  const world = makeWorld({ serverSettings: { maxHalfOpen: 2, retry: "never" } });
  const [ticket] = earnTickets(world);
  const connection = askEarly(world, ticket);
  world.network.run(() => world.echo.requests.length === 1, seconds(1));
  for (let i = 0; i < 10; i++) {
    const peer = new HostilePeer(world.network, { address: address("10.6.6.6", 1000 + i), crypto, finishes: false });
    peer.connect(SERVER, world.server.identity.publicKey);
    world.network.run(() => false, millis(1));
  }
  assert.ok(world.network.run(() => connection.confirmed && world.asker.answered !== undefined, seconds(1)));
  assert.equal(world.client.ended.length, 1, "the one that earned the ticket");
});

test("a hello that is repeated because its answer got lost gets the answer to the early data again, too", () => {
  const world = makeWorld();
  const [ticket] = earnTickets(world);
  const down = world.network.link(SERVER, CLIENT);
  down.intercept = () => {
    down.intercept = undefined;
    return "drop";
  };
  const begun = world.network.now;
  askEarly(world, ticket);
  assert.ok(world.network.run(() => world.asker.answered !== undefined, seconds(5)));
  assert.equal(world.asker.answered! - begun, millis(300) + 2 * DELAY);
  assert.equal(world.echo.requests.length, 1);
});

test("a responder that does not answer tickets at all gets a full handshake after three hellos", () => {
  const world = makeWorld();
  const [ticket] = earnTickets(world);
  world.network.link(CLIENT, SERVER).intercept = (bytes) =>
    isHandshake(bytes) && handshakeKind(bytes) === HandshakeKind.INITIATOR_HELLO && bytes[32 + 35] === 3
      ? "drop"
      : "pass";
  const begun = world.network.now;
  const connection = askEarly(world, ticket);
  assert.ok(world.network.run(() => world.asker.answered !== undefined, seconds(10)));
  assert.equal(connection.pattern, "IK");
  assert.equal(world.asker.answered! - begun, millis(1300) + 4 * DELAY);
});

test("a forged reject costs time, and if the ticket's answer comes first after all, it counts", () => {
  const world = makeWorld();
  const [ticket] = earnTickets(world);
  const sent = record(world);
  const connection = askEarly(world, ticket);
  const out = new Uint8Array(100);
  const message = encodeReject(RejectCode.TICKET, crypto.sha256.hash(sent[0].subarray(32)));
  const size = writeHandshakePacket(out, 0, connection.localId, 0, connection.localId, WIRE_VERSION, message);
  world.client.receive(SERVER, out.slice(0, size));
  world.client.receive(SERVER, out.slice(0, size));
  assert.deepEqual([connection.pattern, sent.length], ["IK", 2], "a full handshake was begun");
  assert.ok(world.network.run(() => world.asker.answered !== undefined, seconds(10)));
  assert.deepEqual([connection.pattern, connection.earlyStream, connection.state], ["NNpsk0", 0, "established"]);
  assert.deepEqual(world.echo.requests.map(({ early }) => early), [true]);
  world.network.run(() => false, seconds(60));
  assert.equal(world.server.endpoint.halfOpenCount, 0);
});

test("a held connection sends nothing before it is told to begin, and asks for no timer", () => {
  const world = makeWorld();
  const [ticket] = earnTickets(world);
  const sent = record(world);
  const { network, client, server } = world;
  const connection = client.connect(SERVER, { peerKey: server.identity.publicKey, ticket, held: true });
  assert.deepEqual([connection.isHeld, connection.pollTimeout()], [true, Infinity]);
  network.run(() => false, seconds(100));
  assert.deepEqual([sent.length, connection.state], [0, "handshake"]);
  assert.throws(() => connection.begin(network.now, new Uint8Array(connection.earlyCapacity + 1)), RangeError);
  connection.begin(network.now, new Uint8Array(connection.earlyCapacity));
  assert.deepEqual([connection.isHeld, connection.earlyCapacity], [false, 0]);
  assert.throws(() => connection.begin(network.now), TypeError);
  client.pump();
  assert.ok(network.run(() => connection.confirmed, seconds(1)));
  assert.equal(world.echo.requests[0].bytes.length > 750, true);
  assert.ok(connection.stats().handshakeTime! <= micros(2 * DELAY));
});

test("an initiator that hands out a ticket is cut off", () => {
  const world = makeWorld();
  const peer = new HostilePeer(world.network, { address: STRANGER, crypto });
  peer.connect(SERVER, world.server.identity.publicKey);
  assert.ok(world.network.run(() => peer.isEstablished, seconds(1)));
  peer.send({ type: "ticket", lifetime: 1, number: 0, ticket: new Uint8Array(20) });
  assert.ok(world.network.run(() => peer.closed !== undefined, seconds(1)));
  assert.equal(peer.closed?.code, TransportError.PROTOCOL_VIOLATION);
});

test("tickets that nobody asked for, or that come twice or too often, are passed over", () => {
  const world = makeWorld();
  for (const tickets of [0, 2]) {
    const there = address("10.6.6.6", 100 + tickets);
    const peer = new HostilePeer(world.network, { address: there, crypto });
    const kept = world.asker.tickets.length;
    const connection = world.client.connect(there, { peerKey: peer.identity.publicKey, tickets });
    assert.ok(world.network.run(() => connection.confirmed, seconds(1)));
    for (const number of [7, 7, 0, 1, 2]) {
      peer.send({ type: "ticket", lifetime: 1, number, ticket: new Uint8Array(20) });
    }
    world.network.run(() => false, seconds(1));
    assert.equal(world.asker.tickets.length - kept, tickets);
    assert.equal(connection.state, "established");
  }
});

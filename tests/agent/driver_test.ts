import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, address } from "../../lib/base/address.ts";
import { type Clock, type Micros, micros, NEVER } from "../../lib/base/time.ts";
import { type ConnectionUser, Driver } from "../../lib/agent/driver.ts";
import type { UdpHandlers, UdpSocket } from "../../lib/agent/udp_socket.ts";
import type { Connection } from "../../lib/transport/connection.ts";
import type { Endpoint } from "../../lib/transport/endpoint.ts";
import type { ConnectionEvent } from "../../lib/transport/events.ts";

/** A clock that stands still until it is told; wake-ups are called by hand. */
class HandClock implements Clock {
  time = 0;
  readonly wakes = new Set<{ at: number; callback: () => void }>();
  armed = 0;

  now(): Micros {
    return micros(this.time);
  }

  wakeAt(at: Micros, callback: () => void): () => void {
    const wake = { at, callback };
    this.wakes.add(wake);
    this.armed++;
    return () => this.wakes.delete(wake);
  }

  advance(to: number): void {
    this.time = to;
    for (const wake of [...this.wakes]) {
      if (wake.at > to) continue;
      this.wakes.delete(wake);
      wake.callback();
    }
  }
}

/** A socket that notes what it is given; `flush` waits when it is told to. */
class FakeSocket implements UdpSocket {
  readonly local = address("127.0.0.1", 1);
  readonly adapter = "fake";
  readonly sendErrors = 0;
  readonly tooLarge = 0;
  readonly sent: string[] = [];
  flushes = 0;
  closed = false;
  /** Set to make flushes wait. */
  slow = false;
  readonly #waiting: (() => void)[] = [];
  /** Views that the driver must not touch. */
  readonly #held: [Uint8Array, string][] = [];

  send(bytes: Uint8Array, remote: Address): void {
    const text = new TextDecoder().decode(bytes);
    this.sent.push(`${text}>${remote.port}`);
    this.#held.push([bytes, text]);
  }

  flush(): Promise<void> | undefined {
    this.flushes++;
    if (this.slow) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#held.length = 0;
    return undefined;
  }

  /** Lets every waiting flush settle; says that no buffer was touched meanwhile. */
  settle(): void {
    for (const [bytes, text] of this.#held) {
      assert.equal(new TextDecoder().decode(bytes), text, "a buffer was used too early");
    }
    this.#held.length = 0;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  close(): void {
    this.closed = true;
  }
}

/** A connection that sends the lines in `out` and reports the events in `events`. */
class FakeConnection {
  readonly name: string;
  readonly remote: Address;
  readonly transmitRemote: Address;
  state = "established";
  out: string[] = [];
  events: ConnectionEvent[] = [];
  timeout: number = NEVER;
  timeouts: number[] = [];

  constructor(name: string, port: number) {
    this.name = name;
    this.remote = this.transmitRemote = address("127.0.0.1", port);
  }

  pollTransmit(_now: Micros, out: Uint8Array): number {
    const next = this.out.shift();
    if (next === undefined && this.state === "closing") this.state = "closed";
    return next === undefined ? 0 : new TextEncoder().encodeInto(next, out).written;
  }

  pollTimeout(): Micros {
    return micros(this.timeout);
  }

  handleTimeout(now: Micros): void {
    this.timeouts.push(now);
    this.timeout = NEVER;
    this.out.push(`${this.name}:timeout`);
  }

  pollEvent(): ConnectionEvent | undefined {
    return this.events.shift();
  }

  close(_now: Micros, code: number): void {
    this.state = "closing";
    this.out = [`${this.name}:close ${code}`];
  }
}

class FakeEndpoint {
  readonly byPort = new Map<number, FakeConnection>();
  readonly forgotten: FakeConnection[] = [];
  readonly stateless: string[] = [];
  readonly transmitRemote = address("127.0.0.1", 99);

  connect(_now: Micros, remote: Address): FakeConnection {
    const connection = new FakeConnection(String(remote.port), remote.port);
    this.byPort.set(remote.port, connection);
    return connection;
  }

  takeDisplaced(): undefined {}

  handleDatagram(_now: Micros, remote: Address, bytes: Uint8Array): FakeConnection | undefined {
    const connection = this.byPort.get(remote.port);
    connection?.events.push({ type: "pong", token: bytes[0], rtt: micros(1) });
    if (connection === undefined) this.stateless.push("reject");
    return connection;
  }

  pollTransmit(out: Uint8Array): number {
    const next = this.stateless.shift();
    return next === undefined ? 0 : new TextEncoder().encodeInto(next, out).written;
  }

  forget(connection: FakeConnection): void {
    this.forgotten.push(connection);
  }
}

interface Rig {
  readonly driver: Driver;
  readonly endpoint: FakeEndpoint;
  readonly socket: FakeSocket;
  readonly clock: HandClock;
  readonly handlers: UdpHandlers;
}

async function rig(onConnection?: (connection: FakeConnection) => ConnectionUser): Promise<Rig> {
  const endpoint = new FakeEndpoint();
  const socket = new FakeSocket();
  const clock = new HandClock();
  let handlers: UdpHandlers | undefined;
  const bindUdp = (_local: unknown, given: UdpHandlers): Promise<UdpSocket> => {
    handlers = given;
    return Promise.resolve(socket);
  };
  const options = {
    endpoint: endpoint as unknown as Endpoint,
    clock,
    bindUdp,
    local: { host: "127.0.0.1", port: 0 },
    udpPayload: 64,
    ...(onConnection && { onConnection: (link: { connection: Connection }) => onConnection(link.connection as never) }),
  };
  const driver = new Driver(options);
  await driver.bind();
  return { driver, endpoint, socket, clock, handlers: handlers! };
}

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));
const silent: ConnectionUser = { onEvent: () => {} };

test("everything that became ready in one turn leaves together, in one flush", async () => {
  const { driver, endpoint, socket } = await rig();
  const links = [1, 2, 3].map((port) => driver.connect(address("127.0.0.1", port), undefined, silent));
  await turn();
  socket.flushes = 0;
  for (const link of links) {
    endpoint.byPort.get(link.connection.remote.port)!.out.push("x");
    driver.touch(link);
    await undefined;
  }
  assert.deepEqual(socket.sent, [], "nothing leaves before the turn ends");
  await turn();
  assert.deepEqual(socket.sent, ["x>1", "x>2", "x>3"]);
  assert.equal(socket.flushes, 1);
});

test("connections take turns, and none waits behind another's bulk", async () => {
  const { driver, endpoint, socket } = await rig();
  const bulk = driver.connect(address("127.0.0.1", 1), undefined, silent);
  const call = driver.connect(address("127.0.0.1", 2), undefined, silent);
  endpoint.byPort.get(1)!.out = Array.from({ length: 100 }, () => "b");
  endpoint.byPort.get(2)!.out = ["c"];
  driver.touch(bulk);
  driver.touch(call);
  await turn();
  assert.equal(socket.sent.length, 101);
  assert.ok(socket.sent.indexOf("c>2") <= 16);
});

test("a socket that is slow holds back what is left, and nothing is lost or overwritten", async () => {
  const { driver, endpoint, socket } = await rig();
  socket.slow = true;
  const links = [1, 2].map((port) => driver.connect(address("127.0.0.1", port), undefined, silent));
  for (const port of [1, 2]) endpoint.byPort.get(port)!.out = Array.from({ length: 300 }, (_, i) => `${port}-${i}`);
  for (const link of links) driver.touch(link);
  await turn();
  const first = socket.sent.length;
  assert.ok(first > 0 && first < 600, `${first} left before the socket was ready again`);
  driver.touch(links[0]);
  await turn();
  assert.equal(socket.sent.length, first, "more leaves while the socket is busy");
  for (let i = 0; i < 20; i++) {
    socket.settle();
    await turn();
  }
  assert.equal(socket.sent.length, 600);
  for (const port of [1, 2]) {
    const own = socket.sent.filter((line) => line.endsWith(`>${port}`)).map((line) => Number(line.split(/[->]/)[1]));
    assert.deepEqual(own, Array.from({ length: 300 }, (_, i) => i), "in order");
  }
});

test("a very long queue does not keep received datagrams waiting", async () => {
  const { driver, endpoint, socket } = await rig();
  const link = driver.connect(address("127.0.0.1", 1), undefined, silent);
  endpoint.byPort.get(1)!.out = Array.from({ length: 5000 }, () => "b");
  driver.touch(link);
  await undefined;
  for (let i = 0; i < 20; i++) await undefined;
  assert.ok(socket.sent.length > 0 && socket.sent.length < 1000);
  for (let i = 0; i < 200 && socket.sent.length < 5000; i++) await turn();
  assert.equal(socket.sent.length, 5000);
});

test("events reach the connection's user once the batch has ended, answers leave afterwards", async () => {
  const tokens: number[] = [];
  const { driver, endpoint, socket, handlers } = await rig();
  const link = driver.connect(address("127.0.0.1", 1), undefined, {
    onEvent: (event) => {
      assert.equal(event.type, "pong");
      if (event.type !== "pong") return;
      tokens.push(event.token);
      endpoint.byPort.get(1)!.out.push(`answer ${event.token}`);
      driver.touch(link);
    },
  });
  await turn();
  socket.flushes = 0;
  for (const token of [1, 2, 3]) handlers.onDatagram(Uint8Array.of(token), address("127.0.0.1", 1));
  assert.deepEqual(tokens, []);
  handlers.onBatchEnd();
  assert.deepEqual(tokens, [1, 2, 3]);
  await turn();
  assert.deepEqual(socket.sent, ["answer 1>1", "answer 2>1", "answer 3>1"]);
  assert.equal(socket.flushes, 1);
});

test("a connection from outside gets its user at its first event", async () => {
  const users: string[] = [];
  const { endpoint, handlers } = await rig((connection) => {
    users.push(connection.name);
    return silent;
  });
  endpoint.byPort.set(5, new FakeConnection("five", 5));
  handlers.onDatagram(Uint8Array.of(1), address("127.0.0.1", 5));
  handlers.onDatagram(Uint8Array.of(2), address("127.0.0.1", 5));
  handlers.onBatchEnd();
  assert.deepEqual(users, ["five"]);
});

test("stateless answers go to whoever caused them", async () => {
  const { socket, handlers } = await rig();
  handlers.onDatagram(Uint8Array.of(1), address("127.0.0.1", 77));
  handlers.onBatchEnd();
  await turn();
  assert.deepEqual(socket.sent, ["reject>99"]);
});

test("one timer serves the earliest connection, and each is woken when its time has come", async () => {
  const { driver, endpoint, socket, clock } = await rig();
  const links = [1, 2, 3].map((port) => driver.connect(address("127.0.0.1", port), undefined, silent));
  [3000, 1000, 2000].forEach((at, i) => endpoint.byPort.get(i + 1)!.timeout = at);
  for (const link of links) driver.touch(link);
  await turn();
  assert.equal(clock.wakes.size, 1);
  clock.advance(1000);
  await turn();
  assert.deepEqual(socket.sent, ["2:timeout>2"]);
  assert.equal(clock.wakes.size, 1);
  clock.advance(5000);
  await turn();
  assert.deepEqual(socket.sent.slice(1).sort(), ["1:timeout>1", "3:timeout>3"]);
  assert.equal(clock.wakes.size, 0);
});

test("a deadline that moves on does not set a new timer each time", async () => {
  const { driver, endpoint, clock } = await rig();
  const link = driver.connect(address("127.0.0.1", 1), undefined, silent);
  await turn();
  const before = clock.armed;
  for (let i = 1; i <= 20; i++) {
    endpoint.byPort.get(1)!.timeout = 1_000_000 + i;
    driver.touch(link);
    await turn();
  }
  assert.equal(clock.armed - before, 1);
});

test("deadlines of calls share the timer", async () => {
  const { driver, clock } = await rig();
  let expired = 0;
  driver.deadlines.add({
    deadline: micros(10_000),
    expired: () => expired++,
    wheelSlot: -1,
    wheelNext: undefined,
    wheelPrevious: undefined,
  });
  driver.armDeadlines();
  assert.equal(clock.wakes.size, 1);
  clock.advance(9_000);
  assert.equal(expired, 0);
  clock.advance(15_000);
  assert.equal(expired, 1);
});

test("a connection that has ended is forgotten after its last event", async () => {
  const { driver, endpoint } = await rig();
  const events: string[] = [];
  const link = driver.connect(address("127.0.0.1", 1), undefined, { onEvent: (event) => events.push(event.type) });
  const connection = endpoint.byPort.get(1)!;
  connection.events.push({ type: "closed", reason: { by: "local", code: 0, message: "" } });
  connection.state = "closed";
  driver.touch(link);
  await turn();
  assert.deepEqual(events, ["closed"]);
  assert.deepEqual(endpoint.forgotten, [connection]);
});

test("a fault ends the connection that it happened to, and no other", async () => {
  const { driver, endpoint, socket, clock } = await rig();
  const ends: string[] = [];
  const links = [1, 2, 3, 4].map((port) =>
    driver.connect(address("127.0.0.1", port), undefined, {
      onEvent: (event) => {
        if (event.type === "closed") ends.push(`${port} ${event.reason.message}`);
        else throw new Error("in a handler");
      },
    })
  );
  await turn();
  const [first, second, third, fourth] = [1, 2, 3, 4].map((port) => endpoint.byPort.get(port)!);
  first.pollTransmit = () => {
    if (first.state === "established") throw new Error("while sending");
    first.state = "closed";
    return 0;
  };
  second.events.push({ type: "confirmed" });
  third.timeout = 100;
  third.handleTimeout = () => {
    throw new Error("in a timer");
  };
  fourth.out.push("fine");
  for (const link of links) driver.touch(link);
  await turn();
  clock.advance(200);
  await turn();
  assert.deepEqual(ends.sort(), [
    "1 internal fault: while sending",
    "2 internal fault: in a handler",
    "3 internal fault: in a timer",
  ]);
  assert.equal(driver.faults, 3);
  assert.deepEqual(endpoint.forgotten.map((connection) => connection.name).sort(), ["1", "2", "3"]);
  fourth.out.push("still");
  driver.touch(links[3]);
  await turn();
  assert.deepEqual(socket.sent.sort(), ["2:close 1>2", "3:close 1>3", "fine>4", "still>4"]);
});

test("a closed driver is silent: no timer, no datagram, no event", async () => {
  const { driver, endpoint, socket, clock, handlers } = await rig();
  let events = 0;
  const link = driver.connect(address("127.0.0.1", 1), undefined, { onEvent: () => events++ });
  endpoint.byPort.get(1)!.timeout = 1000;
  driver.touch(link);
  await turn();
  driver.close();
  assert.ok(socket.closed);
  assert.equal(clock.wakes.size, 0);
  endpoint.byPort.get(1)!.out.push("late");
  driver.touch(link);
  handlers.onDatagram(Uint8Array.of(1), address("127.0.0.1", 1));
  handlers.onBatchEnd();
  await turn();
  assert.equal(events, 0);
  assert.deepEqual(socket.sent, []);
});

test("a socket that fails while it is being bound is reported to whoever asked for it", async () => {
  const failing = (_local: unknown, handlers: UdpHandlers): Promise<UdpSocket> => {
    handlers.onError(new Error("the cable was pulled"));
    return Promise.resolve(new FakeSocket());
  };
  const driver = new Driver({
    endpoint: new FakeEndpoint() as unknown as Endpoint,
    clock: new HandClock(),
    bindUdp: failing,
    local: { host: "127.0.0.1", port: 0 },
    udpPayload: 64,
  });
  await assert.rejects(driver.bind(), /the cable was pulled/);
});

test("answers that belong to no connection and found no buffer go out once there are some, although nothing else does", async () => {
  const { endpoint, socket, handlers } = await rig();
  socket.slow = true;
  for (let i = 0; i < 200; i++) handlers.onDatagram(Uint8Array.of(1), address("127.0.0.1", 50));
  handlers.onBatchEnd();
  await turn();
  assert.ok(socket.sent.length > 0 && endpoint.stateless.length > 0, "there is a buffer for some of them");
  socket.settle();
  await turn();
  await turn();
  assert.deepEqual([socket.sent.length, endpoint.stateless.length], [200, 0]);
});

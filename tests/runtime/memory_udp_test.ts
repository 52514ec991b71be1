import assert from "node:assert/strict";
import test from "node:test";
import { address } from "../../lib/base/address.ts";
import { MemoryNetwork } from "../../lib/runtime/mod.ts";
import { eventually, pause, Recorder } from "./udp_harness.ts";

test("the fault hook loses, doubles, delays and changes datagrams", async () => {
  const network = new MemoryNetwork({
    fault: (_from, _to, bytes) => {
      switch (bytes[0]) {
        case 1:
          return [];
        case 2:
          return [0, 0];
        case 3:
          return [15];
        case 4:
          bytes[0] = 40;
      }
      return [0];
    },
  });
  using receiver = await Recorder.bind(network.bind);
  using sender = await Recorder.bind(network.bind);
  const own = new Uint8Array([4]);
  for (const kind of [1, 2, 3]) sender.socket.send(new Uint8Array([kind]), receiver.socket.local);
  sender.socket.send(own, receiver.socket.local);
  assert.ok(await eventually(() => receiver.hasBatchOf(4)));
  assert.deepEqual(receiver.datagrams.map(({ bytes }) => bytes[0]), [2, 2, 40, 3]);
  assert.equal(own[0], 4, "the sender's buffer was changed");
  assert.equal(network.lost, 1);
});

test("the fault hook knows both ends, and can be exchanged while the network runs", async () => {
  const network = new MemoryNetwork();
  using receiver = await Recorder.bind(network.bind);
  using sender = await Recorder.bind(network.bind);
  const seen: string[] = [];
  network.fault = (from, to) => {
    seen.push(`${from.key} > ${to.key}`);
    return [0];
  };
  sender.socket.send(new Uint8Array(1), receiver.socket.local);
  network.fault = undefined;
  sender.socket.send(new Uint8Array(1), receiver.socket.local);
  assert.ok(await eventually(() => receiver.hasBatchOf(2)));
  assert.deepEqual(seen, [`${sender.socket.local.key} > ${receiver.socket.local.key}`]);
});

test("a delayed datagram does not reach a socket that was closed meanwhile, nor its successor at that port", async () => {
  const network = new MemoryNetwork({ fault: () => [10] });
  using sender = await Recorder.bind(network.bind);
  const first = await Recorder.bind(network.bind);
  sender.socket.send(new Uint8Array(1), first.socket.local);
  first.socket.close();
  using second = await Recorder.bind(network.bind, "127.0.0.1", first.socket.local.port);
  await pause(30);
  assert.deepEqual(first.events, []);
  assert.deepEqual(second.events, []);
});

test("nothing is delivered inside send", async () => {
  const network = new MemoryNetwork();
  using receiver = await Recorder.bind(network.bind);
  using sender = await Recorder.bind(network.bind);
  sender.socket.send(new Uint8Array(1), receiver.socket.local);
  await undefined;
  assert.deepEqual(receiver.events, []);
  assert.ok(await eventually(() => receiver.hasBatchOf(1)));
});

test("two sockets that answer each other for ever leave room for timers", async () => {
  const network = new MemoryNetwork();
  using left = await Recorder.bind(network.bind);
  using right = await Recorder.bind(network.bind);
  for (const end of [left, right]) end.onDatagram = (bytes, remote) => end.socket.send(bytes, remote);
  left.socket.send(new Uint8Array(1), right.socket.local);
  // The waiting is done by timers.
  assert.ok(await eventually(() => right.datagrams.length > 10));
});

test("a socket that is not emptied loses what goes beyond its queue", async () => {
  const network = new MemoryNetwork({ queueLimit: 5 });
  using receiver = await Recorder.bind(network.bind);
  using sender = await Recorder.bind(network.bind);
  for (let i = 0; i < 8; i++) sender.socket.send(new Uint8Array([i]), receiver.socket.local);
  assert.ok(await eventually(() => receiver.hasBatchOf(5)));
  assert.deepEqual(receiver.datagrams.map(({ bytes }) => bytes[0]), [0, 1, 2, 3, 4]);
  assert.equal(network.lost, 3);
});

test("a socket bound to all addresses receives for each, and answers from loopback", async () => {
  const network = new MemoryNetwork();
  using receiver = await Recorder.bind(network.bind, "0.0.0.0", 9000);
  using sender = await Recorder.bind(network.bind);
  sender.socket.send(new Uint8Array(1), address("192.0.2.7", 9000));
  assert.ok(await eventually(() => receiver.hasBatchOf(1)));
  receiver.socket.send(new Uint8Array(1), sender.socket.local);
  assert.ok(await eventually(() => sender.hasBatchOf(1)));
  assert.equal(sender.datagrams[0].remote.key, "127.0.0.1:9000");
  await assert.rejects(Recorder.bind(network.bind, "127.0.0.1", 9000), { code: "EADDRINUSE" });
});

test("networks do not know each other", async () => {
  const one = new MemoryNetwork(), other = new MemoryNetwork();
  using sender = await Recorder.bind(one.bind, "127.0.0.1", 9000);
  using namesake = await Recorder.bind(other.bind, "127.0.0.1", 9000);
  sender.socket.send(new Uint8Array(1), address("127.0.0.1", 9000));
  assert.ok(await eventually(() => sender.hasBatchOf(1)), "a socket cannot reach itself");
  assert.deepEqual(namesake.events, []);
});

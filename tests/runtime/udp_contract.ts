/**
 * What every UDP adapter must do (lib/agent/udp_socket.ts), run against each.
 *
 * @module
 */

import assert from "node:assert/strict";
import test from "node:test";
import type { BindUdp } from "../../lib/agent/udp_socket.ts";
import { type Address, address } from "../../lib/base/address.ts";
import { eventually, pattern, pause, Recorder } from "./udp_harness.ts";

/** Where an adapter may differ. */
export interface ContractOptions {
  /**
   * The runtime reports an ICMP answer to an earlier datagram as the failure of the next send, and the adapter has no way
   * to repeat that one.
   */
  readonly losesOneAfterRefusal?: boolean;
}

/** Registers the suite for one adapter. */
export function udpContract(name: string, bind: BindUdp, options: ContractOptions = {}): void {
  test(`${name}: every size from 0 to 65507 bytes arrives intact`, async () => {
    using receiver = await Recorder.bind(bind);
    using sender = await Recorder.bind(bind);
    const sizes = [0, 1, 2, 64, 1200, 1452, 8192, 65_507];
    for (const [i, size] of sizes.entries()) {
      sender.socket.send(pattern(size, i), receiver.socket.local);
      await sender.socket.flush();
      assert.ok(await eventually(() => receiver.datagrams.length > i), `${size} bytes did not arrive`);
      assert.deepEqual(receiver.datagrams[i].bytes, pattern(size, i));
    }
    assert.equal(sender.socket.sendErrors, 0);
  });

  test(`${name}: datagrams arrive in the order in which they were sent, the very first ones included`, async () => {
    using receiver = await Recorder.bind(bind);
    using sender = await Recorder.bind(bind);
    for (let batch = 0; batch < 5; batch++) {
      for (let i = 0; i < 20; i++) sender.socket.send(new Uint8Array([batch * 20 + i]), receiver.socket.local);
      void sender.socket.flush();
    }
    await sender.socket.flush();
    assert.ok(await eventually(() => receiver.hasBatchOf(100)));
    assert.deepEqual(receiver.datagrams.map(({ bytes }) => bytes[0]), Array.from({ length: 100 }, (_, i) => i));
  });

  test(`${name}: 64 datagrams of 1200 bytes in one flush all arrive`, async () => {
    using receiver = await Recorder.bind(bind);
    using sender = await Recorder.bind(bind);
    for (let i = 0; i < 64; i++) sender.socket.send(pattern(1200, i), receiver.socket.local);
    await sender.socket.flush();
    assert.ok(await eventually(() => receiver.hasBatchOf(64)));
    for (const [i, { bytes }] of receiver.datagrams.entries()) assert.deepEqual(bytes, pattern(1200, i));
  });

  test(`${name}: the source of a datagram is where its sender is bound, and answers find it there`, async () => {
    using receiver = await Recorder.bind(bind);
    using sender = await Recorder.bind(bind);
    for (let i = 0; i < 3; i++) {
      sender.socket.send(new Uint8Array([1]), receiver.socket.local);
      await sender.socket.flush();
      assert.ok(await eventually(() => receiver.hasBatchOf(i + 1)));
      const { remote } = receiver.datagrams[i];
      assert.deepEqual(plain(remote), plain(sender.socket.local));
      receiver.socket.send(new Uint8Array([2]), remote);
      await receiver.socket.flush();
      assert.ok(await eventually(() => sender.hasBatchOf(i + 1)));
      assert.equal(sender.datagrams[i].remote.key, receiver.socket.local.key);
    }
  });

  test(`${name}: port 0 takes a free port and says which`, async () => {
    using first = await Recorder.bind(bind);
    using second = await Recorder.bind(bind);
    const { local } = first.socket;
    assert.ok(local.port > 0 && local.port <= 65_535);
    assert.deepEqual(plain(local), plain(address("127.0.0.1", local.port)));
    assert.notEqual(local.port, second.socket.local.port);
  });

  test(`${name}: a port that is taken is refused with the code EADDRINUSE`, async () => {
    using holder = await Recorder.bind(bind);
    await assert.rejects(Recorder.bind(bind, "127.0.0.1", holder.socket.local.port), { code: "EADDRINUSE" });
    using other = await Recorder.bind(bind);
    other.socket.send(new Uint8Array([1]), holder.socket.local);
    await other.socket.flush();
    assert.ok(await eventually(() => holder.datagrams.length === 1), "the holder of the port lost it");
  });

  test(`${name}: a port that cannot exist is refused as a RangeError`, async () => {
    for (const port of [-1, 65_536, 1.5, NaN]) await assert.rejects(Recorder.bind(bind, "127.0.0.1", port), RangeError);
  });

  test(`${name}: a port is free again when its socket has been closed`, async () => {
    const first = await Recorder.bind(bind);
    const { port } = first.socket.local;
    first.socket.close();
    for (let tries = 0;; tries++) {
      try {
        using second = await Recorder.bind(bind, "127.0.0.1", port);
        assert.equal(second.socket.local.port, port);
        break;
      } catch (error) {
        if (tries === 50) throw error;
        await pause(5);
      }
    }
  });

  test(`${name}: a run of datagrams ends in a batch end, and a whole flush makes few runs`, async () => {
    using receiver = await Recorder.bind(bind);
    using sender = await Recorder.bind(bind);
    for (let round = 1; round <= 3; round++) {
      const before = receiver.batches;
      for (let i = 0; i < 32; i++) sender.socket.send(new Uint8Array(64), receiver.socket.local);
      await sender.socket.flush();
      assert.ok(await eventually(() => receiver.hasBatchOf(32 * round)), "the last event was not a batch end");
      assert.ok(receiver.batches - before <= 8, `${receiver.batches - before} batches for 32 datagrams`);
    }
  });

  test(`${name}: what awaits in answer to a datagram has its turn before the batch ends`, async () => {
    using receiver = await Recorder.bind(bind);
    using sender = await Recorder.bind(bind);
    let begun = 0, done = 0;
    const seen: string[] = [];
    receiver.onDatagram = async () => {
      begun++;
      for (let i = 0; i < 20; i++) await undefined;
      done++;
    };
    receiver.onBatchEnd = () => seen.push(`${done} of ${begun}`);
    for (let i = 0; i < 16; i++) sender.socket.send(new Uint8Array(8), receiver.socket.local);
    await sender.socket.flush();
    assert.ok(await eventually(() => receiver.hasBatchOf(16)));
    assert.equal(seen.at(-1), "16 of 16");
    for (const entry of seen) assert.match(entry, /^(\d+) of \1$/);
  });

  test(`${name}: answers may be sent at the end of a batch`, async () => {
    using receiver = await Recorder.bind(bind);
    using sender = await Recorder.bind(bind);
    const answers: { bytes: Uint8Array; remote: Address }[] = [];
    receiver.onDatagram = (bytes, remote) => answers.push({ bytes: bytes.slice(), remote });
    receiver.onBatchEnd = () => {
      for (const { bytes, remote } of answers.splice(0)) receiver.socket.send(bytes, remote);
      void receiver.socket.flush();
    };
    for (let i = 0; i < 50; i++) sender.socket.send(pattern(300, i), receiver.socket.local);
    await sender.socket.flush();
    assert.ok(await eventually(() => sender.hasBatchOf(50)));
    for (const [i, { bytes }] of sender.datagrams.entries()) assert.deepEqual(bytes, pattern(300, i));
  });

  test(`${name}: an unreachable port does not throw, and the socket works on`, async () => {
    using receiver = await Recorder.bind(bind);
    using sender = await Recorder.bind(bind);
    const gone = await Recorder.bind(bind);
    const nobody = gone.socket.local;
    gone.socket.close();
    for (let i = 0; i < 3; i++) {
      sender.socket.send(new Uint8Array([9]), nobody);
      await sender.socket.flush();
      await pause(5);
      const before = receiver.datagrams.length;
      for (let k = 0; k < 4; k++) sender.socket.send(new Uint8Array([k]), receiver.socket.local);
      await sender.socket.flush();
      const expected = options.losesOneAfterRefusal === true ? 3 : 4;
      assert.ok(await eventually(() => receiver.datagrams.length >= before + expected), "a living peer lost datagrams");
    }
    assert.ok(!sender.events.some(({ kind }) => kind === "error"));
  });

  test(`${name}: datagrams that cannot be sent are counted, and take no others with them`, async () => {
    using receiver = await Recorder.bind(bind);
    using sender = await Recorder.bind(bind);
    const tooLong = new Uint8Array(65_508);
    const good = (k: number): void => sender.socket.send(new Uint8Array([k]), receiver.socket.local);
    sender.socket.send(tooLong, receiver.socket.local);
    good(0);
    good(1);
    sender.socket.send(tooLong, receiver.socket.local);
    sender.socket.send(new Uint8Array([9]), address("::1", receiver.socket.local.port));
    good(2);
    sender.socket.send(new Uint8Array([9]), address("127.0.0.1", 0));
    good(3);
    await sender.socket.flush();
    assert.ok(await eventually(() => receiver.datagrams.length === 4), `${receiver.datagrams.length} of 4 arrived`);
    assert.deepEqual(receiver.datagrams.map(({ bytes }) => bytes[0]), [0, 1, 2, 3]);
    assert.deepEqual([sender.socket.sendErrors, sender.socket.tooLarge], [2, 2]);
    assert.ok(!sender.events.some(({ kind }) => kind === "error"));
  });

  test(`${name}: a buffer may be used again when the flush has settled`, async () => {
    using receiver = await Recorder.bind(bind);
    using sender = await Recorder.bind(bind);
    const buffer = new Uint8Array(1000);
    for (let i = 0; i < 40; i++) {
      buffer.fill(i);
      sender.socket.send(buffer.subarray(0, 100 + i), receiver.socket.local);
      await sender.socket.flush();
    }
    assert.ok(await eventually(() => receiver.hasBatchOf(40)));
    for (const [i, { bytes }] of receiver.datagrams.entries()) {
      assert.deepEqual(bytes, new Uint8Array(100 + i).fill(i));
    }
  });

  test(`${name}: nothing waits when nothing was sent`, async () => {
    using idle = await Recorder.bind(bind);
    assert.equal(idle.socket.flush(), undefined);
    await pause(5);
    assert.deepEqual(idle.events, []);
  });

  test(`${name}: a closed socket is silent, however often it is closed`, async () => {
    using sender = await Recorder.bind(bind);
    const receiver = await Recorder.bind(bind);
    for (let i = 0; i < 10; i++) sender.socket.send(new Uint8Array(10), receiver.socket.local);
    await sender.socket.flush();
    receiver.socket.close();
    const heard = receiver.events.length;
    receiver.socket.close();
    for (let i = 0; i < 10; i++) sender.socket.send(new Uint8Array(10), receiver.socket.local);
    await sender.socket.flush();
    await pause(20);
    assert.equal(receiver.events.length, heard);
    receiver.socket.send(new Uint8Array(10), sender.socket.local);
    await receiver.socket.flush();
    receiver.socket.close();
    await pause(5);
    assert.equal(sender.datagrams.length, 0);
  });

  test(`${name}: closing inside a handler ends the run there`, async () => {
    using sender = await Recorder.bind(bind);
    using receiver = await Recorder.bind(bind);
    receiver.onDatagram = () => {
      if (receiver.datagrams.length === 3) receiver.socket.close();
    };
    for (let i = 0; i < 10; i++) sender.socket.send(new Uint8Array(10), receiver.socket.local);
    await sender.socket.flush();
    assert.ok(await eventually(() => receiver.datagrams.length === 3));
    await pause(20);
    assert.equal(receiver.datagrams.length, 3);
    assert.notEqual(receiver.events.at(-1)?.kind, "batch_end");
  });

  test(`${name}: a flush settles though the socket is closed meanwhile`, async () => {
    using receiver = await Recorder.bind(bind);
    const sender = await Recorder.bind(bind);
    for (let i = 0; i < 64; i++) sender.socket.send(new Uint8Array(100), receiver.socket.local);
    const flushed = sender.socket.flush();
    sender.socket.close();
    let settled = false;
    void Promise.resolve(flushed).then(() => settled = true);
    assert.ok(await eventually(() => settled), "the flush never settled");
  });

  test(`${name}: works over IPv6 loopback`, async (t) => {
    using receiver = await bindOrNothing(bind, "::1");
    if (receiver === undefined) return skip(t, "there is no IPv6 loopback here");
    using sender = await Recorder.bind(bind, "::1");
    assert.equal(receiver.socket.local.key, `[::1]:${receiver.socket.local.port}`);
    sender.socket.send(pattern(1200, 1), receiver.socket.local);
    await sender.socket.flush();
    assert.ok(await eventually(() => receiver.hasBatchOf(1)));
    const { bytes, remote } = receiver.datagrams[0];
    assert.deepEqual(bytes, pattern(1200, 1));
    assert.deepEqual(plain(remote), plain(sender.socket.local));
    receiver.socket.send(new Uint8Array([7]), remote);
    await receiver.socket.flush();
    assert.ok(await eventually(() => sender.hasBatchOf(1)));
  });

  test(`${name}: an IPv4 peer of a socket that is bound to :: has its plain IPv4 address`, async (t) => {
    using receiver = await bindOrNothing(bind, "::");
    if (receiver === undefined) return skip(t, "there is no IPv6 here");
    using sender = await Recorder.bind(bind, "127.0.0.1");
    sender.socket.send(new Uint8Array([1]), address("127.0.0.1", receiver.socket.local.port));
    await sender.socket.flush();
    if (!await eventually(() => receiver.hasBatchOf(1), 1_000)) return skip(t, "sockets are not dual-stack here");
    const { remote } = receiver.datagrams[0];
    assert.deepEqual(plain(remote), plain(sender.socket.local));
    receiver.socket.send(new Uint8Array([2]), remote);
    await receiver.socket.flush();
    assert.ok(await eventually(() => sender.hasBatchOf(1)), "the answer did not arrive");
    assert.equal(receiver.socket.sendErrors, 0);
  });
}

function plain({ host, port, key }: Address): Address {
  return { host, port, key };
}

/** A socket; undefined where the system has no such address. */
async function bindOrNothing(bind: BindUdp, host: string): Promise<Recorder | undefined> {
  try {
    return await Recorder.bind(bind, host);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "EADDRNOTAVAIL" || code === "EAFNOSUPPORT") return undefined;
    throw error;
  }
}

/** Not every runtime's node:test can skip from inside a test; all can print. */
function skip(_context: unknown, reason: string): void {
  console.error(`skipped: ${reason}`);
}

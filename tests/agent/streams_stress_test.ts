import assert from "node:assert/strict";
import { test } from "node:test";
import { type Client, connect, type Handlers, MxpError, serve, type Server } from "../../mod.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { testSeed } from "../support/seed.ts";
import { memoryPlatform } from "./support/platform.ts";

const STREAMS = 250;
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Whole numbers below a bound. */
type Dice = (bound: number) => number;

function diceOf(seed: number): Dice {
  const random = new SeededRandom(seed), byte = new Uint8Array(4);
  return (bound) => {
    random.fillPublic(byte);
    return new DataView(byte.buffer).getUint32(0) % bound;
  };
}

async function until(condition: () => boolean, what: () => string): Promise<void> {
  for (let i = 0; i < 4_000; i++) {
    if (condition()) return;
    await sleep(5);
  }
  assert.fail(what());
}

/** What a handler may do with a stream: everything, in some order. */
function handlers(dice: Dice): Handlers {
  return {
    stream: async (stream) => {
      switch (dice(8)) {
        case 0:
          for await (const chunk of stream) await stream.write(chunk);
          return;
        case 1:
          for await (const chunk of stream) {
            if (chunk.length % 3 === 0) break;
          }
          return await stream.write("enough");
        case 2:
          for (let i = dice(30); i > 0; i--) await stream.write(new Uint8Array(dice(20_000)));
          return;
        case 3:
          await sleep(dice(10));
          throw new Error("as it happens");
        case 4:
          await stream.write("first");
          return stream.cancel();
        case 5:
          await stream.close();
          await stream.bytes();
          return;
        case 6:
          return await stream.readable.pipeTo(stream.writable as WritableStream<Uint8Array>);
        default:
          await sleep(dice(10));
      }
    },
  };
}

/** What an opener may do. Fails only with what a stream may fail with. */
async function useStream(client: Client, dice: Dice): Promise<void> {
  const controller = new AbortController();
  const stream = client.stream({
    timeoutMs: dice(6) === 0 ? 1 + dice(40) : 0,
    signal: controller.signal,
    unidirectional: dice(5) === 0,
    priority: dice(2) === 0 ? "bulk" : "interactive",
  });
  const writing = (async () => {
    for (let i = dice(25); i > 0; i--) {
      await stream.write(new Uint8Array(dice(dice(10) === 0 ? 200_000 : 3_000)));
      if (dice(3) === 0) await sleep(dice(4));
    }
    if (dice(8) > 0) await stream.close();
    else if (dice(2) === 0) stream.cancel();
    else controller.abort();
  })();
  const reading = (async () => {
    if (dice(6) === 0) await sleep(dice(30));
    let left = dice(4) === 0 ? dice(5) : Infinity;
    for await (const _chunk of stream) if (--left <= 0) break;
  })();
  for (const { status, ...result } of await Promise.allSettled([writing, reading])) {
    if (status === "rejected") assert.ok((result as PromiseRejectedResult).reason instanceof MxpError);
  }
  stream.cancel();
  await stream.closed;
}

test("whatever both sides do to streams, each ends once, nothing is left, and the counters reconcile", {
  timeout: 90_000,
}, async () => {
  for (const lossy of [false, true]) {
    const dice = diceOf(testSeed + (lossy ? 1 : 0));
    let count = 0;
    const fault = (): number[] => lossy && ++count % 13 === 0 ? (count % 2 === 0 ? [] : [2, 0]) : [0];
    const platform = memoryPlatform({ fault });
    const settings = { maxStreamsBidi: 40, maxStreamData: 30_000, maxStreamWindow: 30_000, sendBuffer: 20_000 };
    const server: Server = await serve({ listen: "127.0.0.1:0", platform, settings }, handlers(dice));
    const client = await connect(server.url, { platform, settings });
    await Promise.all(Array.from({ length: STREAMS }, () => useStream(client, dice)));

    const state = (): string => JSON.stringify([client.stats().streams, server.stats().streams, testSeed]);
    await until(() => server.stats().streams.running === 0, () => `handlers run on: ${state()}`);
    const { opened, ok, failed, open, queued } = client.stats().streams;
    assert.deepEqual([opened, open, queued], [STREAMS, 0, 0], state());
    assert.equal(ok + failed, STREAMS, state());
    const seen = server.stats().streams;
    assert.equal(seen.ok + seen.failed + seen.refused + seen.cancelled, seen.total, state());
    assert.ok(seen.total <= STREAMS && seen.total > 0);
    await until(
      () => client.stats().transport.openStreams === 0 && server.connections()[0].transport.openStreams === 0,
      () => `streams are left in the transport: ${client.stats().transport.openStreams}, ${state()}`,
    );
    assert.equal(server.connections()[0].streams, 0);
    assert.equal(client.stats().socket.faults + server.stats().socket.faults, 0);
    await client.close();
    await server.close();
  }
});

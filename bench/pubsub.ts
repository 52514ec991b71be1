/**
 * How many events a second a node hands on to 1, 10 and 100 subscribers: a publisher, the node and the subscribers in one process, over
 * UDP on loopback. `deno run -A --unstable-net bench/pubsub.ts`, `bun bench/pubsub.ts`; arguments: `--seconds 3 --size 64 --subscribers 1,10,100`.
 *
 * Everything shares one thread, so that the figures are for all parties together: what a node alone could do is more. The CPU time counts also where
 * others use the machine.
 *
 * @module
 */

import process from "node:process";
import { parseArgs } from "node:util";
import { connect, serve } from "../mod.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "3" },
    size: { type: "string", default: "64" },
    subscribers: { type: "string", default: "0,1,10,100" },
  },
});
const seconds = Number(values.seconds);
const data = new Uint8Array(Number(values.size));

/** Events that may be on their way to a subscriber: below its queue, so that none is dropped. */
const AHEAD = 512;

for (const count of values.subscribers.split(",").map(Number)) {
  await using server = await serve({ listen: "127.0.0.1:0", pubsub: true }, {});
  await using publisher = await connect(server.url);
  const clients = await Promise.all(Array.from({ length: count }, () => connect(server.url)));
  const subscriptions = clients.map((client) => client.subscribe("bench.*"));
  await Promise.all(subscriptions.map(({ ready }) => ready));
  const received: number[] = new Array(count).fill(0);
  const readers = subscriptions.map(async (events, i) => {
    for await (const _ of events) received[i]++;
  });

  const slowest = (): number => count === 0 ? server.stats().pubsub!.published : Math.min(...received);
  const startedAt = performance.now();
  const cpuBefore = process.cpuUsage();
  const endAt = startedAt + 1000 * seconds;
  let published = 0;
  while (performance.now() < endAt) {
    for (let i = 0; i < 64 && published - slowest() < AHEAD; i++) {
      void publisher.emit("bench.event", data);
      published++;
    }
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  while (slowest() < published && performance.now() < endAt + 5_000) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  const elapsed = (performance.now() - startedAt) / 1000;
  const delivered = received.reduce((sum, number) => sum + number, 0);
  const { user, system } = process.cpuUsage(cpuBefore);
  const cpu = (user + system) / (delivered || published);
  const { dropped } = server.stats().pubsub!;
  console.log(
    `${String(count).padStart(4)} subscribers: ${Math.round(published / elapsed)} events/s in, ` +
      `${Math.round(delivered / elapsed)} events/s out, ${cpu.toFixed(1)} µs of CPU each, ${dropped} dropped`,
  );
  await Promise.all(subscriptions.map((events) => events.close()));
  await Promise.all(readers);
  await Promise.all(clients.map((client) => client.close()));
}
process.exit(0);

/**
 * What it costs to compress and to seal calls: `deno run -A bench/seal.ts`, `bun bench/seal.ts`. Client, node and agent in one
 * process, in a network in memory, so that the figures are CPU and little else.
 *
 * @module
 */

import process from "node:process";
import { MessageCodec } from "../lib/codec/message.ts";
import { selectProvider } from "../lib/crypto/select.ts";
import { builtInZstd, MemoryNetwork, runtimeVersion, SystemClock, SystemRandom } from "../lib/runtime/mod.ts";
import { type CallOptions, connect, generateIdentity, serve } from "../mod.ts";

const ROUNDS = 3;

/** JSON as programs write it: it compresses to a sixth or better. */
function json(bytes: number): Uint8Array {
  let text = "";
  for (let i = 0; text.length < bytes; i++) {
    text += `{"id":${(i * 7919) % 10007},"name":"agent-${i % 97}","ok":${i % 3 === 0}},`;
  }
  return new TextEncoder().encode(text.slice(0, bytes));
}

const network = new MemoryNetwork();
const zstd = builtInZstd()!;
const platform = {
  codec: new MessageCodec(),
  crypto: selectProvider(),
  random: new SystemRandom(),
  clock: new SystemClock(),
  compressor: zstd,
  bindUdp: network.bind,
  resolveHost: () => Promise.reject(new Error("no names here")),
};
const identity = generateIdentity();
await using node = await serve({ listen: "127.0.0.1:0", platform, registry: true }, () => "");
await using agent = await connect(node.url, { platform, identity });
await using _registration = await agent.register({ name: "echo" }, { handlers: { call: (payload) => payload } });
await using client = await connect(`${node.url}/echo`, { platform });

/** CPU microseconds of a call, of all parties together: the median of some rounds. */
async function cost(body: Uint8Array, options: CallOptions, calls: number): Promise<number> {
  const results: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const before = process.cpuUsage();
    for (let i = 0; i < calls; i++) await client.call(body, options);
    const { user, system } = process.cpuUsage(before);
    if (round > 0) results.push((user + system) / calls);
  }
  return results.sort((a, b) => a - b)[ROUNDS >> 1];
}

function microseconds(times: number, work: () => void): number {
  for (let i = 0; i < times; i++) work();
  const start = performance.now();
  for (let i = 0; i < times; i++) work();
  return (performance.now() - start) * 1000 / times;
}

console.log(`${runtimeVersion()}, ${platform.crypto.name}`);
const e2e = identity.publicKey;
for (const [size, calls] of [[64, 300], [1_024, 300], [16_384, 100], [262_144, 10], [2_097_152, 2]]) {
  const body = json(size);
  const row = [];
  for (const options of [{}, { compress: true }, { e2e }, { compress: true, e2e }]) {
    row.push(await cost(body, options, calls));
  }
  console.log(
    `${size} B: plain, compressed, sealed, both: ${row.map((us) => us.toFixed(0)).join(", ")} µs of CPU a call`,
  );
}
for (const size of [128, 256, 512, 1_024, 2_048, 4_096]) {
  const body = json(size);
  const frame = zstd.compress(body);
  const there = microseconds(2_000, () => void zstd.compress(body));
  const back = microseconds(2_000, () => void zstd.decompress(frame, size));
  console.log(`${size} B of JSON → ${frame.length}: compress ${there.toFixed(1)} µs, decompress ${back.toFixed(1)} µs`);
}

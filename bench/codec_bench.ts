/**
 * Nanoseconds for encoding and decoding messages, into and out of a caller's buffer, checksum included.
 *
 * ```sh
 * deno run -A bench/codec_bench.ts          # a table
 * bun bench/codec_bench.ts --json           # a line of JSON for each case
 * ```
 *
 * The batches are short and many: on a machine that does other things as well, the fastest tell what the code costs and
 * the median what the machine made of it.
 *
 * @module
 */

import process from "node:process";
import { CodecError } from "../lib/codec/codec_error.ts";
import { MessageCodec, messageLength } from "../lib/codec/message.ts";
import { MESSAGE_HEADER_BYTES } from "../lib/codec/message_header.ts";
import { MessageReader } from "../lib/codec/message_reader.ts";
import { MessageType } from "../lib/codec/message_type.ts";
import { CALL_PREFIX_BYTES, decodeCall, encodeCall } from "../lib/codec/payloads/call.ts";
import { LimbsXxh3 } from "../lib/codec/xxh3/limbs.ts";
import { compileXxh3Kernel, WasmXxh3, XXH3_WORKSPACE_BYTES } from "../lib/codec/xxh3/wasm.ts";

/** Something to measure. `run` does it `count` times and gives a number that depends on the work. */
interface Case {
  readonly what: string;
  readonly where: string;
  readonly size: number;
  readonly run: (count: number) => number;
}

/** What one case took, in nanoseconds an operation. */
interface Result {
  readonly bench: "codec";
  readonly runtime: string;
  readonly what: string;
  readonly where: string;
  readonly size: number;
  readonly best: number;
  readonly median: number;
}

const SIZES = [64, 1024];
const BATCH = 2000;
const WARM_UP_MS = 150;
const MEASURE_MS = 250;
const runtime = process.versions.bun !== undefined ? "bun" : process.versions.deno !== undefined ? "deno" : "node";

/** What everything measured adds up to, so that nothing can be optimised away. */
let sink = 0;

function measure({ run, ...description }: Case): Result {
  for (const end = performance.now() + WARM_UP_MS; performance.now() < end;) sink += run(BATCH);
  const samples: number[] = [];
  for (const end = performance.now() + MEASURE_MS; performance.now() < end;) {
    const start = performance.now();
    sink += run(BATCH);
    samples.push((performance.now() - start) * 1e6 / BATCH);
  }
  samples.sort((a, b) => a - b);
  const [best, median] = [samples[0], samples[samples.length >> 1]].map((value) => Math.round(value * 10) / 10);
  return { bench: "codec", runtime, ...description, best, median };
}

/** Encoding and decoding with one codec and one buffer. */
function cases(codec: MessageCodec, buffer: Uint8Array, where: string, size: number): Case[] {
  const payload = Uint8Array.from({ length: size }, (_, i) => i);
  const header = { type: MessageType.CALL as number, flags: 0, idLow: 0, idHigh: 1, traceLow: 2, traceHigh: 3 };
  const target = new Uint8Array(16).fill(7);
  const call = { target, timeoutSeconds: 5, data: payload.subarray(CALL_PREFIX_BYTES) };
  const at = 64;
  const end = at + messageLength(size);
  const prepare = (): void => {
    codec.encode(buffer, at, header, payload);
  };
  return [
    {
      what: "encode",
      where,
      size,
      run: (count) => {
        let sum = 0;
        for (let i = 0; i < count; i++) {
          header.idLow = i;
          sum += codec.encode(buffer, at, header, payload);
        }
        return sum;
      },
    },
    {
      what: "encode a Call in place",
      where,
      size,
      run: (count) => {
        let sum = 0;
        for (let i = 0; i < count; i++) {
          header.idLow = i;
          sum += codec.seal(buffer, at, header, encodeCall(buffer, at + MESSAGE_HEADER_BYTES, call));
        }
        return sum;
      },
    },
    {
      what: "decode",
      where,
      size,
      run: (count) => {
        prepare();
        let sum = 0;
        for (let i = 0; i < count; i++) {
          const message = codec.decode(buffer, at, end);
          if (!(message instanceof CodecError)) sum += message.type + message.idLow + message.payloadLength;
        }
        return sum;
      },
    },
    {
      what: "decode a Call and its data",
      where,
      size,
      run: (count) => {
        prepare();
        let sum = 0;
        for (let i = 0; i < count; i++) {
          const message = codec.decode(buffer, at, end);
          if (message instanceof CodecError) continue;
          const call = decodeCall(buffer, message.payloadStart, message.payloadEnd);
          if (!(call instanceof CodecError)) sum += call.timeoutSeconds + call.data.length;
        }
        return sum;
      },
    },
  ];
}

/** Ten messages in one piece, and the same in pieces of 100 bytes. */
function readerCases(codec: MessageCodec, size: number): Case[] {
  const messages = 10;
  const piece = new Uint8Array(messages * messageLength(size));
  const header = { type: MessageType.EVENT, flags: 0, idLow: 0, idHigh: 1, traceLow: 2, traceHigh: 3 };
  const payload = new Uint8Array(size);
  for (let i = 0, at = 0; i < messages; i++) at = codec.encode(piece, at, header, payload);
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < piece.length; at += 100) pieces.push(piece.subarray(at, at + 100));
  const drain = (reader: MessageReader): number => {
    let count = 0;
    while (reader.next() !== undefined) count++;
    return count;
  };
  const reader = new MessageReader(codec);
  return [
    {
      what: "read from a stream, whole",
      where: "any buffer",
      size,
      run: (count) => {
        let sum = 0;
        for (let i = 0; i < count; i += messages) {
          reader.push(piece);
          sum += drain(reader);
        }
        return sum;
      },
    },
    {
      what: "read from a stream, pieces of 100 B",
      where: "any buffer",
      size,
      run: (count) => {
        let sum = 0;
        for (let i = 0; i < count; i += messages) {
          for (const part of pieces) {
            reader.push(part);
            sum += drain(reader);
          }
        }
        return sum;
      },
    },
  ];
}

function allCases(): Case[] {
  const list: Case[] = [];
  const module = compileXxh3Kernel();
  if (module !== undefined) {
    const memory = new WebAssembly.Memory({ initial: 2, maximum: 2 });
    const codec = new MessageCodec(new WasmXxh3(module, { memory }));
    const inside = new Uint8Array(memory.buffer, XXH3_WORKSPACE_BYTES, 8192);
    for (const size of SIZES) list.push(...cases(codec, inside, "kernel memory", size));
    for (const size of SIZES) list.push(...cases(codec, new Uint8Array(8192), "any buffer", size));
    for (const size of SIZES) list.push(...readerCases(codec, size));
  }
  const limbs = new MessageCodec(new LimbsXxh3());
  for (const size of SIZES) list.push(...cases(limbs, new Uint8Array(8192), "no WebAssembly", size));
  return list;
}

const json = process.argv.includes("--json");
if (!json) console.log(`${runtime}, ns per message\n\n${row("", "", "size", "best", "median")}`);
for (const entry of allCases()) {
  const result = measure(entry);
  if (json) console.log(JSON.stringify(result));
  else console.log(row(result.what, result.where, `${result.size}`, result.best.toFixed(1), result.median.toFixed(1)));
}
if (Number.isNaN(sink)) process.exitCode = 1;

function row(what: string, where: string, size: string, best: string, median: string): string {
  return `${what.padEnd(36)}${where.padEnd(16)}${size.padStart(6)}${best.padStart(10)}${median.padStart(10)}`;
}

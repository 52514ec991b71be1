import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ErrorCode } from "../../lib/codec/error_codes.ts";
import { MessageCodec } from "../../lib/codec/message.ts";
import { MessageReader } from "../../lib/codec/message_reader.ts";
import { MessageType } from "../../lib/codec/message_type.ts";
import { decodeStreamOpen, type ResumeRequest } from "../../lib/codec/payloads/stream_open.ts";
import { CallMessages } from "../../lib/mesh/call_messages.ts";
import { CHUNK_OVERHEAD, ResumableEnd, type ResumableEndOptions } from "../../lib/mesh/resumable_end.ts";
import { StreamSender } from "../../lib/mesh/agent_streams.ts";
import { StreamMessages } from "../../lib/mesh/stream_messages.ts";
import { Unacknowledged } from "../../lib/mesh/unacknowledged.ts";
import { property } from "../support/seed.ts";

const codec = new MessageCodec();
const calls = new CallMessages(codec);
const messages = new StreamMessages(calls.writer);
const IDS = { idHigh: 1, idLow: 2, traceHigh: 3, traceLow: 4 };
const ID = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
const AGENT = new Uint8Array(16).fill(7);
const TOKEN = new Uint8Array(16).fill(5);
const WINDOW = 30_000;

function endOf(role: "opener" | "answerer", more: Partial<ResumableEndOptions> = {}, reader?: MessageReader) {
  const options = {
    codec,
    messages,
    ids: IDS,
    streamId: ID,
    kind: "bidirectional",
    bufferBytes: 4_096,
    ...more,
  } as const;
  return new ResumableEnd({ ...options, role }, reader);
}

/** Bytes under way in one direction. */
class Pipe {
  #bytes: number[] = [];
  #fin = false;
  #finRead = false;

  get size(): number {
    return this.#bytes.length;
  }

  fill(from: ResumableEnd): void {
    for (let next = from.poll(); next !== undefined; next = from.poll()) {
      assert.ok(!this.#fin, "nothing is sent behind FIN");
      for (const byte of next.bytes) this.#bytes.push(byte);
      this.#fin = next.fin;
    }
  }

  /** At most so many bytes, and whether the end was met. */
  take(count: number): { bytes: Uint8Array; fin: boolean } {
    const bytes = Uint8Array.from(this.#bytes.splice(0, count));
    const fin = this.#fin && !this.#finRead && this.#bytes.length === 0;
    this.#finRead ||= fin;
    return { bytes, fin };
  }
}

/** Two ends, and a connection between them that may be cut at any byte. */
class Pair {
  readonly opener: ResumableEnd;
  answerer: ResumableEnd | undefined;
  cuts = 0;
  #out = new Pipe();
  #back = new Pipe();
  /** Reads the StreamOpen. */
  #openReader: MessageReader | undefined = undefined;
  readonly #ownBuffer: number;
  readonly #allowed: number;

  constructor(ownBuffer: number, allowed: number) {
    this.opener = endOf("opener", { bufferBytes: ownBuffer });
    this.#ownBuffer = ownBuffer;
    this.#allowed = allowed;
    this.connect();
  }

  connect(): void {
    this.#out = new Pipe();
    this.#back = new Pipe();
    this.#openReader = new MessageReader(codec);
    const at = this.opener.state === undefined && this.cuts === 0 ? {} : { at: this.opener.received };
    const resume: ResumeRequest = { token: TOKEN, bufferBytes: this.#ownBuffer, ...at };
    this.opener.attachOpener(
      messages.open(IDS, undefined, { streamId: ID, target: AGENT, kind: "bidirectional", resume }),
    );
  }

  cut(): void {
    // Before the answerer has said anything, there is nothing to go on with.
    if (this.opener.state === undefined && this.cuts === 0) return;
    this.cuts++;
    this.opener.detach();
    this.answerer!.detach();
    this.connect();
  }

  /** Moves what may be moved. */
  move(outward: boolean, count: number): void {
    this.#out.fill(this.opener);
    if (this.answerer !== undefined) this.#back.fill(this.answerer);
    const { bytes, fin } = (outward ? this.#out : this.#back).take(count);
    if (!outward) return deliver(this.opener, bytes, fin);
    if (this.#openReader === undefined) return deliver(this.answerer!, bytes, fin);
    const reader = this.#openReader;
    reader.push(bytes);
    const message = reader.next();
    if (message === undefined) return;
    assert.ok("type" in message && message.type === MessageType.STREAM_OPEN);
    const open = decodeStreamOpen(message.bytes, message.payloadStart, message.payloadEnd);
    assert.ok("resume" in open);
    this.#openReader = undefined;
    const bufferBytes = Math.min(this.#ownBuffer, this.#allowed);
    const state = { agentId: AGENT, windowMillis: WINDOW, bufferBytes };
    if (open.resume!.at === undefined) {
      this.answerer = endOf("answerer", {}, reader);
      assert.ok(this.answerer.attachAnswerer(state));
    } else assert.ok(this.answerer!.attachAnswerer(state, open.resume!.at, reader), "the answerer can go on");
    if (fin) this.answerer!.finish();
  }
}

function deliver(to: ResumableEnd, bytes: Uint8Array, fin: boolean): void {
  assert.ok(to.wantsBytes, "who keeps to the rules is always heard");
  if (bytes.length > 0) to.push(bytes);
  if (fin) to.finish();
  const { ending } = to;
  assert.ok(ending === undefined || ending.kind === "closed", JSON.stringify(ending));
}

/** What the application of one side is to do. */
interface Plan {
  readonly chunks: Uint8Array[];
  readonly stopAfter: number;
}

/** What it has done. */
class Side {
  written = 0;
  closed = false;
  readonly got: Uint8Array[] = [];
  stopped = false;
  readonly chunks: Uint8Array[];
  readonly stopAfter: number;

  constructor({ chunks, stopAfter }: Plan) {
    this.chunks = chunks;
    this.stopAfter = stopAfter;
  }
}

function write(end: ResumableEnd, side: Side): void {
  if (side.closed) return;
  if (side.written < side.chunks.length && !end.isEnough) {
    if (end.hasRoom) end.write(side.chunks[side.written++]);
    return;
  }
  side.closed = true;
  end.end(0, "");
}

function read(end: ResumableEnd, side: Side): void {
  if (!side.stopped && side.got.length >= side.stopAfter) {
    side.stopped = true;
    end.stopReading();
  }
  if (side.stopped) return;
  const chunk = end.read();
  if (chunk !== undefined) side.got.push(chunk.slice());
}

const chunk = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ maxLength: 40 }) },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 1_000, maxLength: 3_000 }) },
);
const plan: fc.Arbitrary<Plan> = fc.record({
  chunks: fc.array(chunk, { maxLength: 60, size: "max" }),
  stopAfter: fc.oneof(fc.constant(Infinity), fc.constant(Infinity), fc.nat(40)),
});
const step = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom("write A", "write B", "read A", "read B") },
  { weight: 6, arbitrary: fc.tuple(fc.boolean(), fc.oneof(fc.nat(30), fc.nat(3_000))) },
  { weight: 1, arbitrary: fc.constant("cut") },
);
const buffer = fc.oneof(fc.constant(1), fc.integer({ min: 600, max: 8_000 }));

test("whatever the cuts, all chunks arrive once and in order, and no end holds more than its bound", () => {
  let cuts = 0;
  fc.assert(
    fc.property(
      plan,
      plan,
      buffer,
      buffer,
      fc.array(step, { maxLength: 400, size: "max" }),
      (one, two, own, allowed, steps) => {
        const a = new Side(one);
        const b = new Side(two);
        const pair = new Pair(own, allowed);
        const act = (what: string): void => {
          const isA = what.endsWith("A");
          const end = isA ? pair.opener : pair.answerer;
          if (end === undefined) return;
          (what.startsWith("write") ? write : read)(end, isA ? a : b);
        };
        const check = (): void => {
          for (const end of [pair.opener, pair.answerer]) {
            // What is kept, and what is not read; until it is told, an opener keeps to its own buffer.
            const largest = own + Math.min(own, allowed) + 2 * (3_000 + CHUNK_OVERHEAD);
            assert.ok(end === undefined || end.heldBytes <= largest, `${end?.heldBytes} bytes are held`);
          }
        };
        for (const next of steps) {
          if (next === "cut") pair.cut();
          else if (typeof next === "string") act(next);
          else pair.move(...next);
          check();
        }
        // No more cuts: it comes to its end by itself.
        for (let i = 0; !(pair.opener.isOver && pair.answerer?.isOver); i++) {
          assert.ok(i < 2_000, "both sides come to an end");
          for (const what of ["write A", "write B", "read A", "read B"]) act(what);
          pair.move(true, 5_000);
          pair.move(false, 5_000);
          check();
        }
        cuts += pair.cuts;
        for (const [from, to] of [[a, b], [b, a]]) {
          assert.deepEqual(to.got, from.chunks.slice(0, to.got.length), "the same chunks, in order");
          if (!to.stopped) assert.equal(to.got.length, from.chunks.length, "all of them");
        }
      },
    ),
    property(60),
  );
  assert.ok(cuts > 0, "connections were cut");
});

test("an end has room for its buffer and a part of one more chunk, and again when that was taken", () => {
  const opener = endOf("opener", { bufferBytes: 10_000 });
  opener.attachOpener(new Uint8Array(1));
  opener.push(
    messages.resumeState(IDS, { streamId: ID, agentId: AGENT, next: 0, windowMillis: 1, bufferBytes: 6_000 }),
  );
  const fill = (): number => {
    let written = 0;
    for (; opener.hasRoom && written < 1_000; written++) opener.write(new Uint8Array(44));
    return written;
  };
  assert.equal(fill(), 20);
  assert.equal(opener.heldBytes, 20 * (44 + CHUNK_OVERHEAD));
  opener.push(messages.progress(IDS, { streamId: ID, next: 7, isEnough: false }));
  assert.equal(fill(), 7);
  opener.detach();
  assert.equal(fill(), 0);
});

test("a side that was told more than was sent, or of another stream, has found the end", () => {
  const violates = (bytes: Uint8Array, what: RegExp): void => {
    const opener = endOf("opener");
    opener.attachOpener(new Uint8Array(1));
    opener.write(Uint8Array.of(1));
    opener.push(bytes);
    const { ending } = opener;
    assert.ok(ending?.kind === "violation", String(what));
    assert.equal(ending.code, ErrorCode.STREAM_PROTOCOL);
    assert.match(ending.text, what);
  };
  const good = { streamId: ID, agentId: AGENT, next: 0, windowMillis: 1, bufferBytes: 70_000 };
  const other = new Uint8Array(16);
  const state = messages.resumeState(IDS, good);
  const progress = (next: number, streamId = ID): Uint8Array =>
    join(state, messages.progress(IDS, { streamId, next, isEnough: false }));
  violates(messages.resumeState(IDS, { ...good, next: 2 }), /asks for message 2 of 1/);
  violates(messages.resumeState(IDS, { ...good, streamId: other }), /ResumeState of another stream/);
  violates(messages.chunk(IDS, ID, 0, new Uint8Array(1)), /a StreamChunk message before the ResumeState/);
  violates(progress(2), /2 messages of 1/);
  violates(progress(1, other), /StreamProgress of another stream/);
  violates(
    join(state, messages.close(IDS, ID, 0, ""), messages.chunk(IDS, ID, 0, new Uint8Array(1))),
    /follow the StreamClose/,
  );
});

test("an answerer does not go on where it has forgotten, or has never been", () => {
  const answerer = endOf("answerer");
  const state = { agentId: AGENT, windowMillis: WINDOW, bufferBytes: 4_096 };
  assert.ok(answerer.attachAnswerer(state));
  for (let i = 0; i < 3; i++) answerer.write(Uint8Array.of(i));
  answerer.push(messages.progress(IDS, { streamId: ID, next: 2, isEnough: false }));
  answerer.detach();
  assert.equal(answerer.attachAnswerer(state, 1), false);
  assert.equal(answerer.attachAnswerer(state, 4), false);
  assert.equal(answerer.poll(), undefined);
  assert.ok(answerer.attachAnswerer(state, 2));
});

test("messages are kept by their number until they are acknowledged", () => {
  const kept = new Unacknowledged();
  for (let i = 0; i < 1_000; i++) {
    kept.add(Uint8Array.of(i & 255), 10);
    if (i % 3 === 0) kept.acknowledge(Math.max(0, i - 100));
  }
  assert.deepEqual([kept.first, kept.end, kept.cost], [899, 1_000, 1_010]);
  assert.equal(kept.at(950)[0], 950 & 255);
  assert.throws(() => kept.at(898), RangeError);
  assert.throws(() => kept.at(1_000), RangeError);
  assert.throws(() => kept.acknowledge(1_001), RangeError);
  kept.acknowledge(1_000);
  assert.deepEqual([kept.first, kept.end, kept.cost], [1_000, 1_000, 0]);
});

function join(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

test("chunks that nobody reads keep no memory alive but their own", () => {
  const end = endOf("answerer", { bufferBytes: 65_536 });
  end.attachAnswerer({ agentId: AGENT, windowMillis: WINDOW, bufferBytes: 65_536 });
  const sender = new StreamSender(messages, IDS, ID);
  const count = 200;
  for (let i = 0; i < count; i++) {
    // As the transport gives small pieces: each a view of a block.
    const block = new Uint8Array(4_096);
    const bytes = sender.chunk(Uint8Array.of(i));
    block.set(bytes, 100);
    end.push(block.subarray(100, 100 + bytes.length));
  }
  const held = end.heldBytes;
  const blocks = new Set<ArrayBufferLike>();
  for (let i = 0; i < count; i++) {
    const chunk = end.read()!;
    assert.deepEqual(chunk, Uint8Array.of(i));
    blocks.add(chunk.buffer);
  }
  const memory = [...blocks].reduce((sum, { byteLength }) => sum + byteLength, 0);
  // The first few are the reader's, which as a rule is quick.
  assert.ok(memory <= held + 16 * 16_384, `${memory} bytes of memory for ${held}`);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { concatBytes } from "../../lib/base/bytes.ts";
import { CodecError } from "../../lib/codec/codec_error.ts";
import { MessageCodec } from "../../lib/codec/message.ts";
import { MessageFlag } from "../../lib/codec/message_header.ts";
import { MessageReader } from "../../lib/codec/message_reader.ts";
import { MessageType } from "../../lib/codec/message_type.ts";
import { DeliveryReader, readDatagramDelivery } from "../../lib/mesh/delivery_reader.ts";
import { EventMessages } from "../../lib/mesh/event_messages.ts";
import { MessageWriter } from "../../lib/mesh/message_writer.ts";
import { property } from "../support/seed.ts";

const codec = new MessageCodec();
const writer = new MessageWriter(codec);
const messages = new EventMessages(writer);
const ids = { idHigh: 1, idLow: 2, traceHigh: 3, traceLow: 4 };
const key = new Uint8Array(32).fill(9);
const event = { topic: "a.b", data: Uint8Array.of(1, 2, 3) };
const whole = (target?: Uint8Array): Uint8Array => {
  const metadata = { contentType: "text/plain", application: [], ...(target && { target }) };
  return messages.passedOn(ids, metadata, key, event, false);
};

/** What a subscriber makes of bytes: one line for each thing that it is told. */
function told(bytes: Uint8Array): string[] {
  const reader = new MessageReader(codec);
  reader.push(bytes);
  const deliveries = new DeliveryReader();
  const lines: string[] = [];
  for (let message = reader.next(); message !== undefined; message = reader.next()) {
    if (message instanceof CodecError) return [...lines, "not a message"];
    const part = deliveries.take(message);
    if (typeof part === "string") return [...lines, part];
    if (part === undefined) continue;
    lines.push("missed" in part ? `missed ${part.missed}` : `${part.topic} ${part.data} ${part.metadata.contentType}`);
  }
  return lines;
}

test("an event is told with what stands in front of it, which counts for no other", () => {
  const bare = messages.passedOn(ids, undefined, key, event, false);
  const unknown = writer.message(0xa1, 0, ids, Uint8Array.of(1));
  const bytes = concatBytes(whole(), messages.missed(ids, 7), unknown, bare);
  assert.deepEqual(told(bytes), ["a.b 1,2,3 text/plain", "missed 7", "a.b 1,2,3 undefined"]);
});

test("what is no event, or is from nobody, ends what a subscriber listens to", () => {
  const cases: [bytes: Uint8Array, said: RegExp][] = [
    [messages.event(ids, undefined, event, false), /from nobody/],
    [concatBytes(whole(), messages.event(ids, undefined, event, false)), /from nobody/],
    [writer.message(MessageType.CALL, 0, ids, new Uint8Array(20)), /a Call message/],
    [writer.message(MessageType.MISSED, 0, ids, new Uint8Array(8)), /count/],
    [writer.message(MessageType.PUBLISHER, 0, ids, new Uint8Array(31)), /public key/],
    [writer.message(MessageType.METADATA, 0, ids, Uint8Array.of(1)), /TLV/],
    [messages.passedOn(ids, undefined, key, event, false, MessageFlag.ENCRYPTED), /compressed or encrypted/],
  ];
  for (const [bytes, said] of cases) assert.match(told(bytes).at(-1)!, said);
});

test("a DATAGRAM frame holds one published event, or it is for somebody else", () => {
  assert.equal(readDatagramDelivery(codec, whole())?.topic, "a.b");
  const others = [
    new Uint8Array(0),
    whole().subarray(0, -1),
    concatBytes(whole(), Uint8Array.of(0)),
    whole(new Uint8Array(16).fill(1)),
    messages.event(ids, undefined, event, false),
    messages.missed(ids, 1),
  ];
  for (const bytes of others) assert.equal(readDatagramDelivery(codec, bytes), undefined);
});

test("whatever a node sends, a subscriber never stumbles", () => {
  const good = concatBytes(whole(), messages.missed(ids, 3), whole());
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, byte, length) => {
      const bytes = good.slice();
      bytes[at] = byte;
      told(bytes.subarray(0, length));
      readDatagramDelivery(codec, bytes.subarray(0, length));
    }),
    property(300),
  );
});

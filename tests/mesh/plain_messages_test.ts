import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { nilUuid } from "../../lib/base/uuid.ts";
import { CodecError } from "../../lib/codec/codec_error.ts";
import { ErrorCode } from "../../lib/codec/error_codes.ts";
import { MessageCodec, type MessageView } from "../../lib/codec/message.ts";
import { MessageFlag } from "../../lib/codec/message_header.ts";
import { MessageType } from "../../lib/codec/message_type.ts";
import {
  MAX_PLAIN_DATAGRAM,
  MAX_PLAIN_PAYLOAD,
  PlainMessages,
  requestIdOf,
  withRequestId,
} from "../../lib/mesh/plain_messages.ts";
import { readPlainRequest } from "../../lib/mesh/plain_request.ts";
import { property } from "../support/seed.ts";

const codec = new MessageCodec();
const messages = new PlainMessages(codec);
const IDS = { idHigh: 1, idLow: 2, traceHigh: 3, traceLow: 4 };
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

function viewOf(type: number, payload: Uint8Array, flags = 0): MessageView {
  const out = new Uint8Array(payload.length + 40);
  codec.encode(out, 0, { type, flags, ...IDS }, payload);
  return decoded(out);
}

function decoded(bytes: Uint8Array): MessageView {
  const view = codec.decodeExact(bytes);
  assert.ok(!(view instanceof CodecError), String(view));
  return view;
}

test("a request_id goes in front of every JSON object that has none, and changes nothing else", () => {
  for (
    const [data, expected] of [
      ["{}", `{"request_id":"r"}`],
      ["{ \n\t\r}", `{"request_id":"r" \n\t\r}`],
      [`{"a":1}`, `{"request_id":"r","a":1}`],
      [`{  "a":1 }`, `{"request_id":"r",  "a":1 }`],
      [`{"é":{"request_id":1}}`, `{"request_id":"r","é":{"request_id":1}}`],
      [`{"request_id":null}`, `{"request_id":"r","request_id":null}`],
    ]
  ) assert.equal(textOf(withRequestId(utf8(data), "r")!), expected);
  for (const data of ["", "{", "[]", "1", `"{}"`, `{"request_id":"mine"}`, `{"request_id":0}`, "{,}", "{}x", " {}"]) {
    assert.equal(withRequestId(utf8(data), "r"), undefined, data);
  }
  const key = fc.string().filter((key) => key !== "request_id" && key !== "__proto__");
  fc.assert(
    fc.property(fc.dictionary(key, fc.jsonValue({ maxDepth: 2 })), fc.nat(3), (object, indent) => {
      const data = utf8(JSON.stringify(object, undefined, indent));
      const out = withRequestId(data, "0123456789abcdef")!;
      assert.equal(requestIdOf(out, 0, out.length), "0123456789abcdef");
      const { request_id: _, ...rest } = JSON.parse(textOf(out));
      assert.deepEqual(rest, JSON.parse(textOf(data)));
    }),
    property(100),
  );
  for (const data of [`{"request_id":7}`, "{}", "[]", `{"request_id":null}`]) {
    assert.equal(requestIdOf(utf8(data), 0, data.length), undefined, data);
  }
});

test("an Error is as long as it may be and no longer, in either form, whatever its text", () => {
  const characters = fc.constantFrom("a", "é", "\u0000", "😀", "\ud800", '"', "\n", "…");
  const texts = fc.array(characters, { maxLength: 1_500, size: "max" }).map((list) => list.join(""));
  fc.assert(
    fc.property(texts, fc.nat(400), fc.boolean(), (text, room, isJson) => {
      const most = 120 + room;
      const bytes = messages.error(IDS, isJson ? "json" : "binary", ErrorCode.UNSUPPORTED_TYPE, false, text, most);
      assert.ok(bytes.length <= most, `${bytes.length} of ${most}`);
      const view = decoded(bytes);
      assert.deepEqual([view.idHigh, view.idLow, view.traceHigh, view.traceLow], [1, 2, 3, 4]);
      if (!isJson) return;
      const { error, code } = JSON.parse(textOf(view.payload));
      assert.equal(code, "UNSUPPORTED_TYPE");
      assert.ok(text.toWellFormed().startsWith(error.replace(/[\ufffd…]$/, "")), error);
    }),
    property(60),
  );
});

test("no message is longer than a datagram", () => {
  assert.equal(messages.response(IDS, new Uint8Array(MAX_PLAIN_PAYLOAD)).length, MAX_PLAIN_DATAGRAM);
  assert.throws(() => messages.response(IDS, new Uint8Array(MAX_PLAIN_PAYLOAD + 1)), RangeError);
  const data = new Uint8Array(MAX_PLAIN_PAYLOAD - 19);
  assert.throws(() => messages.call(IDS, "binary", nilUuid(), 1, data), RangeError);
});

test("a datagram is read as what its type and its payload say, and never throws", () => {
  const kindOf = (type: number, payload: string | Uint8Array, flags = 0): string => {
    const request = readPlainRequest(viewOf(type, typeof payload === "string" ? utf8(payload) : payload, flags));
    return "form" in request ? `${request.kind} ${request.form}` : request.kind;
  };
  const { CALL, RESPONSE, ERROR, ACK, METADATA, EVENT, AGENT_HEARTBEAT } = MessageType;
  assert.equal(kindOf(CALL, "{}"), "call json");
  assert.equal(kindOf(CALL, `{"a":1`), "refused binary");
  assert.equal(kindOf(CALL, `{"a":1,"b":22222222222`), "call binary");
  assert.equal(kindOf(CALL, `{"a":1,"b":2222222222x}`), "call binary");
  assert.equal(kindOf(CALL, "{}", MessageFlag.COMPRESSED), "refused json");
  assert.equal(kindOf(CALL, new Uint8Array(20), MessageFlag.ENCRYPTED), "refused binary");
  assert.equal(kindOf(EVENT, "{}"), "refused json");
  assert.equal(kindOf(AGENT_HEARTBEAT, "{}"), "refused json");
  assert.equal(kindOf(AGENT_HEARTBEAT, new Uint8Array(3)), "refused binary");
  for (const type of [RESPONSE, ERROR]) assert.equal(kindOf(type, "{}"), "answer");
  for (const type of [ACK, METADATA, 0xef]) assert.equal(kindOf(type, "{}"), "ignored");
  fc.assert(
    fc.property(fc.constantFrom(...Object.values(MessageType)), fc.uint8Array(), fc.nat(15), (type, payload, flags) => {
      readPlainRequest(viewOf(type, payload, flags));
    }),
    property(300),
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { address } from "../../../lib/base/address.ts";
import * as codec from "../../../lib/codec/mod.ts";
import { unhex } from "../golden.ts";

const { CodecError } = codec;
const ID = "00112233445566778899aabbccddeeff";
const AGENT = unhex(ID);
/** A registration without TLVs: no name, no capability, no endpoint. */
const REGISTER = `${ID} 0000 0000 00000000 0000`;

/** The code and field of a refusal. */
function refusal(result: unknown): string {
  assert.ok(result instanceof CodecError, `accepted: ${JSON.stringify(result)}`);
  return `${result.code} ${result.field}`;
}

function accepted<T>(result: T | codec.CodecError): T {
  if (result instanceof CodecError) assert.fail(result.toString());
  return result;
}

function register(hex: string): codec.AgentRegister | codec.CodecError {
  return codec.decodeAgentRegister(unhex(hex));
}

function metadata(hex: string): codec.Metadata | codec.CodecError {
  return codec.decodeMetadata(unhex(hex));
}

test("TLVs of unknown types are skipped, even twice", () => {
  const value = accepted(
    register(`${REGISTER} 7f 0300 ffffff 7f 0000 1f 0100 00 1f 0100 00 07 0400 01000000 ff 0100 9c`),
  );
  assert.equal(value.leaseMillis, 1);
  const passedOn = accepted(metadata("20 0200 0102 08 0100 07 60 0000"));
  assert.equal(passedOn.hopLimit, 7);
  const again = new Uint8Array(codec.sizeOfMetadata({ unknown: passedOn.unknown! }));
  codec.encodeMetadata(again, 0, { unknown: passedOn.unknown! });
  assert.deepEqual(again, unhex("20 0200 0102 60 0000"), "whoever passes it on passes them on, too");
  accepted(codec.decodeStreamOpen(unhex(`${ID} ${ID} 01 25 0200 0102`)));
  assert.equal(refusal(codec.decodeStreamOpen(unhex(`${ID} ${ID} 01 25 0200 01`))), "truncated_payload TLV value");
  const at = "02 0800 0000000000000000";
  assert.equal(refusal(codec.decodeStreamOpen(unhex(`${ID} ${ID} 01 ${at}`))), "bad_value resume at without a token");
  assert.equal(refusal(codec.decodeStreamOpen(unhex(`${ID} ${ID} 01 01 0100 00`))), "bad_value resume token length");
});

test("a priority that is not known is the least urgent one", () => {
  for (const [byte, priority] of [["01", "interactive"], ["02", "bulk"], ["00", "bulk"], ["07", "bulk"]]) {
    assert.equal(accepted(metadata(`0b 0100 ${byte}`)).priority, priority);
  }
});

test("a known TLV that is there twice is refused, unless it may repeat", () => {
  const key = "00".repeat(32);
  assert.equal(refusal(register(`${REGISTER} 01 2000 ${key} 01 2000 ${key}`)), "duplicate_field public key");
  const endpoint = "02 1200 20010db8000000000000000000000001 2923";
  assert.equal(refusal(register(`${REGISTER} ${endpoint} ${endpoint}`)), "duplicate_field IPv6 endpoint");
  assert.equal(refusal(register(`${REGISTER} 03 0000 03 0000`)), "duplicate_field version");
  assert.equal(refusal(register(`${REGISTER} 07 0400 01000000 07 0400 01000000`)), "duplicate_field lease");
  assert.deepEqual(accepted(register(`${REGISTER} 05 0100 61 05 0100 61`)).tags, ["a", "a"]);
  assert.deepEqual(accepted(register(`${REGISTER} 06 0200 01 6b 06 0200 01 6b`)).metadata, [["k", ""], ["k", ""]]);
  assert.equal(refusal(metadata("01 0000 01 0000")), "duplicate_field method");
  assert.equal(refusal(metadata("08 0100 01 08 0100 01")), "duplicate_field hop limit");
  const attempt = "0f 0900 010000000000000000";
  assert.equal(refusal(metadata(`${attempt} ${attempt}`)), "duplicate_field attempt");
  assert.equal(refusal(codec.decodeAgentDiscover(unhex("00 0000 03 0000 03 0000"))), "duplicate_field watch");
});

test("a TLV with the wrong length is refused", () => {
  assert.equal(refusal(metadata("0f 0800 0100000000000000")), "bad_value attempt length");
  assert.equal(refusal(metadata("10 0400 01020304")), "bad_value origin length");
  assert.equal(refusal(register(`${REGISTER} 01 1f00 ${"00".repeat(31)}`)), "bad_value public key length");
  assert.equal(refusal(register(`${REGISTER} 02 0600 7f0000012823`)), "bad_value IPv6 endpoint length");
  assert.equal(refusal(register(`${REGISTER} 07 0300 010000`)), "bad_value lease length");
  assert.equal(refusal(metadata("02 0800 0100000000000000")), "bad_value deadline length");
  assert.equal(refusal(metadata("08 0000")), "bad_value hop limit length");
  assert.equal(refusal(codec.decodeAgentDiscover(unhex("00 0000 02 0000"))), "bad_value cursor");
  assert.equal(refusal(codec.decodeAgentDiscover(unhex(`00 0000 02 4100 ${"07".repeat(65)}`))), "bad_value cursor");
  assert.equal(refusal(codec.decodeAgentDiscover(unhex("00 0000 03 0100 00"))), "bad_value watch length");
});

test("a TLV that runs past the end is refused", () => {
  for (const tail of ["01", "01 20", "03 0500 31323334"]) {
    assert.match(refusal(register(`${REGISTER} ${tail}`)), /^truncated_payload TLV/);
  }
});

test("text that is not UTF-8 is refused wherever it stands", () => {
  // An overlong slash, a lone continuation byte, a surrogate, a code point too high, a character cut off.
  for (const bad of ["c0af", "80", "eda080", "f4908080", "e282"]) {
    const length = (bad.length / 2).toString(16).padStart(2, "0");
    assert.equal(refusal(register(`${ID} ${length}00 ${bad} 0000 00000000 0000`)), "bad_utf8 name");
    assert.equal(refusal(register(`${ID} 0000 0100 ${length}00 ${bad} 00000000 0000`)), "bad_utf8 capability");
    assert.equal(refusal(register(`${REGISTER} 04 ${length}00 ${bad}`)), "bad_utf8 description");
    assert.equal(refusal(register(`${REGISTER} 05 ${length}00 ${bad}`)), "bad_utf8 tag");
    assert.equal(refusal(codec.decodeEvent(unhex(`${length}00 ${bad}`))), "bad_utf8 topic");
    assert.equal(refusal(codec.decodeError(unhex(`0100 00 ${bad}`))), "bad_utf8 text");
    assert.equal(refusal(codec.decodeStreamClose(unhex(`${ID} 0000 ${bad}`))), "bad_utf8 reason");
    assert.equal(refusal(codec.decodeAgentDiscover(unhex(`02 ${length}00 ${bad}`))), "bad_utf8 name");
    assert.equal(refusal(metadata(`01 ${length}00 ${bad}`)), "bad_utf8 method");
    assert.equal(refusal(metadata(`07 0${bad.length / 2 + 1}00 00 ${bad}`)), "bad_utf8 application entry");
  }
  // A character that is cut in two by the border between key and value.
  assert.equal(refusal(metadata("07 0300 01 c3a4")), "bad_utf8 application entry");
});

test("a key that is longer than its entry is refused", () => {
  assert.equal(refusal(metadata("07 0000")), "truncated_payload application entry key");
  assert.equal(refusal(metadata("07 0300 03 6b31")), "truncated_payload application entry key");
  assert.equal(refusal(register(`${REGISTER} 06 0100 01`)), "truncated_payload metadata key");
});

test("values outside of what is defined are refused", () => {
  assert.equal(refusal(codec.decodeStreamOpen(unhex(`${ID} ${ID} 00`))), "bad_value kind");
  assert.equal(refusal(codec.decodeStreamOpen(unhex(`${ID} ${ID} 03`))), "bad_value kind");
  assert.equal(refusal(codec.decodeError(unhex("0100 02"))), "bad_value retryable");
  assert.equal(refusal(codec.decodeRegisterResponse(unhex(`02 ${ID} 00000000 00000000`))), "bad_value success");
  assert.equal(
    refusal(codec.decodeHeartbeatResponse(unhex(`01 ff ${ID} 0000000000000000`))),
    "bad_value needs register",
  );
  assert.equal(refusal(codec.decodeAgentHeartbeat(unhex(`${ID} 01 0100 00`))), "bad_value status");
  assert.equal(refusal(codec.decodeAgentHeartbeat(unhex(`${ID} 01 0100 04`))), "bad_value status");
  assert.equal(refusal(codec.decodeAgentDiscover(unhex("04 0000"))), "bad_value query kind");
  assert.equal(refusal(codec.decodeAgentDiscover(unhex("00 0100 61"))), "bad_value query length");
  assert.equal(
    refusal(codec.decodeAgentDiscover(unhex("03 0f00 000000000000000000000000000000"))),
    "bad_value query length",
  );
  assert.equal(refusal(codec.decodeAgentDiscover(unhex("00 0000 01 0200 0000"))), "bad_value limit");
});

test("u64 counters above 2^53 − 1 are refused and never rounded", () => {
  for (const bad of ["0000000000002000", "ffffffffffffffff", "0100000000000080"]) {
    assert.equal(refusal(codec.decodeStreamChunk(unhex(`${ID} ${bad}`))), "bad_value sequence");
    assert.equal(refusal(codec.decodeHeartbeatResponse(unhex(`01 00 ${ID} ${bad}`))), "bad_value timestamp");
    const record = `${REGISTER} 12 0800 ${bad}`;
    const length = (record.replaceAll(" ", "").length / 2).toString(16).padStart(2, "0");
    const response = codec.decodeDiscoverResponse(unhex(`0100 ${length}000000 ${record}`));
    assert.equal(refusal(response), "bad_value last heartbeat");
  }
  const largest = accepted(codec.decodeStreamChunk(unhex(`${ID} ffffffffffff1f00`)));
  assert.equal(largest.sequence, Number.MAX_SAFE_INTEGER);
});

test("a traceparent that is none is refused", () => {
  const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const bad = [
    good.slice(0, -1),
    good.toUpperCase(),
    good.replace("00-", "ff-"),
    good.replace("-b7", "_b7"),
    `00-${"0".repeat(32)}-b7ad6b7169203331-01`,
    `00-0af7651916cd43dd8448eb211c80319c-${"0".repeat(16)}-01`,
  ];
  for (const text of bad) {
    const bytes = new TextEncoder().encode(text);
    const payload = Uint8Array.of(3, bytes.length, 0, ...bytes);
    assert.equal(refusal(codec.decodeMetadata(payload)), "bad_value traceparent");
    assert.throws(() => codec.sizeOfMetadata({ traceparent: text }), RangeError);
  }
});

test("what a header carries of a traceparent is the low half of its trace id", () => {
  const ids = codec.headerTraceId("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  assert.deepEqual(ids, { traceHigh: 0x8448eb21, traceLow: 0x1c80319c });
  assert.throws(() => codec.headerTraceId("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0"), RangeError);
});

test("counts are compared with what is there before anything is made of them", () => {
  assert.equal(refusal(register(`${ID} 0000 ffff 00000000 0000`)), "too_many capabilities");
  assert.equal(refusal(register(`${ID} 0000 0004 00000000 0000`)), "truncated_payload capability");
  assert.equal(refusal(codec.decodeDiscoverResponse(unhex("ffff"))), "truncated_payload record length");
  assert.equal(refusal(codec.decodeDiscoverResponse(unhex("0100 ffffffff"))), "truncated_payload record");
  assert.equal(refusal(register(`${REGISTER} ${"05 0000 ".repeat(257)}`)), "too_many tags");
  assert.equal(refusal(register(`${REGISTER} ${"06 0100 00 ".repeat(257)}`)), "too_many metadata entries");
  assert.equal(refusal(metadata("07 0100 00 ".repeat(129))), "too_many application entries");
  assert.equal(refusal(metadata("7f 0000 ".repeat(8193))), "too_many TLVs");
});

test("a record in an answer cannot reach beyond its own length", () => {
  // The name would need one byte more than the record has.
  const record = `${ID} 0b00 0000 00000000 0000`;
  assert.equal(
    refusal(codec.decodeDiscoverResponse(unhex(`0100 1a000000 ${record} 6161616161`))),
    "truncated_payload name",
  );
});

test("an Ack is empty or eight bytes", () => {
  assert.equal(codec.decodeAck(new Uint8Array(0)), undefined);
  assert.equal(refusal(codec.decodeAck(new Uint8Array(7))), "truncated_payload message id");
  assert.equal(refusal(codec.decodeAck(new Uint8Array(9))), "trailing_bytes the Ack");
});

test("the endpoint 0.0.0.0:0 means over this connection; other zeros mean themselves", () => {
  assert.equal(accepted(register(REGISTER)).endpoint, undefined);
  assert.equal(accepted(register(`${ID} 0000 0000 00000000 2823`)).endpoint?.key, "0.0.0.0:9000");
  assert.equal(accepted(register(`${ID} 0000 0000 01020304 0000`)).endpoint?.key, "1.2.3.4:0");
});

test("an agent cannot say of itself what only its node may say", () => {
  const value = accepted(register(`${REGISTER} 10 0100 01 11 0200 0000 12 0800 0100000000000000`));
  assert.deepEqual(Object.keys(value).filter((key) => /status|load|Millis/.test(key)), ["leaseMillis"]);
  const spoken: codec.AgentRecord = { agentId: AGENT, name: "", capabilities: [], status: "online", load: 3 };
  assert.equal(codec.sizeOfAgentRegister(spoken), unhex(REGISTER).length);
});

test("a Call for the nil UUID is for the node itself", () => {
  const nil = "00".repeat(16);
  assert.equal(accepted(codec.decodeCall(unhex(`${nil} 00000000`))).isForNode, true);
  assert.equal(accepted(codec.decodeCall(unhex(`${ID} 00000000 00`))).isForNode, false);
});

test("payloads that are decoded without a copy are views of the caller's bytes", () => {
  const bytes = unhex(`${ID} 05000000 0102`);
  const call = accepted(codec.decodeCall(bytes));
  assert.equal(call.data.buffer, bytes.buffer);
  assert.equal(call.target.buffer, bytes.buffer);
  const event = accepted(codec.decodeEvent(unhex("0100 61 07")));
  assert.deepEqual([...event.data], [7]);
});

test("what is kept of lifecycle payloads does not hang on the caller's bytes", () => {
  const bytes = unhex(`${REGISTER} 01 2000 ${"22".repeat(32)}`);
  const value = accepted(codec.decodeAgentRegister(bytes));
  bytes.fill(0xff);
  assert.deepEqual(value.agentId, AGENT);
  assert.deepEqual(value.publicKey, new Uint8Array(32).fill(0x22));
});

test("fields out of bounds are the caller's mistake", () => {
  const good = { agentId: AGENT, name: "", capabilities: [] };
  const long = "x".repeat(65_536);
  const mistakes: (() => unknown)[] = [
    () => codec.sizeOfAgentRegister({ ...good, agentId: new Uint8Array(15) }),
    () => codec.sizeOfAgentRegister({ ...good, name: long }),
    () => codec.sizeOfAgentRegister({ ...good, capabilities: new Array(1025).fill("a") }),
    () => codec.sizeOfAgentRegister({ ...good, tags: new Array(257).fill("a") }),
    () => codec.sizeOfAgentRegister({ ...good, metadata: [["k".repeat(256), "v"]] }),
    () => codec.sizeOfAgentRegister({ ...good, publicKey: new Uint8Array(31) }),
    () => codec.sizeOfAgentRegister({ ...good, endpoint: address("::1", 1) }),
    () => codec.sizeOfAgentRegister({ ...good, endpoint: address("1.2.3.4", 65_536) }),
    () => codec.sizeOfAgentRegister({ ...good, endpoint6: address("1.2.3.4", 1) }),
    () => codec.sizeOfAgentRegister({ ...good, leaseMillis: 1.5 }),
    () => codec.sizeOfAgentDiscover({ query: { by: "all" }, limit: 0 }),
    () => codec.sizeOfAgentDiscover({ query: { by: "all" }, cursor: new Uint8Array(0) }),
    () => codec.sizeOfDiscoverResponse({ agents: [], cursor: new Uint8Array(65) }),
    () => codec.sizeOfError({ code: 65_536, retryable: false, text: "" }),
    () =>
      codec.sizeOfHeartbeatResponse({ success: true, needsRegister: false, agentId: AGENT, timestampMillis: 2 ** 53 }),
    () => codec.sizeOfMetadata({ deadlineMillis: -1 }),
    () => codec.sizeOfMetadata({ application: new Array(129).fill(["a", "b"]) }),
    () => codec.encodeCall(new Uint8Array(50), 0, { target: AGENT, timeoutSeconds: 0.5, data: AGENT }),
    () => codec.encodeCall(new Uint8Array(50), 0, { target: AGENT, timeoutSeconds: 0x0909_0909, data: AGENT }),
    () => codec.encodeCall(new Uint8Array(50), 0, { target: new Uint8Array(4), timeoutSeconds: 1, data: AGENT }),
    () => codec.encodeStreamChunk(new Uint8Array(50), 0, { streamId: AGENT, sequence: 2 ** 53, data: AGENT }),
    () => codec.encodeStreamChunk(new Uint8Array(50), 0, { streamId: new Uint8Array(1), sequence: 0, data: AGENT }),
    () => codec.encodeEvent(new Uint8Array(70_000), 0, { topic: long, data: AGENT }),
  ];
  for (const mistake of mistakes) assert.throws(mistake, RangeError, String(mistake));
});

test("a lone surrogate in a caller's text becomes U+FFFD", () => {
  const error = { code: 1, retryable: false, text: "a\ud800b" };
  const out = new Uint8Array(codec.sizeOfError(error));
  codec.encodeError(out, 0, error);
  assert.equal(accepted(codec.decodeError(out)).text, "a\ufffdb");
});

test("a capability is met exactly, below a prefix, or by a lone star", () => {
  const { capabilityMatches } = codec;
  assert.ok(capabilityMatches("text.a", "text.a"));
  assert.ok(!capabilityMatches("text.a", "text.ab"));
  assert.ok(capabilityMatches("text.*", "text.a"));
  assert.ok(capabilityMatches("text.*", "text.a.b"));
  assert.ok(capabilityMatches("text.*", "text.*"));
  assert.ok(!capabilityMatches("text.*", "text"));
  assert.ok(!capabilityMatches("text.*", "text."));
  assert.ok(!capabilityMatches("text.*", "texts.a"));
  assert.ok(!capabilityMatches("te*", "text"));
  assert.ok(capabilityMatches("*", "anything"));
  assert.ok(!capabilityMatches(".*", "a.b"));
});

test("a Subscribe with no patterns, too many, or fields out of bounds is refused", () => {
  const subscribe = (hex: string): unknown => codec.decodeSubscribe(unhex(hex));
  assert.equal(refusal(subscribe("00 00 00000000 00000000 0000")), "bad_value pattern count");
  assert.equal(refusal(subscribe("00 00 00000000 00000000 0104")), "too_many patterns");
  assert.equal(refusal(subscribe("00 00 00000000 00000000 0200 0100 61")), "truncated_payload pattern");
  assert.equal(refusal(subscribe("03 00 00000000 00000000 0100 0100 61")), "bad_value policy");
  assert.equal(refusal(subscribe("00 02 00000000 00000000 0100 0100 61")), "bad_value unreliable");
  assert.equal(refusal(subscribe("00 00 00000000 00000000 0100 0100 ff")), "bad_utf8 pattern");
  const good = { policy: "close", unreliable: true, maxEvents: 1, maxBytes: 2 } as const;
  for (const count of [0, codec.MAX_PATTERNS + 1]) {
    assert.throws(() => codec.sizeOfSubscribe({ ...good, patterns: new Array(count).fill("a") }), RangeError);
  }
});

test("what stands in front of an event that is passed on is refused if it says nothing, or half of it", () => {
  assert.equal(refusal(codec.decodeMissed(unhex("0000000000000000"))), "bad_value count");
  assert.equal(refusal(codec.decodeMissed(unhex("0000000000002000"))), "bad_value count");
  assert.equal(refusal(codec.decodePublisher(new Uint8Array(31))), "truncated_payload public key");
  assert.equal(refusal(metadata(`0a 0f00 ${"00".repeat(15)}`)), "bad_value target length");
  assert.throws(() => codec.sizeOfMissed({ count: 0 }), RangeError);
  assert.throws(() => codec.sizeOfPublisher({ publicKey: new Uint8Array(31) }), RangeError);
  assert.throws(() => codec.sizeOfMetadata({ target: new Uint8Array(15) }), /the target has 15 bytes, expected 16/);
});

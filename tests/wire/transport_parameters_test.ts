import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { concatBytes, fromHex, toHex } from "../../lib/base/bytes.ts";
import { micros, millis } from "../../lib/base/time.ts";
import { ConnectionId, ZERO_CONNECTION_ID } from "../../lib/wire/connection_id.ts";
import {
  arePaddingParameters,
  decodeTransportParameters,
  DEFAULT_PARAMETERS,
  encodePaddingParameters,
  encodeTransportParameters,
  type TransportParameters,
  transportParametersSize,
} from "../../lib/wire/transport_parameters.ts";
import { property } from "../support/seed.ts";

const ID = new ConnectionId(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
const MINIMAL: TransportParameters = { ...DEFAULT_PARAMETERS, connectionId: ID, suites: [1] };
const MANDATORY = "010800" + "0102030405060708" + "020100" + "01";

function decoded(hex: string): TransportParameters {
  const result = decodeTransportParameters(fromHex(hex)!, ID);
  if (!result.ok) assert.fail(result.error);
  return result.parameters;
}

function refusal(hex: string): string {
  const result = decodeTransportParameters(fromHex(hex)!, ID);
  assert.equal(result.ok, false, `${hex} should be refused`);
  return result.ok ? "" : result.error;
}

const ALWAYS_THERE: Exclude<keyof TransportParameters, "resetToken" | "earlyData" | "earlyAccepted" | "tickets">[] = [
  "connectionId",
  "suites",
  "maxData",
  "maxStreamData",
  "maxStreamsBidi",
  "maxStreamsUni",
  "idleTimeout",
  "maxUdpPayload",
  "maxAckDelay",
  "maxDatagramFrame",
  "activeConnectionIds",
];

const someParameters: fc.Arbitrary<TransportParameters> = fc.record({
  connectionId: fc.constant(ID),
  suites: fc.array(fc.nat(255), { minLength: 1, maxLength: 16 }),
  maxData: fc.maxSafeNat(),
  maxStreamData: fc.maxSafeNat(),
  maxStreamsBidi: fc.maxSafeNat().map((n) => n % (2 ** 51 + 1)),
  maxStreamsUni: fc.maxSafeNat().map((n) => n % (2 ** 51 + 1)),
  idleTimeout: fc.nat({ max: 0xffff_ffff }).map(millis),
  maxUdpPayload: fc.integer({ min: 1200, max: 65507 }),
  maxAckDelay: fc.nat(1_000_000).map(micros),
  maxDatagramFrame: fc.nat(0xffff),
  activeConnectionIds: fc.integer({ min: 1, max: 255 }),
  resetToken: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  earlyData: fc.uint8Array({ minLength: 1, maxLength: 900 }),
  earlyAccepted: fc.constant(true),
  tickets: fc.integer({ min: 1, max: 255 }),
}, { noNullPrototype: true, requiredKeys: ALWAYS_THERE });

test("parameters have exactly these bytes", () => {
  const bytes = encodeTransportParameters({
    connectionId: ID,
    suites: [2, 1],
    maxData: 0x100000,
    maxStreamData: 0x10000,
    maxStreamsBidi: 100,
    maxStreamsUni: 2 ** 51,
    idleTimeout: millis(30_000),
    maxUdpPayload: 1452,
    maxAckDelay: micros(25_000),
    maxDatagramFrame: 1000,
    activeConnectionIds: 4,
  }, 100);
  assert.equal(
    toHex(bytes),
    "010800" + "0102030405060708" + "020200" + "0201" + "030800" + "0000100000000000" + "040800" + "0000010000000000" +
      "050800" + "6400000000000000" + "060800" + "0000000000000800" + "070400" + "30750000" + "080200" + "ac05" +
      "090400" + "a8610000" + "0a0200" + "e803" + "0c0100" + "04" + "000900" + "000000000000000000",
  );
});

test("parameters survive the way there and back, whatever the padding", () => {
  fc.assert(
    fc.property(someParameters, fc.nat(1400), (parameters, minLength) => {
      const bytes = encodeTransportParameters(parameters, minLength);
      const size = transportParametersSize(parameters);
      if (minLength <= size) assert.equal(bytes.length, size);
      else assert.ok(bytes.length >= minLength && bytes.length <= minLength + 2);
      if (minLength >= size + 3) assert.equal(bytes.length, minLength);
      assert.deepEqual(decodeTransportParameters(bytes, ID), { ok: true, parameters });
    }),
    property(),
  );
});

test("what resumption adds to the parameters has exactly these bytes, and is there once or not at all", () => {
  const parameters = decoded(MANDATORY + "0d0300" + "a1a2a3" + "180000" + "190100" + "05");
  assert.deepEqual(
    [toHex(parameters.earlyData!), parameters.earlyAccepted, parameters.tickets],
    ["a1a2a3", true, 5],
  );
  const { earlyData, earlyAccepted, tickets } = decoded(MANDATORY);
  assert.deepEqual([earlyData, earlyAccepted, tickets], [undefined, undefined, undefined]);
  assert.equal(decoded(MANDATORY + "190100" + "00").tickets, 0);
  assert.match(refusal(MANDATORY + "0d0000"), /parameter 13 has 0 bytes/);
  assert.match(refusal(MANDATORY + "180100" + "01"), /parameter 24 has 1 bytes/);
  assert.match(refusal(MANDATORY + "190200" + "0100"), /parameter 25 has 2 bytes/);
  for (const twice of ["0d0100" + "a1", "180000", "190100" + "05"]) {
    assert.match(refusal(MANDATORY + twice.repeat(2)), /appears twice/);
  }
  assert.throws(() => encodeTransportParameters({ ...MINIMAL, earlyData: new Uint8Array(0) }), RangeError);
  assert.throws(() => encodeTransportParameters({ ...MINIMAL, tickets: 256 }), RangeError);
});

test("a reset token has sixteen bytes, and is there once or not at all", () => {
  const token = "000102030405060708090a0b0c0d0e0f";
  const parameters = decoded(MANDATORY + "0b1000" + token);
  assert.equal(toHex(parameters.resetToken!), token);
  assert.equal(decoded(MANDATORY).resetToken, undefined);
  assert.match(refusal(MANDATORY + "0b0f00" + token.slice(2)), /parameter 11 has 15 bytes/);
  assert.match(refusal(MANDATORY + ("0b1000" + token).repeat(2)), /parameter 11 appears twice/);
  assert.throws(() => encodeTransportParameters({ ...MINIMAL, resetToken: new Uint8Array(15) }), RangeError);
});

test("what is not sent has its default", () => {
  assert.deepEqual(decoded(MANDATORY), MINIMAL);
  assert.equal(decoded(MANDATORY).maxUdpPayload, 1200);
  assert.equal(decoded(MANDATORY).maxAckDelay, 25_000);
  assert.equal(decoded(MANDATORY).maxDatagramFrame, 0);
});

test("an idle timeout between two milliseconds is rounded up, so that it never turns into none", () => {
  const bytes = encodeTransportParameters({ ...MINIMAL, idleTimeout: micros(1) });
  const result = decodeTransportParameters(bytes, ID);
  assert.ok(result.ok && result.parameters.idleTimeout === 1000);
});

test("unknown types are skipped, even twice; padding may come often", () => {
  assert.deepEqual(decoded(`3a0000${"ff0300aabbcc".repeat(2)}000000${MANDATORY}0002000000`), MINIMAL);
});

test("a known parameter twice is refused", () => {
  assert.match(refusal(MANDATORY + "070400" + "00000000" + "070400" + "00000000"), /parameter 7 appears twice/);
  assert.match(refusal(MANDATORY + "020100" + "01"), /twice/);
});

test("a missing mandatory parameter, or a wrong connection id, is refused by name", () => {
  assert.match(refusal(""), /connection id is missing/);
  assert.match(refusal("020100" + "01"), /connection id is missing/);
  assert.match(refusal("010800" + "0102030405060708"), /suites are missing/);
  assert.match(refusal("010800" + "0102030405060709" + "020100" + "01"), /differs/);
  const zero = decodeTransportParameters(fromHex("010800" + "00".repeat(8) + "020100" + "01")!, ZERO_CONNECTION_ID);
  assert.equal(zero.ok, false);
});

test("values are accepted up to their bounds and refused beyond", () => {
  const MAX = "ffffffffffff1f00", ABOVE = "0000000000002000";
  assert.equal(decoded(MANDATORY + "030800" + MAX).maxData, Number.MAX_SAFE_INTEGER);
  assert.equal(decoded(MANDATORY + "040800" + MAX).maxStreamData, Number.MAX_SAFE_INTEGER);
  refusal(MANDATORY + "030800" + ABOVE);
  refusal(MANDATORY + "040800" + "ff".repeat(8));
  for (const type of ["05", "06"]) {
    decoded(MANDATORY + type + "0800" + "0000000000000800");
    refusal(MANDATORY + type + "0800" + "0100000000000800");
    refusal(MANDATORY + type + "0800" + ABOVE);
  }
  assert.equal(decoded(MANDATORY + "070400" + "ffffffff").idleTimeout, 0xffffffff * 1000);
  assert.equal(decoded(MANDATORY + "080200" + "b004").maxUdpPayload, 1200);
  refusal(MANDATORY + "080200" + "af04");
  assert.equal(decoded(MANDATORY + "080200" + "e3ff").maxUdpPayload, 65507);
  refusal(MANDATORY + "080200" + "e4ff");
  assert.equal(decoded(MANDATORY + "090400" + "40420f00").maxAckDelay, 1_000_000);
  refusal(MANDATORY + "090400" + "41420f00");
  assert.equal(decoded(MANDATORY + "0a0200" + "ffff").maxDatagramFrame, 65535);
  refusal("010800" + "0102030405060708" + "020000");
  assert.equal(decoded("010800" + "0102030405060708" + "021000" + "01".repeat(16)).suites.length, 16);
  refusal("010800" + "0102030405060708" + "021100" + "01".repeat(17));
});

test("a value of the wrong length is refused, for every type", () => {
  for (const [type, length] of [[1, 8], [3, 8], [4, 8], [5, 8], [6, 8], [7, 4], [8, 2], [9, 4], [10, 2]]) {
    for (const wrong of [0, length - 1, length + 1]) {
      const tlv = toHex(Uint8Array.of(type, wrong, 0)) + "00".repeat(wrong);
      assert.match(refusal(tlv + (type === 1 ? "" : MANDATORY)), new RegExp(`parameter ${type} has ${wrong} bytes`));
    }
  }
});

test("a list that is cut off is refused at every length but those where a parameter ends", () => {
  const bytes = encodeTransportParameters(MINIMAL, 200);
  let at = 0;
  const ends = new Set<number>();
  while (at < bytes.length) ends.add(at += 3 + bytes[at + 1] + 256 * bytes[at + 2]);
  for (let length = 0; length < bytes.length; length++) {
    const result = decodeTransportParameters(bytes.subarray(0, length), ID);
    // The first two parameters, 15 bytes, are the mandatory ones.
    assert.equal(result.ok, ends.has(length) && length >= 15, `${length} bytes`);
  }
});

test("padding that is not zero is refused, sealed or in clear", () => {
  assert.match(refusal(MANDATORY + "000200" + "0001"), /padding/);
  assert.equal(arePaddingParameters(fromHex("000200" + "0001")!), false);
});

test("parameters in clear are padding and unknown types only", () => {
  for (const length of [0, 3, 4, 1100]) {
    const bytes = encodePaddingParameters(length);
    assert.equal(bytes.length, length);
    assert.equal(arePaddingParameters(bytes), true);
  }
  assert.equal(encodePaddingParameters(1).length, 3);
  assert.equal(arePaddingParameters(fromHex("ff0100aa" + "000000")!), true);
  assert.equal(arePaddingParameters(fromHex(MANDATORY)!), false);
  for (const hex of ["00", "0000", "000100", "00010000ff"]) {
    assert.equal(arePaddingParameters(fromHex(hex)!), false, hex);
  }
});

test("values that a peer would refuse are the caller's mistake", () => {
  const bad: Partial<TransportParameters>[] = [
    { connectionId: ZERO_CONNECTION_ID },
    { suites: [] },
    { suites: new Array(17).fill(1) },
    { maxData: -1 },
    { maxStreamData: 2 ** 53 },
    { maxStreamsBidi: 2 ** 51 + 1 },
    { maxStreamsUni: 0.5 },
    { idleTimeout: millis(2 ** 32) },
    { maxUdpPayload: 1199 },
    { maxAckDelay: micros(1_000_001) },
  ];
  for (const change of bad) {
    assert.throws(() => encodeTransportParameters({ ...MINIMAL, ...change }), RangeError, JSON.stringify(change));
  }
  assert.throws(() => encodeTransportParameters(MINIMAL, 70_000), RangeError);
});

test("random and mutated bytes never throw, and what is accepted can be sent again", () => {
  const mutated = fc.tuple(someParameters, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 })).map(
    ([parameters, changes]) => {
      const bytes = encodeTransportParameters(parameters, 100);
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      return bytes;
    },
  );
  const prefixed = fc.uint8Array({ maxLength: 40 }).map((tail) => concatBytes(fromHex(MANDATORY)!, tail));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), mutated, prefixed), (bytes) => {
      arePaddingParameters(bytes);
      const result = decodeTransportParameters(bytes, ID);
      if (!result.ok) return;
      const again = decodeTransportParameters(encodeTransportParameters(result.parameters), ID);
      assert.deepEqual(again, result);
    }),
    property(500),
  );
});

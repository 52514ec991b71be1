import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { concatBytes, fromHex, toHex } from "../../lib/base/bytes.ts";
import { generateKeyPair } from "../../lib/crypto/key_pair.ts";
import { selectProvider } from "../../lib/crypto/select.ts";
import type { Dh, KeyPair } from "../../lib/crypto/types.ts";
import { type HandshakeOptions, HandshakeState, MAX_NOISE_MESSAGE_LENGTH } from "../../lib/noise/handshake_state.ts";
import {
  type HandshakePattern,
  PATTERN_IK,
  PATTERN_NNPSK0,
  PATTERN_X,
  PATTERN_XX,
  pskCount,
} from "../../lib/noise/patterns.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { property, testSeed } from "../support/seed.ts";
import { findPattern } from "./more_patterns.ts";

const { dh, chacha20poly1305: aead, sha256: hash } = selectProvider();
const PATTERNS = [PATTERN_IK, PATTERN_XX, PATTERN_NNPSK0, PATTERN_X];
const PSK_PATTERNS = ["NNpsk0", "NNpsk2", "IKpsk1", "XXpsk3", "IKpsk0+psk2"].map((name) => findPattern(name)!);
const NOTHING = new Uint8Array(0);
const LOW_ORDER = ["00", "01"].map((first) => fromHex(first + "00".repeat(31))!).concat(
  fromHex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")!,
  fromHex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157")!,
  fromHex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")!,
);
const NON_CANONICAL = [
  fromHex("f6ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")!,
  fromHex("0900000000000000000000000000000000000000000000000000000000000080")!,
];

interface Sides {
  readonly initiator: HandshakeState;
  readonly responder: HandshakeState;
  readonly initiatorKey: KeyPair;
  readonly responderKey: KeyPair;
}

function options(pattern: HandshakePattern, initiator: boolean, random: SeededRandom): HandshakeOptions {
  const psks = Array.from({ length: pskCount(pattern) }, (_, i) => new Uint8Array(32).fill(i + 1));
  return { pattern, initiator, prologue: Uint8Array.of(1, 2, 3), dh, aead, hash, random, psks };
}

/** Both sides of a handshake, reproducibly; what is given replaces the defaults of one side. */
function sides(
  pattern: HandshakePattern,
  seed = testSeed,
  change: { initiator?: Partial<HandshakeOptions>; responder?: Partial<HandshakeOptions> } = {},
): Sides {
  const random = new SeededRandom(seed);
  const initiatorKey = generateKeyPair(dh, random), responderKey = generateKeyPair(dh, random);
  const initiator = new HandshakeState({
    ...options(pattern, true, random.fork()),
    staticKey: initiatorKey,
    remoteStatic: pattern.responderStaticKnown ? responderKey.publicKey : undefined,
    ...change.initiator,
  });
  const responder = new HandshakeState({
    ...options(pattern, false, random.fork()),
    staticKey: responderKey,
    remoteStatic: pattern.initiatorStaticKnown ? initiatorKey.publicKey : undefined,
    ...change.responder,
  });
  return { initiator, responder, initiatorKey, responderKey };
}

/** Everything of a state that can be seen. */
function visible(state: HandshakeState): unknown {
  return {
    hash: toHex(state.handshakeHash),
    remoteStatic: state.remoteStatic,
    remoteEphemeral: state.remoteEphemeral,
    canRead: state.canRead,
    canWrite: state.canWrite,
    isFinished: state.isFinished,
    overhead: state.isFinished ? undefined : state.nextOverhead,
  };
}

/** Exchanges `count` messages with empty payloads and returns who writes and who reads the next one. */
function advance({ initiator, responder }: Sides, count: number): [HandshakeState, HandshakeState] {
  let writer = initiator, reader = responder;
  for (let i = 0; i < count; i++) {
    assert.deepEqual(reader.readMessage(writer.writeMessage(NOTHING)), NOTHING);
    [writer, reader] = [reader, writer];
  }
  return [writer, reader];
}

for (const pattern of [...PATTERNS, ...PSK_PATTERNS.slice(1)]) {
  test(`${pattern.name}: both sides get the payloads, the same hash and the same two secrets`, () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 4, maxLength: 4 }),
        fc.nat(),
        (payloads, seed) => {
          const both = sides(pattern, seed);
          let [writer, reader] = [both.initiator, both.responder];
          for (const [i] of pattern.messages.entries()) {
            assert.deepEqual([writer.canWrite, writer.canRead], [true, false]);
            assert.deepEqual([reader.canWrite, reader.canRead], [false, true]);
            const overhead = writer.nextOverhead;
            assert.equal(reader.nextOverhead, overhead);
            const message = writer.writeMessage(payloads[i]);
            assert.equal(message.length, overhead + payloads[i].length);
            assert.deepEqual(reader.readMessage(message), payloads[i]);
            if (pattern.messages[i].includes("e")) {
              assert.equal(toHex(reader.remoteEphemeral!), toHex(message.slice(0, 32)));
            }
            [writer, reader] = [reader, writer];
          }
          const { initiator, responder } = both;
          for (const side of [initiator, responder]) {
            assert.deepEqual([side.isFinished, side.canRead, side.canWrite], [true, false, false]);
          }
          assert.deepEqual(initiator.handshakeHash, responder.handshakeHash);
          const hash = initiator.handshakeHash;
          const [first, second] = initiator.split();
          assert.deepEqual(responder.split(), [first, second]);
          assert.deepEqual([first.length, second.length], [32, 32]);
          assert.notDeepEqual(first, second);
          assert.deepEqual(initiator.handshakeHash, hash, "the hash survives the split");
        },
      ),
      property(10),
    );
  });

  test(`${pattern.name}: a message that was changed anywhere, cut or lengthened changes nothing, and the right one still works`, () => {
    for (const [i] of pattern.messages.entries()) {
      const both = sides(pattern);
      const [writer, reader] = advance(both, i);
      const sealed = writer.nextOverhead > 32; // the first message of XX and NN is in clear
      const message = writer.writeMessage(Uint8Array.of(7, 7, 7));
      const before = visible(reader);
      if (sealed) {
        for (let at = 0; at < message.length; at += 3) {
          const changed = message.slice();
          changed[at] ^= 1 << (at % 7);
          assert.equal(reader.readMessage(changed), undefined, `message ${i}, byte ${at}`);
        }
        assert.equal(reader.readMessage(concatBytes(message, Uint8Array.of(0))), undefined);
        assert.equal(reader.readMessage(message.subarray(0, message.length - 1)), undefined);
      }
      assert.equal(reader.readMessage(message.subarray(0, 31)), undefined);
      assert.equal(reader.readMessage(NOTHING), undefined);
      assert.equal(reader.readMessage(new Uint8Array(MAX_NOISE_MESSAGE_LENGTH + 1).fill(9)), undefined);
      assert.deepEqual(visible(reader), before);
      assert.deepEqual(reader.readMessage(message), Uint8Array.of(7, 7, 7));
      assert.notDeepEqual(visible(reader), before);
      assert.deepEqual(reader.handshakeHash, writer.handshakeHash);
    }
  });

  test(`${pattern.name}: an ephemeral key of low order or not canonical is refused, and the right message still works`, () => {
    for (const [i, tokens] of pattern.messages.entries()) {
      if (!tokens.includes("e")) continue;
      const [writer, reader] = advance(sides(pattern), i);
      const message = writer.writeMessage(NOTHING), before = visible(reader);
      for (const key of [...LOW_ORDER, ...NON_CANONICAL]) {
        const changed = message.slice();
        changed.set(key);
        assert.equal(reader.readMessage(changed), undefined, `message ${i}, ${toHex(key)}`);
      }
      assert.deepEqual(visible(reader), before);
      assert.deepEqual(reader.readMessage(message), NOTHING);
    }
  });

  test(`${pattern.name}: a different prologue fails at the first sealed message`, () => {
    const { initiator, responder } = sides(pattern, testSeed, { responder: { prologue: Uint8Array.of(1, 2, 4) } });
    let [writer, reader] = [initiator, responder];
    for (const [i] of pattern.messages.entries()) {
      const sealed = writer.nextOverhead > 32;
      const read = reader.readMessage(writer.writeMessage(NOTHING));
      if (sealed) return assert.equal(read, undefined, `message ${i}`);
      assert.deepEqual(read, NOTHING);
      [writer, reader] = [reader, writer];
    }
    assert.fail("no message was sealed");
  });
}

test("an IK responder knows the initiator's static key after the first message, and not after a failed one", () => {
  const { initiator, responder, initiatorKey } = sides(PATTERN_IK);
  const message = initiator.writeMessage(NOTHING);
  const changed = message.slice();
  changed[message.length - 1] ^= 1; // the payload's tag, behind the static key that opened
  assert.equal(responder.readMessage(changed), undefined);
  assert.equal(responder.remoteStatic, undefined);
  assert.deepEqual(responder.readMessage(message), NOTHING);
  assert.deepEqual(responder.remoteStatic, initiatorKey.publicKey);
});

test("in XX each side knows the other's static key once it was sent", () => {
  const both = sides(PATTERN_XX);
  advance(both, 1);
  assert.equal(both.responder.remoteStatic, undefined);
  both.initiator.readMessage(both.responder.writeMessage(NOTHING));
  assert.deepEqual(both.initiator.remoteStatic, both.responderKey.publicKey);
  assert.equal(both.responder.remoteStatic, undefined);
  both.responder.readMessage(both.initiator.writeMessage(NOTHING));
  assert.deepEqual(both.responder.remoteStatic, both.initiatorKey.publicKey);
});

test("a message for another responder's static key does not open", () => {
  const other = generateKeyPair(dh, new SeededRandom(testSeed + 1)).publicKey;
  for (const pattern of [PATTERN_IK, PATTERN_X]) {
    const { initiator, responder } = sides(pattern, testSeed, { initiator: { remoteStatic: other } });
    assert.equal(responder.readMessage(initiator.writeMessage(NOTHING)), undefined);
  }
});

test("an initiator whose static key pair does not fit together is not believed", () => {
  for (const pattern of [PATTERN_IK, PATTERN_XX, PATTERN_X]) {
    const random = new SeededRandom(testSeed);
    const staticKey = { ...generateKeyPair(dh, random), publicKey: generateKeyPair(dh, random).publicKey };
    const both = sides(pattern, testSeed, { initiator: { staticKey } });
    const [writer, reader] = advance(both, pattern.messages.length === 3 ? 2 : 0);
    assert.equal(reader.readMessage(writer.writeMessage(NOTHING)), undefined, pattern.name);
    assert.equal(reader.remoteStatic, undefined);
  }
});

test("a properly sealed static key of low order or not canonical is refused", () => {
  for (const publicKey of [...LOW_ORDER, ...NON_CANONICAL]) {
    const staticKey = { privateKey: new Uint8Array(32).fill(1), publicKey };
    for (const pattern of [PATTERN_IK, PATTERN_XX, PATTERN_X]) {
      const both = sides(pattern, testSeed, { initiator: { staticKey } });
      const [writer, reader] = advance(both, pattern.messages.length === 3 ? 2 : 0);
      assert.equal(reader.readMessage(writer.writeMessage(NOTHING)), undefined, `${pattern.name} ${toHex(publicKey)}`);
    }
  }
});

test("a static key of low order is refused even where the message that brings it agrees on nothing with it", () => {
  const pattern = findPattern("IX")!;
  for (const publicKey of [...LOW_ORDER, ...NON_CANONICAL]) {
    const staticKey = { privateKey: new Uint8Array(32).fill(1), publicKey };
    const { initiator, responder } = sides(pattern, testSeed, { initiator: { staticKey } });
    assert.equal(responder.readMessage(initiator.writeMessage(NOTHING)), undefined, toHex(publicKey));
  }
});

test("a message that is too short to be one costs no key agreement", () => {
  let agreements = 0;
  const counting: Dh = {
    ...dh,
    shared: (privateKey, publicKey) => {
      agreements++;
      return dh.shared(privateKey, publicKey);
    },
  };
  const { initiator, responder } = sides(PATTERN_IK, testSeed, { responder: { dh: counting } });
  const message = initiator.writeMessage(NOTHING);
  assert.equal(responder.readMessage(message.subarray(0, message.length - 1)), undefined);
  assert.equal(agreements, 0);
  assert.deepEqual(responder.readMessage(message), NOTHING);
  assert.equal(agreements, 2);
});

test("an authentic message whose payload is not accepted changes nothing, and its turn is not used up", () => {
  for (const pattern of PATTERNS) {
    const { initiator, responder } = sides(pattern);
    const before = visible(responder);
    const message = initiator.writeMessage(Uint8Array.of(5));
    const seen: Uint8Array[] = [];
    const refuse = (payload: Uint8Array): boolean => seen.push(payload) === 0;
    assert.equal(responder.readMessage(message, refuse), undefined);
    assert.deepEqual(seen, [Uint8Array.of(5)]);
    assert.deepEqual(visible(responder), before);
    assert.deepEqual(responder.readMessage(message, (payload) => payload[0] === 5), Uint8Array.of(5));
    assert.deepEqual(responder.handshakeHash, initiator.handshakeHash);
  }
});

test("a wrong pre-shared key fails in every position", () => {
  for (const pattern of PSK_PATTERNS) {
    for (let which = 0; which < pskCount(pattern); which++) {
      const psks = options(pattern, false, new SeededRandom(0)).psks!.map((psk) => psk.slice());
      psks[which][31] ^= 1;
      const { initiator, responder } = sides(pattern, testSeed, { responder: { psks } });
      let [writer, reader] = [initiator, responder], failed = false;
      for (const [i] of pattern.messages.entries()) {
        if (reader.readMessage(writer.writeMessage(NOTHING)) === undefined) {
          assert.ok(pattern.messages.slice(0, i + 1).flat().includes("psk"));
          failed = true;
          break;
        }
        [writer, reader] = [reader, writer];
      }
      assert.ok(failed, `${pattern.name}, key ${which}`);
    }
  }
});

test("arbitrary bytes never open and never throw", () => {
  for (const pattern of [PATTERN_IK, PATTERN_NNPSK0, PATTERN_X]) {
    const { responder } = sides(pattern);
    const before = visible(responder);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        assert.equal(responder.readMessage(bytes), undefined);
      }),
      property(60),
    );
    assert.deepEqual(visible(responder), before);
  }
});

test("arbitrary bytes in answer to an XX hello never open, and the real answer still does", () => {
  const both = sides(PATTERN_XX);
  advance(both, 1);
  const answer = both.responder.writeMessage(Uint8Array.of(1));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.equal(both.initiator.readMessage(bytes), undefined);
    }),
    property(60),
  );
  assert.deepEqual(both.initiator.readMessage(answer), Uint8Array.of(1));
});

test("the largest message has 65 535 bytes; a larger one is not written", () => {
  const { initiator, responder } = sides(PATTERN_IK);
  const most = MAX_NOISE_MESSAGE_LENGTH - initiator.nextOverhead;
  assert.throws(() => initiator.writeMessage(new Uint8Array(most + 1)), RangeError);
  const message = initiator.writeMessage(new Uint8Array(most));
  assert.equal(message.length, MAX_NOISE_MESSAGE_LENGTH);
  assert.equal(responder.readMessage(message)?.length, most);
});

test("acting out of turn, after the end, or splitting early or twice is a TypeError", () => {
  const { initiator, responder } = sides(PATTERN_IK);
  assert.throws(() => initiator.readMessage(new Uint8Array(100)), TypeError);
  assert.throws(() => responder.writeMessage(NOTHING), TypeError);
  assert.throws(() => initiator.split(), TypeError);
  const hello = initiator.writeMessage(NOTHING);
  assert.throws(() => initiator.writeMessage(NOTHING), TypeError);
  responder.readMessage(hello);
  assert.throws(() => responder.readMessage(hello), TypeError);
  assert.throws(() => responder.split(), TypeError);
  initiator.readMessage(responder.writeMessage(NOTHING));
  assert.throws(() => initiator.writeMessage(NOTHING), TypeError);
  assert.throws(() => initiator.readMessage(hello), TypeError);
  assert.throws(() => initiator.nextOverhead, TypeError);
  initiator.split();
  assert.throws(() => initiator.split(), TypeError);
});

test("keys that a pattern needs and does not get, or gets and does not take, are a TypeError", () => {
  const random = new SeededRandom(testSeed);
  const staticKey = generateKeyPair(dh, random), remoteStatic = generateKeyPair(dh, random).publicKey;
  const make = (pattern: HandshakePattern, initiator: boolean, more: Partial<HandshakeOptions>) => () =>
    new HandshakeState({ ...options(pattern, initiator, random), ...more });
  assert.throws(make(PATTERN_IK, true, { staticKey }), TypeError);
  assert.throws(make(PATTERN_IK, true, { remoteStatic }), TypeError);
  assert.throws(make(PATTERN_IK, false, {}), TypeError);
  assert.throws(make(PATTERN_IK, false, { staticKey, remoteStatic }), TypeError);
  assert.throws(make(PATTERN_XX, true, { staticKey, remoteStatic }), TypeError);
  assert.throws(make(PATTERN_XX, false, {}), TypeError);
  assert.throws(make(PATTERN_NNPSK0, true, { psks: [] }), TypeError);
  assert.throws(make(PATTERN_NNPSK0, true, { psks: [new Uint8Array(31)] }), TypeError);
  assert.throws(make(PATTERN_XX, true, { staticKey, psks: [new Uint8Array(32)] }), TypeError);
  make(PATTERN_NNPSK0, true, {})();
  make(PATTERN_X, false, { staticKey })();
});

test("a peer's static key that no handshake can succeed with is a RangeError at once", () => {
  const random = new SeededRandom(testSeed), staticKey = generateKeyPair(dh, random);
  for (const remoteStatic of [...LOW_ORDER, ...NON_CANONICAL, new Uint8Array(31)]) {
    assert.throws(
      () => new HandshakeState({ ...options(PATTERN_IK, true, random), staticKey, remoteStatic }),
      RangeError,
    );
  }
});

test("the ephemeral private key is wiped by the split, and what was passed in is left alone", () => {
  const taken: Uint8Array[] = [];
  const source = new SeededRandom(testSeed);
  const psk = new Uint8Array(32).fill(9);
  const random = {
    fillSecret: (out: Uint8Array) => {
      source.fill(out);
      taken.push(out);
    },
  };
  const { initiator, responder } = sides(PATTERN_NNPSK0, testSeed, {
    initiator: { random, psks: [psk] },
    responder: { psks: [psk] },
  });
  responder.readMessage(initiator.writeMessage(NOTHING));
  initiator.readMessage(responder.writeMessage(NOTHING));
  assert.equal(taken.length, 1);
  assert.ok(taken[0].some((byte) => byte !== 0));
  initiator.split();
  assert.ok(taken[0].every((byte) => byte === 0));
  assert.deepEqual(psk, new Uint8Array(32).fill(9));
});

test("what readMessage returns and what it was given do not share memory", () => {
  const { initiator, responder } = sides(PATTERN_XX);
  const message = initiator.writeMessage(Uint8Array.of(1, 2, 3));
  const payload = responder.readMessage(message)!;
  const ephemeral = toHex(message.slice(0, 32));
  message.fill(0);
  assert.deepEqual(payload, Uint8Array.of(1, 2, 3));
  assert.equal(toHex(responder.remoteEphemeral!), ephemeral);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { bytesEqual } from "../../lib/base/bytes.ts";
import { generateKeyPair } from "../../lib/crypto/key_pair.ts";
import { selectProvider } from "../../lib/crypto/select.ts";
import {
  envelopeLength,
  EnvelopeOpener,
  type EnvelopeParts,
  EnvelopeSealer,
  MAX_ENVELOPE_HEAD_BYTES,
} from "../../lib/noise/envelope.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { testSeed } from "../support/seed.ts";

const crypto = selectProvider();
const random = new SeededRandom(testSeed);
const party = (): EnvelopeParts => ({ crypto, random, keyPair: generateKeyPair(crypto.dh, random) });
const [alice, bob, eve] = [party(), party(), party()];
const PROLOGUE = Uint8Array.of(1, 2, 3);
const HEAD = new TextEncoder().encode("the head");
const bytesOf = (length: number): Uint8Array => new Uint8Array(length).map((_, i) => i * 7);

function seal(body: Uint8Array, head = HEAD, from = alice, prologue = PROLOGUE): EnvelopeSealer {
  const sealer = new EnvelopeSealer(from, bob.keyPair.publicKey, prologue, head, body);
  while (!sealer.isDone) sealer.advance(100_000);
  return sealer;
}

function open(sealed: Uint8Array, by = bob, prologue = PROLOGUE): EnvelopeOpener | undefined {
  const opener = EnvelopeOpener.open(by, prologue, sealed);
  while (opener !== undefined && !opener.isDone) opener.advance(70_000);
  return opener;
}

test("what was sealed opens for its recipient, with its head, its sender and the same hash", () => {
  for (const length of [0, 1, 65_518, 65_519, 65_520, 200_000]) {
    const body = bytesOf(length);
    const sealer = seal(body);
    assert.equal(sealer.bytes.length, envelopeLength(HEAD.length, length));
    const opener = open(sealer.bytes)!;
    assert.ok(bytesEqual(opener.body!, body), `${length} bytes`);
    assert.equal(opener.bodyLength, length);
    assert.deepEqual(opener.head, HEAD);
    assert.deepEqual(opener.sender, alice.keyPair.publicKey);
    assert.deepEqual(opener.hash, sealer.hash);
  }
});

test("nobody but the recipient opens it, and nobody with another prologue", () => {
  const { bytes } = seal(bytesOf(10));
  assert.equal(open(bytes, eve), undefined);
  assert.equal(open(bytes, alice), undefined);
  assert.equal(open(bytes, bob, Uint8Array.of(1, 2, 4)), undefined);
});

test("a flipped bit anywhere, a missing byte and one too many are noticed before anything is believed", () => {
  const body = bytesOf(66_000);
  const { bytes } = seal(body);
  const headEnd = 2 + 96 + 4 + HEAD.length;
  // Length, ephemeral key, static key and its tag, payload and its tag: the head does not open.
  for (let at = 0; at < headEnd; at++) {
    const changed = bytes.slice();
    changed[at] ^= 1 << (at % 8);
    // Bit 255 of an X25519 key is the one that a multiplication would ignore.
    assert.equal(EnvelopeOpener.open(bob, PROLOGUE, changed), undefined, `byte ${at}`);
  }
  // Segments: the body does not, whatever of it was good.
  for (const at of [headEnd, headEnd + 65_534, headEnd + 65_535, bytes.length - 1]) {
    const changed = bytes.slice();
    changed[at] ^= 0x80;
    assert.equal(open(changed)!.body, undefined, `byte ${at}`);
  }
  assert.equal(open(bytes.subarray(0, -1)), undefined);
  assert.equal(open(bytes.subarray(0, headEnd)), undefined, "cut at the end of the head");
  assert.equal(open(bytes.subarray(0, headEnd + 65_535)), undefined, "cut at the end of a segment");
  const longer = new Uint8Array(bytes.length + 1);
  longer.set(bytes);
  assert.equal(open(longer), undefined);
});

test("segments cannot change places, within an envelope or between two", () => {
  const body = bytesOf(3 * 65_519);
  const [one, two] = [seal(body).bytes, seal(body).bytes];
  const start = one.length - 3 * 65_535;
  const swapped = one.slice();
  swapped.copyWithin(start, start + 65_535, start + 2 * 65_535);
  assert.equal(open(swapped)!.body, undefined);
  const mixed = one.slice();
  mixed.set(two.subarray(start + 2 * 65_535), start + 2 * 65_535);
  assert.equal(open(mixed)!.body, undefined);
});

test("the same thing sealed twice has nothing in common", () => {
  const [one, two] = [seal(bytesOf(1_000)), seal(bytesOf(1_000))];
  assert.ok(!bytesEqual(one.hash, two.hash));
  let same = 0;
  for (let at = 2; at < one.bytes.length; at++) if (one.bytes[at] === two.bytes[at]) same++;
  assert.ok(same < 50, `${same} bytes are the same`);
});

test("a head that is too long and a recipient that is no key are refused", () => {
  assert.throws(() => seal(bytesOf(0), new Uint8Array(MAX_ENVELOPE_HEAD_BYTES + 1)), RangeError);
  assert.ok(open(seal(bytesOf(3), new Uint8Array(MAX_ENVELOPE_HEAD_BYTES)).bytes)!.body);
  assert.throws(() => new EnvelopeSealer(alice, new Uint8Array(32), PROLOGUE, HEAD, bytesOf(1)), RangeError);
});

test("arbitrary bytes never open and never make the opener throw", () => {
  const { bytes } = seal(bytesOf(40));
  for (let round = 0; round < 300; round++) {
    const noise = new Uint8Array(random.below(201)).map(() => random.below(256));
    if (round % 2 === 0) noise.set(bytes.subarray(0, Math.min(noise.length, random.below(121))));
    assert.equal(open(noise)?.body, undefined);
  }
});

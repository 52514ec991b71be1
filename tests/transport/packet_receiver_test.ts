import assert from "node:assert/strict";
import { test } from "node:test";
import { micros, millis, seconds } from "../../lib/base/time.ts";
import { nobleChaCha20Poly1305, nobleSha256 } from "../../lib/crypto/noble.ts";
import { Drops } from "../../lib/transport/connection_stats.ts";
import { KeyPhases } from "../../lib/transport/key_phases.ts";
import { PacketKeys } from "../../lib/transport/packet_protection.ts";
import { DROPPED, OPENED, PacketReceiver } from "../../lib/transport/packet_receiver.ts";
import { ConnectionId } from "../../lib/wire/connection_id.ts";
import { PacketFlag } from "../../lib/wire/constants.ts";
import { TransportError } from "../../lib/wire/error_codes.ts";

const ID = new ConnectionId(new Uint8Array(8).fill(7));
const SECRET = new Uint8Array(32).fill(1);
const scratch = new Uint8Array(1200);

function makeKeys(): KeyPhases {
  return new KeyPhases(micros(0), {
    aead: nobleChaCha20Poly1305,
    hash: nobleSha256,
    sendSecret: new Uint8Array(32).fill(2),
    receiveSecret: SECRET,
    updateInterval: seconds(60),
    updatePackets: 2 ** 20,
    pto: () => millis(100),
    forgeryLimit: 3,
  });
}

/** A packet of the peer. */
function packet(number: number, epoch = 0): Uint8Array {
  let keys = new PacketKeys(nobleChaCha20Poly1305, nobleSha256, SECRET);
  for (let i = 0; i < epoch; i++) keys = keys.nextEpoch();
  const bytes = new Uint8Array(32 + 5 + 16).fill(number, 32, 37);
  keys.seal(bytes, 0, 37, ID, number, epoch & 1 ? PacketFlag.KEY_PHASE : 0);
  return bytes;
}

class Bench {
  readonly dropped = new Drops();
  readonly receiver = new PacketReceiver(this.dropped);

  open(bytes: Uint8Array): number {
    return this.receiver.open(micros(0), bytes, 0, bytes.length, scratch);
  }

  /** Which counters are not zero. */
  counted(): Partial<Drops> {
    return Object.fromEntries(Object.entries(this.dropped).filter(([, count]) => count > 0));
  }
}

test("a packet opens once, whatever the order, and its repetition is counted", () => {
  const bench = new Bench();
  bench.receiver.keys = makeKeys();
  for (const number of [0, 5, 3]) {
    assert.equal(bench.open(packet(number)), OPENED);
    assert.equal(bench.receiver.keys.packetNumber, number);
    assert.equal(scratch[bench.receiver.keys.plaintextStart], number);
  }
  for (const number of [0, 3, 5]) assert.equal(bench.open(packet(number)), DROPPED);
  assert.deepEqual(bench.counted(), { replayed: 3 });
});

test("packets that come before the keys are kept, as many as fit, and handed over once", () => {
  const bench = new Bench();
  for (let number = 0; number < 20; number++) assert.equal(bench.open(packet(number)), DROPPED);
  assert.deepEqual(bench.counted(), { undecryptable: 4 });
  bench.receiver.keys = makeKeys();
  const kept = bench.receiver.takeEarly();
  assert.deepEqual(kept.map((bytes) => bench.open(bytes)), new Array(16).fill(OPENED));
  assert.equal(bench.receiver.takeEarly().length, 0);
});

test("forgeries are dropped and counted, until there are too many", () => {
  const bench = new Bench();
  bench.receiver.keys = makeKeys();
  const forged = packet(1);
  forged[forged.length - 1] ^= 1;
  const results = [1, 2, 3].map(() => bench.open(forged));
  assert.deepEqual(results, [DROPPED, DROPPED, TransportError.KEY_LIMIT]);
  assert.deepEqual(bench.counted(), { unauthentic: 3 });
  assert.equal(bench.open(packet(1)), OPENED, "a forged number counts for nothing");
});

test("an update against the rules has a code of its own, and so has a packet that is too late for its keys", () => {
  const bench = new Bench();
  const keys = bench.receiver.keys = makeKeys();
  assert.equal(bench.open(packet(5)), OPENED);
  assert.equal(bench.open(packet(6, 1)), TransportError.KEY_UPDATE);
  assert.deepEqual(bench.counted(), { keyUpdates: 1 });

  // An ACK has left, so now it may; and then the old keys' time is over.
  keys.seal(new Uint8Array(60), 0, 40, ID, 0, PacketFlag.ACK);
  assert.equal(bench.open(packet(6, 1)), OPENED);
  keys.onTimeout(keys.deadline);
  assert.equal(bench.open(packet(4)), DROPPED);
  assert.deepEqual(bench.counted(), { keyUpdates: 1, oldKeys: 1 });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Micros, micros, millis, NEVER, seconds } from "../../lib/base/time.ts";
import { nobleAes256Gcm, nobleChaCha20Poly1305, nobleSha256 } from "../../lib/crypto/noble.ts";
import type { Aead } from "../../lib/crypto/types.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { KeyPhases, type KeyPhasesOptions, OpenResult } from "../../lib/transport/key_phases.ts";
import { PacketKeys } from "../../lib/transport/packet_protection.ts";
import { ConnectionId } from "../../lib/wire/connection_id.ts";
import { PacketFlag } from "../../lib/wire/constants.ts";
import { property } from "../support/seed.ts";

const ID = new ConnectionId(new Uint8Array(8).fill(7));
const THERE = new Uint8Array(32).fill(1), BACK = new Uint8Array(32).fill(2);
const PTO = millis(100);
const { OPENED, UNAUTHENTIC, OLD_KEYS, KEY_UPDATE, KEY_LIMIT } = OpenResult;
const scratch = new Uint8Array(1200);

interface Packet {
  readonly number: number;
  readonly bytes: Uint8Array;
  readonly epoch: number;
  readonly acknowledges: number;
}

/** An AEAD that counts how often it opens, and keys. */
function counting(): { aead: Aead; counts: { opens: number; keys: number } } {
  const counts = { opens: 0, keys: 0 };
  const aead: Aead = {
    ...nobleChaCha20Poly1305,
    key: (bytes) => {
      counts.keys++;
      const key = nobleChaCha20Poly1305.key(bytes);
      return {
        seal: (nonce, aad, plain, out) => key.seal(nonce, aad, plain, out),
        open: (nonce, aad, sealed, out) => {
          counts.opens++;
          return key.open(nonce, aad, sealed, out);
        },
      };
    },
  };
  return { aead, counts };
}

/** A side of a connection as far as keys are concerned: it acknowledges the highest packet that it has opened. */
class Side {
  readonly keys: KeyPhases;
  next = 0;
  highest = -1;

  constructor(role: "a" | "b", options: Partial<KeyPhasesOptions> = {}) {
    this.keys = new KeyPhases(micros(0), {
      aead: nobleChaCha20Poly1305,
      hash: nobleSha256,
      sendSecret: role === "a" ? THERE : BACK,
      receiveSecret: role === "a" ? BACK : THERE,
      updateInterval: seconds(60),
      updatePackets: 2 ** 20,
      pto: () => PTO,
      ...options,
    });
  }

  send(now: Micros, acknowledges: number = this.highest): Packet {
    const number = this.next++, bytes = new Uint8Array(32 + 8 + 16);
    bytes.fill(number & 0xff, 32, 40);
    this.keys.updateIfDue(now);
    const flags = acknowledges >= 0 ? PacketFlag.ACK : 0;
    this.keys.seal(bytes, 0, 40, ID, number, flags);
    return { number, bytes, epoch: this.keys.sendEpoch, acknowledges };
  }

  receive(now: Micros, packet: Packet): OpenResult {
    const result = this.keys.open(now, packet.bytes, 0, packet.bytes.length, scratch);
    if (result !== OPENED) return result;
    assert.equal(this.keys.packetNumber, packet.number);
    assert.equal(this.keys.plaintextEnd - this.keys.plaintextStart, 8);
    assert.equal(scratch[this.keys.plaintextStart], packet.number & 0xff);
    this.highest = Math.max(this.highest, packet.number);
    if (packet.acknowledges >= 0 && !this.keys.onAck(now, packet.acknowledges)) return KEY_UPDATE;
    return OPENED;
  }
}

/** Two sides, of which `a` replaces its key as soon as it may. */
function pair(options: Partial<KeyPhasesOptions> = {}): { a: Side; b: Side } {
  return { a: new Side("a", { updateInterval: micros(0), ...options }), b: new Side("b") };
}

/** Both have sent, opened and acknowledged in their present epoch, at `now`. */
function settle(a: Side, b: Side, now: Micros): void {
  assert.equal(b.receive(now, a.send(now)), OPENED);
  assert.equal(a.receive(now, b.send(now)), OPENED);
  assert.equal(b.receive(now, a.send(now)), OPENED);
}

/** A packet with a flipped KEY_PHASE, made by somebody without keys. */
function flipped(packet: Packet): Uint8Array {
  const bytes = packet.bytes.slice();
  bytes[16] ^= PacketFlag.KEY_PHASE;
  return bytes;
}

test("a key is not replaced before one of its packets was acknowledged, and then not for three probe timeouts", () => {
  const { a, b } = pair();
  for (let i = 0; i < 10; i++) assert.equal(a.send(seconds(i)).epoch, 0);
  assert.equal(b.receive(seconds(10), a.send(seconds(10))), OPENED);
  assert.equal(a.receive(seconds(10), b.send(seconds(10))), OPENED);
  assert.equal(a.send(micros(seconds(10) + 3 * PTO - 1)).epoch, 0);
  assert.equal(a.send(micros(seconds(10) + 3 * PTO)).epoch, 1);
  assert.equal(a.keys.updatesSent, 1);
  assert.equal(a.send(seconds(100)).epoch, 1, "the new key has not been acknowledged");
});

test("a key is replaced after its time or after its packets, whichever comes first, and not without being used", () => {
  const byTime = new Side("a", { updateInterval: seconds(5) }), b = new Side("b");
  settle(byTime, b, seconds(1));
  assert.equal(byTime.send(micros(seconds(5) - 1)).epoch, 0);
  assert.equal(byTime.send(seconds(5)).epoch, 1);

  const byPackets = new Side("a", { updatePackets: 20 });
  settle(byPackets, new Side("b"), seconds(1));
  for (let i = 2; i < 20; i++) assert.equal(byPackets.send(seconds(2)).epoch, 0, `packet ${i}`);
  assert.equal(byPackets.send(seconds(2)).epoch, 1);
});

test("a key is replaced at half of its suite's limit, whatever the settings say", () => {
  const a = new Side("a", { aead: nobleAes256Gcm, updatePackets: 2 ** 48 });
  const b = new Side("b", { aead: nobleAes256Gcm });
  settle(a, b, seconds(1));
  a.keys.sendKeys.sealedPackets = 2 ** 22 - 1;
  assert.equal(a.send(seconds(2)).epoch, 0);
  assert.equal(a.send(seconds(2)).epoch, 1);
  assert.equal(a.keys.sendKeys.sealedPackets, 1);
});

test("a key whose replacement nobody acknowledges is used up before its limit", () => {
  const a = new Side("a", { updatePackets: 10 });
  a.keys.sendKeys.sealedPackets = a.keys.sendKeys.sealLimit - 10;
  assert.equal(a.keys.isUsedUp, false);
  assert.equal(a.send(seconds(1)).epoch, 0);
  assert.equal(a.keys.isUsedUp, true);
});

test("who opens a packet of a new epoch answers in it, and nothing needs to be said about it", () => {
  const { a, b } = pair();
  settle(a, b, micros(0));
  const first = a.send(seconds(1));
  assert.equal(first.epoch, 1);
  assert.equal(b.send(seconds(1)).epoch, 0);
  assert.equal(b.receive(seconds(1), first), OPENED);
  assert.deepEqual([b.keys.receiveEpoch, b.keys.sendEpoch], [1, 1]);
  assert.equal(a.receive(seconds(1), b.send(seconds(1))), OPENED);
  assert.equal(a.keys.receiveEpoch, 1);
  assert.deepEqual([a.keys.updatesSent, a.keys.updatesReceived], [1, 0]);
  assert.deepEqual([b.keys.updatesSent, b.keys.updatesReceived], [0, 1]);
});

test("two updates at the same time are one", () => {
  const { a } = pair();
  const b = new Side("b", { updateInterval: micros(0) });
  settle(a, b, micros(0));
  const there = a.send(seconds(1)), back = b.send(seconds(1));
  assert.deepEqual([there.epoch, back.epoch], [1, 1]);
  assert.equal(b.receive(seconds(1), there), OPENED);
  assert.equal(a.receive(seconds(1), back), OPENED);
  for (const side of [a, b]) {
    assert.deepEqual([side.keys.sendEpoch, side.keys.receiveEpoch], [1, 1]);
    assert.deepEqual([side.keys.updatesSent, side.keys.updatesReceived], [1, 0]);
  }
});

test("an update works although the other side has nothing to say but acknowledgements, and follows by itself", () => {
  const { a, b } = pair();
  settle(a, b, micros(0));
  // `b` never gets an acknowledgement for what it sends; its epochs are answers, not updates of its own.
  for (let epoch = 1; epoch <= 5; epoch++) {
    assert.equal(b.receive(seconds(epoch), a.send(seconds(epoch), -1)), OPENED);
    assert.equal(a.receive(seconds(epoch), b.send(seconds(epoch))), OPENED);
    for (const side of [a, b]) side.keys.onTimeout(micros(seconds(epoch) + 4 * PTO));
    assert.deepEqual([a.keys.sendEpoch, b.keys.sendEpoch, a.keys.receiveEpoch], [epoch, epoch, epoch]);
  }
});

test("late packets of the epoch before open for three probe timeouts, and are not tried afterwards", () => {
  const { aead, counts } = counting();
  const a = new Side("a", { updateInterval: micros(0) }), b = new Side("b", { aead });
  settle(a, b, micros(0));
  const late = [a.send(micros(1)), a.send(micros(1))];
  const update = seconds(1);
  assert.equal(b.receive(update, a.send(update)), OPENED);
  const dropAt = micros(update + 3 * PTO);
  assert.equal(b.receive(micros(dropAt - 1), late[0]), OPENED);
  while (b.keys.deadline < NEVER) b.keys.onTimeout(b.keys.deadline);
  const { opens } = counts;
  assert.equal(b.receive(dropAt, late[1]), OLD_KEYS);
  assert.equal(counts.opens, opens);
});

test("a packet that is two epochs late is not taken for one of the present epoch, whose KEY_PHASE it has", () => {
  const { aead, counts } = counting();
  const a = new Side("a", { updateInterval: micros(0) }), b = new Side("b", { aead });
  const late = a.send(micros(0));
  settle(a, b, micros(0));
  settle(a, b, seconds(1));
  settle(a, b, seconds(2));
  assert.equal(b.keys.receiveEpoch, 2);
  const { opens } = counts;
  assert.equal(b.receive(seconds(2), late), OLD_KEYS);
  assert.equal(counts.opens, opens);
  assert.equal(b.keys.forgeries, 0);
});

test("packets of a new epoch may overtake one another: the first one to arrive need not be its first", () => {
  const { a, b } = pair();
  settle(a, b, micros(0));
  const old = a.send(micros(1));
  const [first, second, third] = [a.send(seconds(1)), a.send(seconds(1)), a.send(seconds(1))];
  assert.deepEqual([old.epoch, first.epoch], [0, 1]);
  for (const packet of [second, old, third, first]) assert.equal(b.receive(seconds(1), packet), OPENED);
});

test("a forged KEY_PHASE changes nothing, and costs one attempt at most, on either side of an update", () => {
  const { aead, counts } = counting();
  const a = new Side("a", { updateInterval: micros(0) }), b = new Side("b", { aead });
  settle(a, b, micros(0));
  for (const now of [micros(10), seconds(1), seconds(2)]) {
    const packet = a.send(now);
    const forged = flipped(packet);
    const state = (): number[] => [b.keys.receiveEpoch, b.keys.sendEpoch, b.keys.updatesReceived];
    const before = state(), { opens } = counts;
    for (let i = 0; i < 10; i++) {
      const result = b.keys.open(now, forged, 0, forged.length, scratch);
      assert.ok(result === UNAUTHENTIC || result === OLD_KEYS);
    }
    assert.ok(counts.opens - opens <= 10);
    assert.deepEqual(state(), before);
    assert.equal(b.receive(now, packet), OPENED, "the packet itself still opens");
    assert.equal(a.receive(now, b.send(now)), OPENED);
  }
});

test("the next keys are made late in an epoch, and not by the packet that begins one nor by the one that answers it", () => {
  for (const options of [{ updateInterval: seconds(8) }, { updatePackets: 80 }]) {
    const { aead, counts } = counting();
    const a = new Side("a", { aead, ...options }), b = new Side("b", { aead, ...options });
    let step = 0;
    /** A packet each way, every 100 ms; how many keys that made. */
    const exchange = (): number => {
      const now = millis(100 * step++), { keys } = counts;
      assert.equal(b.receive(now, a.send(now)), OPENED);
      assert.equal(a.receive(now, b.send(now)), OPENED);
      for (const side of [a, b]) if (side.keys.deadline <= now) side.keys.onTimeout(now);
      return counts.keys - keys;
    };
    for (let epoch = 1; epoch <= 3; epoch++) {
      let made = 0, lastMade = 0;
      for (let i = 0; a.keys.sendEpoch < epoch; i++) {
        const keys = exchange();
        made += keys;
        if (keys > 0) lastMade = i;
        if (a.keys.sendEpoch === epoch) assert.equal(keys, 0);
        else assert.ok(keys === 0 || i >= 69, `${i}`);
      }
      assert.equal(made, 4);
      assert.ok(lastMade <= 72, `${lastMade}`);
    }
  }
});

test("without a warning the next keys are made on the spot", () => {
  const { a, b } = pair();
  for (let epoch = 0; epoch < 5; epoch++) settle(a, b, seconds(epoch));
  assert.equal(b.keys.receiveEpoch, 4);
});

test("the only timer drops old keys, and does not come back", () => {
  const { a, b } = pair();
  settle(a, b, micros(0));
  assert.deepEqual([a.keys.deadline, b.keys.deadline], [NEVER, NEVER]);
  assert.equal(b.receive(seconds(1), a.send(seconds(1))), OPENED);
  assert.equal(b.keys.deadline, seconds(1) + 3 * PTO);
  b.keys.onTimeout(micros(seconds(1) + 3 * PTO - 1));
  assert.equal(b.keys.deadline, seconds(1) + 3 * PTO);
  b.keys.onTimeout(micros(seconds(1) + 3 * PTO));
  assert.equal(b.keys.deadline, NEVER);
});

/** Seals what an honest side would not, with the keys of any epoch of `a`. */
function craft(epoch: number, number: number, phase = epoch & 1): Packet {
  let keys = new PacketKeys(nobleChaCha20Poly1305, nobleSha256, THERE);
  for (let i = 0; i < epoch; i++) keys = keys.nextEpoch();
  const bytes = new Uint8Array(32 + 8 + 16).fill(number, 32, 40);
  keys.seal(bytes, 0, 40, ID, number, phase === 1 ? PacketFlag.KEY_PHASE : 0);
  return { number, bytes, epoch, acknowledges: -1 };
}

test("a peer that begins an epoch before it can know that we have followed into the last one breaks the rules", () => {
  const early = new Side("b");
  assert.equal(early.receive(micros(0), craft(0, 0)), OPENED);
  assert.equal(early.receive(micros(0), craft(1, 1)), KEY_UPDATE, "nothing at all was acknowledged");

  const b = new Side("b");
  assert.equal(b.receive(micros(0), craft(0, 0)), OPENED);
  b.send(micros(0));
  assert.equal(b.receive(micros(0), craft(1, 1)), OPENED);
  assert.equal(b.receive(micros(0), craft(2, 2)), KEY_UPDATE, "a second one at once");
});

test("a peer that waits for an acknowledgement may begin an epoch as soon as that has come, but not for ever", () => {
  const b = new Side("b");
  for (let epoch = 0; epoch <= 64; epoch++) {
    assert.equal(b.receive(micros(0), craft(epoch, epoch)), OPENED);
    assert.equal(b.send(micros(0)).epoch, epoch);
  }
  assert.equal(b.receive(millis(1), craft(65, 65)), OPENED, "one more for each millisecond");
  b.send(millis(1));
  assert.equal(b.receive(millis(1), craft(66, 66)), KEY_UPDATE);
});

test("a peer that keeps to the shortest time between updates may go on with that", () => {
  const b = new Side("b");
  for (let epoch = 0; epoch < 200; epoch++) {
    assert.equal(b.receive(millis(3 * epoch), craft(epoch, epoch)), OPENED);
    b.send(millis(3 * epoch));
  }
  assert.equal(b.keys.updatesReceived, 199);
});

test("new keys on a packet from before the update break the rules, and so does a new epoch's packet before an old one's", () => {
  const b = new Side("b");
  assert.equal(b.receive(micros(0), craft(0, 5)), OPENED);
  b.send(micros(0));
  assert.equal(b.receive(micros(0), craft(1, 4)), KEY_UPDATE, "epoch 1 below epoch 0");

  const other = new Side("b");
  assert.equal(other.receive(micros(0), craft(0, 5)), OPENED);
  other.send(micros(0));
  assert.equal(other.receive(micros(0), craft(1, 9)), OPENED);
  assert.equal(other.receive(micros(0), craft(0, 8)), OPENED);
  assert.equal(other.receive(micros(0), craft(1, 7)), KEY_UPDATE, "epoch 1 below a late packet of epoch 0");
});

test("a peer that goes back to old keys is not believed", () => {
  const b = new Side("b");
  assert.equal(b.receive(micros(0), craft(0, 0)), OPENED);
  b.send(micros(0));
  assert.equal(b.receive(micros(0), craft(1, 1)), OPENED);
  assert.equal(b.receive(micros(0), craft(0, 2)), UNAUTHENTIC);
  assert.equal(b.receive(micros(0), craft(1, 3, 0)), UNAUTHENTIC, "the right keys under the wrong phase");
  assert.equal(b.receive(micros(0), craft(1, 4)), OPENED);
});

test("old keys between two packets of the new epoch are not believed either", () => {
  const b = new Side("b");
  assert.equal(b.receive(micros(0), craft(0, 0)), OPENED);
  b.send(micros(0));
  assert.equal(b.receive(micros(0), craft(1, 10)), OPENED);
  assert.equal(b.receive(micros(0), craft(0, 3)), OPENED, "late");
  assert.equal(b.receive(micros(0), craft(1, 8)), OPENED);
  assert.equal(b.receive(micros(0), craft(0, 9)), UNAUTHENTIC);
});

test("a peer that acknowledges a new epoch with the keys of the old one breaks the rules", () => {
  const { a, b } = pair();
  settle(a, b, micros(0));
  const stale = b.send(seconds(1), a.next);
  a.send(seconds(1));
  assert.equal(a.keys.sendEpoch, 1);
  assert.equal(a.receive(seconds(1), stale), KEY_UPDATE);
});

test("forgeries are counted through all epochs together, and there is an end to them", () => {
  const a = new Side("a", { updateInterval: micros(0) }), b = new Side("b", { forgeryLimit: 6 });
  const results: OpenResult[] = [];
  for (let epoch = 0; epoch < 6; epoch++) {
    settle(a, b, seconds(epoch));
    const { bytes } = a.send(seconds(epoch));
    bytes[bytes.length - 1] ^= 1;
    results.push(b.keys.open(seconds(epoch), bytes, 0, bytes.length, scratch));
    b.keys.onTimeout(micros(seconds(epoch) + 3 * PTO));
  }
  assert.equal(b.keys.receiveEpoch, 5);
  assert.deepEqual(results, [...new Array(5).fill(UNAUTHENTIC), KEY_LIMIT]);
});

test("under any loss, delay and reordering every packet opens that comes within three probe timeouts of its time", () => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.integer({ min: 0, max: 6 }),
      fc.integer({ min: 1, max: 8 }),
      (seed, lossTenths, spread) => {
        const random = new SeededRandom(seed);
        const intervals = [micros(0), millis(700)];
        const sides = [
          new Side("a", { updateInterval: intervals[random.below(2)], updatePackets: 1 + random.below(200) }),
          new Side("b", { updateInterval: intervals[random.below(2)], updatePackets: 1 + random.below(200) }),
        ];
        /** What is under way, in no order. */
        let wire: { packet: Packet; to: number; at: Micros; late: boolean }[] = [];
        // The oracle: the epoch of every packet is written beside it, and epochs never go back on the way out.
        const sealed = [0, 0];
        let opened = 0;
        for (let step = 0; step < 600; step++) {
          const now = micros(step * millis(5));
          for (const side of sides) if (side.keys.deadline <= now) side.keys.onTimeout(now);
          for (const index of [0, 1]) {
            if (random.below(10) < 3) continue;
            const packet = sides[index].send(now);
            assert.ok(packet.epoch === sealed[index] || packet.epoch === sealed[index] + 1);
            sealed[index] = packet.epoch;
            if (random.below(10) < lossTenths) continue;
            const copies = random.below(10) === 0 ? 2 : 1;
            // Less than a probe timeout, and now and then later than anything is waited for.
            const late = random.below(100) === 0;
            const delay = millis(late ? 500 : 10 + random.below(11 * spread));
            for (let i = 0; i < copies; i++) wire.push({ packet, to: 1 - index, at: micros(now + delay), late });
          }
          const due = wire.filter(({ at }) => at <= now);
          wire = wire.filter(({ at }) => at > now);
          for (const { packet, to, late } of due.sort(() => random.below(2) - 0.5)) {
            const receiver = sides[to].keys, behind = receiver.receiveEpoch - packet.epoch;
            const result = sides[to].receive(now, packet);
            if (late && behind >= 1 && result === OLD_KEYS) continue;
            assert.equal(result, OPENED, `packet ${packet.number}, ${behind} epochs behind`);
            assert.ok(behind <= 1);
            opened++;
          }
          assert.ok(Math.abs(sides[0].keys.sendEpoch - sides[1].keys.sendEpoch) <= 1);
        }
        assert.ok(opened > 100);
        const [a, b] = sides.map(({ keys }) => keys);
        assert.equal(a.forgeries + b.forgeries, 0);
        if (lossTenths < 3) assert.ok(a.sendEpoch >= 2, `${a.sendEpoch} updates in 3 s`);
      },
    ),
    property(40),
  );
});

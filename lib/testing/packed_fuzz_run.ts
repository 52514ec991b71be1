/**
 * Compressed and sealed data that was changed, cut and joined at random, given to what checks and opens it.
 *
 * @module
 */

import { checkZstdFrame } from "../codec/zstd_frame.ts";
import { decodeSealedHead } from "../codec/payloads/sealed_head.ts";
import { generateKeyPair } from "../crypto/key_pair.ts";
import type { CryptoProvider } from "../crypto/types.ts";
import { EnvelopeOpener, EnvelopeSealer } from "../noise/envelope.ts";
import { builtInZstd } from "../runtime/zstd.ts";
import { SeededRandom } from "./seeded_random.ts";

/** What is allowed to come out of a frame. */
const MAX_OUTPUT = 20_000;

/** What happened. Throwing, or what must not be taken being taken, is an exception. */
export interface PackedFuzzResult {
  readonly executions: number;
  /** Frames that passed the check though they were changed, and whose content zstd has given or refused within its bound. */
  readonly framesTaken: number;
  /** Envelopes whose head is as it was, because only the body was changed. */
  readonly headsOpened: number;
}

/** Tries `count` pieces of data. The same seed, the same run. */
export function runPackedFuzz(seed: number, count: number, crypto: CryptoProvider): PackedFuzzResult {
  const random = new SeededRandom(seed);
  const zstd = builtInZstd();
  const party = () => ({ crypto, random, keyPair: generateKeyPair(crypto.dh, random) });
  const [sender, recipient] = [party(), party()];
  let framesTaken = 0, headsOpened = 0;
  for (let i = 0; i < count; i++) {
    const content = new Uint8Array(random.below(3_000)).map((_, i) => i % 9 === 0 ? random.below(256) : i % 60);
    const frame = mutate(zstd?.compress(content) ?? rawFrame(content), random);
    const seen = checkZstdFrame(frame, MAX_OUTPUT);
    if (!("text" in seen)) {
      framesTaken++;
      if (seen.maxSize > MAX_OUTPUT) throw new Error(`a frame may have ${seen.maxSize} bytes`);
      const length = zstd?.decompress(frame, seen.maxSize)?.length ?? 0;
      if (length > seen.maxSize) throw new Error(`${length} bytes came out of a frame that may have ${seen.maxSize}`);
    }
    // Key agreements take long: every fifth time is enough.
    if (i % 5 > 0) continue;
    const sealer = new EnvelopeSealer(sender, recipient.keyPair.publicKey, content.subarray(0, 4), content, content);
    while (!sealer.isDone) sealer.advance(1_000);
    const sealed = mutate(sealer.bytes, random);
    const opener = EnvelopeOpener.open(recipient, content.subarray(0, 4), sealed);
    if (opener === undefined) continue;
    headsOpened++;
    decodeSealedHead(opener.head);
    while (!opener.isDone) opener.advance(1_000);
    if (opener.body !== undefined) throw new Error("an envelope that was changed has opened");
  }
  return { executions: count, framesTaken, headsOpened };
}

/** Changed in at least one place. */
function mutate(bytes: Uint8Array, random: SeededRandom): Uint8Array {
  switch (random.below(4)) {
    case 0:
      return bytes.slice(0, random.below(bytes.length));
    case 1: {
      const longer = new Uint8Array(bytes.length + 1 + random.below(40));
      random.fill(longer);
      longer.set(bytes);
      return longer;
    }
    default: {
      const changed = bytes.slice();
      const at = random.below(changed.length);
      changed[at] ^= 1 + random.below(255);
      for (let i = random.below(4); i > 0; i--) {
        const other = random.below(changed.length);
        if (other !== at) changed[other] = random.below(256);
      }
      return changed;
    }
  }
}

/** A frame of one raw block, where there is no zstd to make others. */
function rawFrame(content: Uint8Array): Uint8Array {
  const header = (content.length << 3) | 1;
  return Uint8Array.of(
    0x28,
    0xb5,
    0x2f,
    0xfd,
    0,
    0x58,
    header & 0xff,
    (header >>> 8) & 0xff,
    header >>> 16,
    ...content,
  );
}

/**
 * What a zstd frame (RFC 8878 §3.1.1) says of itself, checked to the last byte without decompressing anything.
 *
 * The decompressors of the runtimes take truncated frames, empty input, skippable frames, and bytes behind the frame, without
 * a word; and a frame's own claims decide how much memory they set aside. So a frame is walked here first, block by
 * block, and only what is exactly one whole frame within bounds is handed to them (SPEC §8.14).
 *
 * @module
 */

import { readU16, readU32 } from "../base/bytes.ts";

const MAGIC = 0xfd2f_b528;
/** A skippable frame's magic number has any low digit. */
const SKIPPABLE_MAGIC = 0x184d_2a50;
/** The largest block, whatever the window (§3.1.1.2.4). */
const MAX_BLOCK_BYTES = 131_072;
/** The largest window that RFC 8878 §3.1.1.1.2 recommends to support. */
export const MAX_ZSTD_WINDOW_BYTES: number = 8 << 20;
/** Blocks of one frame. 128 of them hold the largest payload; many small ones only cost time. */
const MAX_BLOCKS = 65_536;

const BLOCK_RAW = 0;
const BLOCK_RLE = 1;
const BLOCK_RESERVED = 3;

/** A frame that may be given to a decompressor. */
export interface ZstdFrame {
  /** How many bytes it decompresses to; undefined if it does not say. */
  readonly contentSize: number | undefined;
  /** No more than this many: the content size, or what its blocks can hold. Within the limit that was asked for. */
  readonly maxSize: number;
  /** Bytes of the window that a decompressor has to keep. */
  readonly windowSize: number;
  /** Whether a checksum of the content follows the last block. */
  readonly hasChecksum: boolean;
}

/** Why bytes are not a frame that is taken. */
export interface ZstdProblem {
  /** In our words. */
  readonly text: string;
  /** Whether it may be good, but decompresses to more than the limit. */
  readonly tooLarge: boolean;
}

/**
 * Checks that `bytes` are exactly one zstd frame that decompresses to at most `maxOutput` bytes, as far as can be seen
 * from outside of its blocks. What is inside them, and the checksum, is the decompressor's to check.
 *
 * @example
 * ```ts
 * import { checkZstdFrame } from "./zstd_frame.ts";
 *
 * const frame = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x20, 2, 0x11, 0, 0, 104, 105); // "hi", as it is
 * checkZstdFrame(frame, 1000); // { contentSize: 2, … }
 * checkZstdFrame(frame.subarray(1), 1000); // { text: "it does not begin with the zstd magic number", … }
 * ```
 */
export function checkZstdFrame(bytes: Uint8Array, maxOutput: number): ZstdFrame | ZstdProblem {
  const { length } = bytes;
  if (length < 5) return bad("it is cut off");
  const magic = readU32(bytes, 0);
  if (magic !== MAGIC) {
    return bad(
      (magic & 0xffff_fff0) === SKIPPABLE_MAGIC
        ? "it is a skippable frame"
        : "it does not begin with the zstd magic number",
    );
  }
  const descriptor = bytes[4];
  if ((descriptor & 0x08) !== 0) return bad("a reserved bit of its header is set");
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const hasChecksum = (descriptor & 0x04) !== 0;
  if ((descriptor & 0x03) !== 0) return bad("it needs a dictionary");
  const sizeCode = descriptor >>> 6;
  const sizeBytes = sizeCode === 0 ? (isSingleSegment ? 1 : 0) : 1 << sizeCode;
  let at = 5;
  if (at + (isSingleSegment ? 0 : 1) + sizeBytes > length) return bad("it is cut off in its header");
  let windowSize = 0;
  if (!isSingleSegment) {
    const exponent = bytes[at] >>> 3, mantissa = bytes[at] & 7;
    windowSize = 2 ** (10 + exponent) * (1 + mantissa / 8);
    at++;
  }
  const contentSize = sizeBytes === 0 ? undefined : readSize(bytes, at, sizeBytes);
  at += sizeBytes;
  if (isSingleSegment) windowSize = contentSize!;
  if (contentSize !== undefined && contentSize > maxOutput) return tooLarge(maxOutput);
  // A single segment is its own window, and is bounded by the output.
  if (!isSingleSegment && windowSize > MAX_ZSTD_WINDOW_BYTES) {
    return bad(`its window has ${windowSize} bytes, at most ${MAX_ZSTD_WINDOW_BYTES} are kept`);
  }
  const maxBlock = Math.min(windowSize, MAX_BLOCK_BYTES);
  // What raw and repeated bytes come to for certain, and what compressed blocks can come to beyond it.
  let certain = 0, possible = 0;
  let isLast = false;
  for (let blocks = 0; !isLast; blocks++) {
    if (blocks === MAX_BLOCKS) return bad(`it has more than ${MAX_BLOCKS} blocks`);
    if (at + 3 > length) return bad("it is cut off between its blocks");
    const header = readU16(bytes, at) | (bytes[at + 2] << 16);
    at += 3;
    isLast = (header & 1) !== 0;
    const type = (header >>> 1) & 3, size = header >>> 3;
    if (type === BLOCK_RESERVED) return bad("one of its blocks is of the reserved type");
    if (size > maxBlock) return bad(`one of its blocks has ${size} bytes, its window allows ${maxBlock}`);
    at += type === BLOCK_RLE ? 1 : size;
    if (at > length) return bad("it is cut off inside a block");
    if (type === BLOCK_RAW || type === BLOCK_RLE) certain += size;
    else possible += maxBlock;
    if (certain > (contentSize ?? maxOutput)) {
      return contentSize === undefined ? tooLarge(maxOutput) : bad("it holds more than it says");
    }
  }
  if (contentSize !== undefined && certain + possible < contentSize) return bad("it holds less than it says");
  if (hasChecksum) at += 4;
  if (at > length) return bad("it is cut off in its checksum");
  if (at < length) return bad(`${length - at} bytes follow it`);
  return {
    contentSize,
    maxSize: contentSize ?? Math.min(certain + possible, maxOutput),
    windowSize,
    hasChecksum,
  };
}

/** The content size. What is over 2^53 is over every limit, exact or not. */
function readSize(bytes: Uint8Array, at: number, length: number): number {
  if (length === 1) return bytes[at];
  if (length === 2) return readU16(bytes, at) + 256;
  if (length === 4) return readU32(bytes, at);
  return readU32(bytes, at) + readU32(bytes, at + 4) * 0x1_0000_0000;
}

function bad(text: string): ZstdProblem {
  return { text, tooLarge: false };
}

function tooLarge(maxOutput: number): ZstdProblem {
  return { text: `it decompresses to more than ${maxOutput} bytes`, tooLarge: true };
}

/**
 * When data is compressed, and what is taken as compressed data (SPEC §8.14).
 *
 * @module
 */

import { ErrorCode } from "../../codec/error_codes.ts";
import { checkZstdFrame } from "../../codec/zstd_frame.ts";
import type { RequestProblem } from "../../mesh/request_reader.ts";
import type { Compressor } from "./compressor.ts";

/** What is smaller goes into one packet with or without it, and costs more time than it saves (docs/performance.md). */
export const COMPRESS_FROM_BYTES = 1_024;
/** What is larger than this, before or after, goes beside the event loop: it takes some 200 microseconds. */
const AT_ONCE_BYTES = 65_536;
/** The smaller of the two has to save a sixteenth, or whoever decompresses it works for nothing. */
const LEAST_SAVING = 16;

/** Data as one zstd frame; undefined if that is not worth it. */
export function compressed(
  compressor: Compressor,
  data: Uint8Array,
): Uint8Array | undefined | Promise<Uint8Array | undefined> {
  if (data.length < COMPRESS_FROM_BYTES) return undefined;
  const worthIt = (frame: Uint8Array): Uint8Array | undefined =>
    frame.length <= data.length - data.length / LEAST_SAVING ? frame : undefined;
  if (data.length <= AT_ONCE_BYTES) return worthIt(compressor.compress(data));
  return compressor.compressLater(data).then(worthIt);
}

/**
 * What a frame holds, or why it is not taken.
 *
 * @param maxOutput most bytes that it may hold. @param reserve is asked for memory before any is taken up.
 */
export function decompressed(
  compressor: Compressor | undefined,
  frame: Uint8Array,
  maxOutput: number,
  reserve: (bytes: number) => boolean,
): Uint8Array | RequestProblem | Promise<Uint8Array | RequestProblem> {
  if (compressor === undefined) {
    const text = "compressed messages are not supported here: this runtime has no zstd";
    return { code: ErrorCode.UNSUPPORTED_TYPE, retryable: false, text };
  }
  const seen = checkZstdFrame(frame, maxOutput);
  if ("text" in seen) {
    const code = seen.tooLarge ? ErrorCode.PAYLOAD_TOO_LARGE : ErrorCode.CANNOT_DECOMPRESS;
    return { code, retryable: false, text: `the data is not one good zstd frame: ${seen.text}` };
  }
  const { maxSize, contentSize } = seen;
  if (!reserve(maxSize)) {
    return { code: ErrorCode.OVERLOADED, retryable: true, text: "no memory for what the data decompresses to" };
  }
  const checked = (data: Uint8Array | undefined): Uint8Array | RequestProblem => {
    if (data !== undefined && data.length === (contentSize ?? data.length)) return data;
    const text = "the data is not one good zstd frame: it is damaged, or holds something else than it says";
    return { code: ErrorCode.CANNOT_DECOMPRESS, retryable: false, text };
  };
  if (Math.max(frame.length, maxSize) <= AT_ONCE_BYTES) return checked(compressor.decompress(frame, maxSize));
  return compressor.decompressLater(frame, maxSize).then(checked);
}

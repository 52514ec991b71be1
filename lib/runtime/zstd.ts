/**
 * The zstd that is built into the runtime: Deno, Bun, and Node from 22.15 on.
 *
 * @module
 */

import zlib from "node:zlib";
import type { Compressor } from "../agent/packing/compressor.ts";

interface Bounds {
  readonly maxOutputLength: number;
}
/** Without it, Deno leaves the content size out of the frame. */
interface PledgedSize {
  readonly pledgedSrcSize: number;
}
type Callback = (error: Error | null, result: Uint8Array) => void;

/** What types for Node 20 do not know. */
interface Zstd {
  readonly zstdCompressSync?: (bytes: Uint8Array, size: PledgedSize) => Uint8Array;
  readonly zstdCompress: (bytes: Uint8Array, size: PledgedSize, done: Callback) => void;
  readonly zstdDecompressSync: (frame: Uint8Array, bounds: Bounds) => Uint8Array;
  readonly zstdDecompress: (frame: Uint8Array, bounds: Bounds, done: Callback) => void;
}

/** zstd, if this runtime has it. */
export function builtInZstd(): Compressor | undefined {
  const { zstdCompressSync, zstdCompress, zstdDecompressSync, zstdDecompress } = zlib as unknown as Zstd;
  if (zstdCompressSync === undefined) return undefined;
  return {
    compress: (bytes) => plain(zstdCompressSync(bytes, { pledgedSrcSize: bytes.length })),
    compressLater: (bytes) =>
      new Promise((resolve, reject) => {
        zstdCompress(bytes, { pledgedSrcSize: bytes.length }, (error, frame) =>
          error === null || error === undefined ? resolve(plain(frame)) : reject(error));
      }),
    decompress: (frame, maxOutput) => {
      try {
        return plain(zstdDecompressSync(frame, boundsFor(maxOutput)));
      } catch {
        return undefined;
      }
    },
    decompressLater: (frame, maxOutput) =>
      new Promise((resolve) => {
        zstdDecompress(frame, boundsFor(maxOutput), (error, bytes) => {
          resolve(error === null || error === undefined ? plain(bytes) : undefined);
        });
      }),
  };
}

/** A bound of 0 is not one that runtimes take. */
function boundsFor(maxOutput: number): Bounds {
  return { maxOutputLength: Math.max(1, maxOutput) };
}

/** Without the methods of a Buffer. Runtimes may cut results from memory that is shared with others. */
function plain(bytes: Uint8Array): Uint8Array {
  const isWhole = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength;
  return isWhole ? new Uint8Array(bytes.buffer) : new Uint8Array(bytes);
}

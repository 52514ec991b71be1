/**
 * zstd, as the library needs it of the runtime.
 *
 * @module
 */

/**
 * Compresses and decompresses whole zstd frames. Which input may be decompressed is for the caller to check before:
 * decompressors take things that are no frames.
 */
export interface Compressor {
  /** One frame with its content size; at once. For what takes no more than a millisecond. */
  compress(bytes: Uint8Array): Uint8Array;
  /** The same beside the event loop. The bytes must not change meanwhile. */
  compressLater(bytes: Uint8Array): Promise<Uint8Array>;
  /** What a frame holds; undefined if it is damaged or holds more than `maxOutput` bytes. */
  decompress(frame: Uint8Array, maxOutput: number): Uint8Array | undefined;
  /** The same beside the event loop. The frame must not change meanwhile. */
  decompressLater(frame: Uint8Array, maxOutput: number): Promise<Uint8Array | undefined>;
}

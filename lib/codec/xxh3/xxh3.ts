/**
 * XXH3-64, the checksum of messages (SPEC §2.3): what the codec needs of it.
 *
 * There are two implementations, checked against each other: {@link WasmXxh3} for speed, {@link LimbsXxh3} for
 * everywhere else. 64-bit values never appear as BigInt: hashes are stored and compared in place.
 *
 * @module
 */

/** A 64-bit hash as two unsigned halves. */
export interface Xxh3Digest {
  /** The lower 32 bits. */
  readonly low: number;
  /** The upper 32 bits. */
  readonly high: number;
}

/** A memory in which XXH3-64 works in place. Positions are addresses: a typed array's `byteOffset` and on. Nothing is checked. */
export interface Xxh3Memory {
  /** All of it. */
  readonly view: DataView;
  /** Stores the hash (seed 0) of `length` bytes at `at` in the eight bytes behind them. */
  seal(at: number, length: number): void;
  /** Not 0 if the eight bytes behind `length` bytes at `at` are their hash (seed 0). */
  matches(at: number, length: number): number;
}

/** XXH3-64. An object owns scratch memory and must not be shared between threads. */
export interface Xxh3 {
  /** Which implementation this is. */
  readonly implementation: "wasm" | "limbs";
  /**
   * Stores the hash (seed 0) of `bytes[start, end)` in the eight bytes from `end` on, little-endian.
   *
   * @throws RangeError if the range and eight bytes more do not lie within `bytes`.
   */
  seal(bytes: Uint8Array, start: number, end: number): void;
  /**
   * Whether the eight bytes from `end` on are the hash (seed 0) of `bytes[start, end)`.
   *
   * @throws RangeError if the range and eight bytes more do not lie within `bytes`.
   */
  matches(bytes: Uint8Array, start: number, end: number): boolean;
  /** The memory that `bytes` lies in, if it is the hash's own: there nothing has to be copied. */
  memoryOf(bytes: Uint8Array): Xxh3Memory | undefined;
  /** The hash of all of `bytes` under a seed; 0 unless given. */
  digest(bytes: Uint8Array, seedLow?: number, seedHigh?: number): Xxh3Digest;
}

/** Refuses a range that does not lie within `bytes` with eight bytes to spare. */
export function checkHashRange(bytes: Uint8Array, start: number, end: number): void {
  if (!(start >= 0 && start <= end && end + 8 <= bytes.length)) {
    throw new RangeError(`a hash of bytes ${start} to ${end} does not fit into ${bytes.length} bytes`);
  }
}

/**
 * What may be done with the data of an agent stream's messages between its two ends (SPEC §8.14), as interfaces: who does it
 * knows zstd and keys.
 *
 * @module
 */

/** Data as it goes into a StreamChunk or StreamClose. */
export interface PackedData {
  readonly data: Uint8Array;
  /** COMPRESSED and ENCRYPTED. */
  readonly flags: number;
}

/** Compresses and seals what one half sends, in order. */
export interface StreamPacker {
  /** The payload of a Seal message that has to go in front of the next message; once. */
  takeSeal(): Uint8Array | undefined;
  /** Packs what is behind the fixed fields of a message. */
  pack(type: number, data: Uint8Array): PackedData;
}

/** What is wrong with packed data, as a StreamClose would say it. */
export interface StreamPackingProblem {
  readonly code: number;
  readonly text: string;
}

/** Opens and decompresses what the other half sends, in order. */
export interface StreamUnpacker {
  /** Whether every message has to be sealed. */
  readonly isSealed: boolean;
  /** The payload of a Seal message. */
  onSeal(payload: Uint8Array): StreamPackingProblem | undefined;
  /**
   * What was behind the fixed fields of a message, of at most `maxBytes`: in an array of its own, or the data itself if it was
   * not packed.
   */
  unpack(type: number, flags: number, data: Uint8Array, maxBytes: number): Uint8Array | StreamPackingProblem;
}

/**
 * XXH3-64 by a WebAssembly kernel (SIMD). The kernel's source is `kernel.as.txt`, its bytes are `kernel.wasm.ts`.
 *
 * @module
 */

import { readU32 } from "../../base/bytes.ts";
import { XXH3_KERNEL_BASE64 } from "./kernel.wasm.ts";
import { checkHashRange, type Xxh3, type Xxh3Digest, type Xxh3Memory } from "./xxh3.ts";

/** What the kernel exports. Positions are addresses in its memory. */
interface Kernel {
  init(at: number): void;
  seal(at: number, length: number): void;
  matches(at: number, length: number): number;
  digest(at: number, length: number, seedLow: number, seedHigh: number): void;
  streamBegin(seedLow: number, seedHigh: number): void;
  streamBlocks(at: number, blocks: number): void;
  streamEnd(at: number, length: number, totalLength: number): void;
}

/** The kernel's own state comes first; see `kernel.as.txt`. */
const STATE_BYTES = 512;
const RESULT_OFFSET = 448;
const STRIPE_BYTES = 64;
const BLOCK_BYTES = 1024;
/** Longer inputs that lie elsewhere are copied in pieces of this size, a multiple of a block. */
const PIECE_BYTES = 32 * BLOCK_BYTES;
const PAGE_BYTES = 65_536;

/** How much of its memory the kernel needs for itself. */
export const XXH3_WORKSPACE_BYTES: number = STATE_BYTES + STRIPE_BYTES + PIECE_BYTES;

/** Where the kernel works. */
export interface WasmXxh3Options {
  /**
   * A memory that the caller also keeps buffers in: what lies there is hashed without a copy. It may grow. By default the
   * kernel has one to itself.
   */
  readonly memory?: WebAssembly.Memory;
  /** Where in it the kernel's {@link XXH3_WORKSPACE_BYTES} lie; a multiple of 16, 0 by default. Hands off. */
  readonly at?: number;
}

/** Whether and how the kernel compiles here; undefined without WebAssembly or SIMD. */
export function compileXxh3Kernel(): WebAssembly.Module | undefined {
  try {
    return new WebAssembly.Module(Uint8Array.from(atob(XXH3_KERNEL_BASE64), (character) => character.charCodeAt(0)));
  } catch {
    return undefined;
  }
}

/** XXH3-64 by the kernel. Make one with {@link createXxh3}. */
export class WasmXxh3 implements Xxh3 {
  readonly implementation = "wasm";
  readonly #memory: WebAssembly.Memory;
  /** Whether somebody else can have buffers in the memory. */
  readonly #isShared: boolean;
  readonly #kernel: Kernel;
  readonly #result: number;
  /** Where pieces of inputs from elsewhere go; the stripe before it is kept for the end of the next piece. */
  readonly #scratch: number;
  #buffer: ArrayBufferLike;
  #bytes: Uint8Array;
  #inside: Xxh3Memory;

  /**
   * An instance of the compiled kernel with a workspace of its own.
   *
   * @throws RangeError if the workspace does not fit.
   */
  constructor(module: WebAssembly.Module, options: WasmXxh3Options = {}) {
    const at = options.at ?? 0;
    const pages = Math.ceil((at + XXH3_WORKSPACE_BYTES) / PAGE_BYTES);
    this.#isShared = options.memory !== undefined;
    this.#memory = options.memory ?? new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.#buffer = this.#memory.buffer;
    this.#bytes = new Uint8Array(this.#buffer);
    if (!(at >= 0 && at % 16 === 0 && at + XXH3_WORKSPACE_BYTES <= this.#bytes.length)) {
      throw new RangeError(`a workspace of ${XXH3_WORKSPACE_BYTES} bytes at ${at} does not fit into the memory`);
    }
    const instance = new WebAssembly.Instance(module, { env: { memory: this.#memory } });
    // A plain object: an instance's own exports are slower to look up.
    this.#kernel = { ...(instance.exports as unknown as Kernel) };
    this.#kernel.init(at);
    this.#inside = this.#describeMemory();
    this.#result = at + RESULT_OFFSET;
    this.#scratch = at + STATE_BYTES + STRIPE_BYTES;
  }

  seal(bytes: Uint8Array, start: number, end: number): void {
    checkHashRange(bytes, start, end);
    let from = this.#result;
    if (this.#copyIn(bytes, start, end)) {
      this.#kernel.seal(this.#scratch, end - start);
      from = this.#scratch + end - start;
    }
    const own = this.#bytes;
    // Eight stores cost less than a view and a copy.
    for (let i = 0; i < 8; i++) bytes[end + i] = own[from + i];
  }

  matches(bytes: Uint8Array, start: number, end: number): boolean {
    checkHashRange(bytes, start, end);
    if (this.#copyIn(bytes, start, end)) return this.#kernel.matches(this.#scratch, end - start) !== 0;
    return readU32(bytes, end) === readU32(this.#bytes, this.#result) &&
      readU32(bytes, end + 4) === readU32(this.#bytes, this.#result + 4);
  }

  memoryOf(bytes: Uint8Array): Xxh3Memory | undefined {
    // Asking for the buffer is not free everywhere.
    return this.#isShared && bytes.buffer === this.#buffer ? this.#inside : undefined;
  }

  digest(bytes: Uint8Array, seedLow = 0, seedHigh = 0): Xxh3Digest {
    this.#refresh();
    if (bytes.length <= PIECE_BYTES) {
      this.#bytes.set(bytes, this.#scratch);
      this.#kernel.digest(this.#scratch, bytes.length, seedLow, seedHigh);
    } else {
      this.#hashInPieces(bytes, 0, bytes.length, seedLow, seedHigh);
    }
    return { low: readU32(this.#bytes, this.#result), high: readU32(this.#bytes, this.#result + 4) };
  }

  /** Copies a range and the eight bytes behind it to the scratch space. Says false if it is too long; then its hash is the result. */
  #copyIn(bytes: Uint8Array, start: number, end: number): boolean {
    this.#refresh();
    if (end - start > PIECE_BYTES - 8) {
      this.#hashInPieces(bytes, start, end, 0, 0);
      return false;
    }
    // A view costs more than the copy.
    this.#bytes.set(start === 0 && end + 8 === bytes.length ? bytes : bytes.subarray(start, end + 8), this.#scratch);
    return true;
  }

  #hashInPieces(bytes: Uint8Array, start: number, end: number, seedLow: number, seedHigh: number): void {
    const own = this.#bytes;
    const kernel = this.#kernel;
    const scratch = this.#scratch;
    kernel.streamBegin(seedLow, seedHigh);
    let at = start;
    // At least one byte has to be left for the end.
    for (; end - at > PIECE_BYTES; at += PIECE_BYTES) {
      own.set(bytes.subarray(at, at + PIECE_BYTES), scratch);
      kernel.streamBlocks(scratch, PIECE_BYTES / BLOCK_BYTES);
      own.copyWithin(scratch - STRIPE_BYTES, scratch + PIECE_BYTES - STRIPE_BYTES, scratch + PIECE_BYTES);
    }
    own.set(bytes.subarray(at, end), scratch);
    const blocks = Math.floor((end - at - 1) / BLOCK_BYTES);
    kernel.streamBlocks(scratch, blocks);
    kernel.streamEnd(scratch + blocks * BLOCK_BYTES, end - at - blocks * BLOCK_BYTES, end - start);
  }

  /** A memory that grew has a new buffer; the old one is empty. */
  #refresh(): void {
    if (this.#bytes.length !== 0) return;
    this.#buffer = this.#memory.buffer;
    this.#bytes = new Uint8Array(this.#buffer);
    this.#inside = this.#describeMemory();
  }

  #describeMemory(): Xxh3Memory {
    return { view: new DataView(this.#buffer), seal: this.#kernel.seal, matches: this.#kernel.matches };
  }
}

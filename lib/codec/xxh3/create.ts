/**
 * Picks an implementation of XXH3-64.
 *
 * @module
 */

import { LimbsXxh3 } from "./limbs.ts";
import { compileXxh3Kernel, WasmXxh3, type WasmXxh3Options } from "./wasm.ts";
import type { Xxh3 } from "./xxh3.ts";

/**
 * The WASM kernel, or where that is not to be had, plain TypeScript. Compiling takes about a millisecond: one for a
 * driver, not one for a message.
 *
 * @throws RangeError if the memory given has no room for the kernel's workspace.
 *
 * @example
 * ```ts
 * import { createXxh3 } from "./create.ts";
 *
 * const xxh3 = createXxh3();
 * const bytes = new Uint8Array(40);
 * xxh3.seal(bytes, 0, 32);
 * xxh3.matches(bytes, 0, 32); // true
 * ```
 */
export function createXxh3(options: WasmXxh3Options = {}): Xxh3 {
  const module = compileXxh3Kernel();
  return module === undefined ? new LimbsXxh3() : new WasmXxh3(module, options);
}

/**
 * Reading the shared test vectors, which are not part of the project.
 *
 * @module
 */

import { existsSync, readFileSync } from "node:fs";
import { fromHex } from "../../lib/base/bytes.ts";

/** Beside the project, seen from this file or, where the tests were bundled, from the working directory. */
const FOLDERS = [new URL("../../../shared/vectors/", import.meta.url), "../shared/vectors/"];

/** The parsed file; undefined, with a line that says so, if it is absent. */
export function readVectors<T>(name: string): T | undefined {
  for (const folder of FOLDERS) {
    const path = typeof folder === "string" ? folder + name : new URL(name, folder);
    if (existsSync(path)) return JSON.parse(readFileSync(path, "utf8")) as T;
  }
  console.error(`../shared/vectors/${name} is absent: its tests are skipped`);
  return undefined;
}

/** Hex that is known to be well formed. */
export function hex(text: string): Uint8Array {
  const bytes = fromHex(text);
  if (bytes === undefined) throw new TypeError(`not hex: ${text}`);
  return bytes;
}

/**
 * Waiting, and looking at errors, in tests.
 *
 * @module
 */

import assert from "node:assert/strict";
import { MxpError, type MxpErrorCode } from "../../../mod.ts";

/** Waits so many milliseconds. */
export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until something is so. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let i = 0; i < 1_000; i++) {
    if (await condition()) return;
    await sleep(10);
  }
  assert.fail(`timed out waiting until ${what}`);
}

/** Checks an error's code and text. */
export function failsWith(code: MxpErrorCode, pattern: RegExp = /./): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof MxpError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, pattern);
    return true;
  };
}

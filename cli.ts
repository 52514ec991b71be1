#!/usr/bin/env -S deno run -A
/**
 * The program `mxp`.
 *
 * @module
 */

import { writeSync } from "node:fs";
import process from "node:process";
import { VERSION } from "./commands/version.ts";

const args = process.argv.slice(2);
if (args.length === 1 && args[0] === "--version") {
  // Scripts ask for this often, and it needs nothing.
  try {
    writeSync(1, VERSION + "\n");
  } catch {
    await run();
  }
} else {
  await run();
}

/** Everything else, and what goes wrong. */
async function run(): Promise<void> {
  const { main } = await import("./commands/main.ts");
  process.exit(await main(args));
}

#!/usr/bin/env -S deno run -A
/**
 * The program `mxp`.
 *
 * @module
 */

import process from "node:process";
import { VERSION } from "./commands/version.ts";

const args = process.argv.slice(2);
if (args.length === 1 && args[0] === "--version") {
  // Scripts ask for this often, and it needs nothing.
  console.log(VERSION);
} else {
  const { main } = await import("./commands/main.ts");
  process.exit(await main(args));
}

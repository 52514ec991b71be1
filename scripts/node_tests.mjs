/**
 * Runs test files in one process of Node, as Bun does: starting a process for each takes longer than most of them run.
 * `node --import ./scripts/node_typescript.mjs --test-reporter=tap scripts/node_tests.mjs FILE…`
 *
 * @module
 */

import { resolve } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";

for (const path of process.argv.slice(2)) await import(pathToFileURL(resolve(path)).href);

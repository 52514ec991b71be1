/**
 * Many files of tests in one process and one isolate: most of them are over sooner than the library would have been loaded
 * for each. `deno test -A --no-check scripts/deno_tests.ts -- FILE…`
 *
 * @module
 */

import process from "node:process";

for (const file of process.argv.slice(2)) await import(new URL(`../${file}`, import.meta.url).href);

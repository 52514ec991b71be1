/**
 * Builds what Node runs, since Node does not run the source: in `dist/node`, one file for each of the library's entries
 * in `deno.json`, `cli.js` for the program, and the chunks that they share, so that a class is the same class through
 * every entry. Packages stay imports: npm installs them.
 *
 * @module
 */

import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import process from "node:process";
import { build, stop } from "esbuild";
import { projectRoot } from "./source_files.ts";
import { OLDEST_NODE } from "./tools.ts";

/** File name in `dist/node`, without its ending → source. `./codec` becomes `codec`, `.` becomes `mod`. */
function entryPoints(): Record<string, string> {
  const config: { exports: Record<string, string> } = JSON.parse(readFileSync(`${projectRoot}deno.json`, "utf8"));
  const entries: Record<string, string> = { cli: "./cli.ts" };
  for (const [name, path] of Object.entries(config.exports)) entries[name === "." ? "mod" : name.slice(2)] = path;
  return entries;
}

if (import.meta.main) {
  const outdir = `${projectRoot}dist/node`;
  const entries = entryPoints();
  const missing = Object.values(entries).filter((path) => !existsSync(projectRoot + path));
  if (missing.length > 0) {
    console.error(`cannot build for Node without ${missing.join(", ")}`);
    process.exit(1);
  }
  rmSync(outdir, { recursive: true, force: true });
  await build({
    absWorkingDir: projectRoot,
    entryPoints: entries,
    outdir,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: `node${OLDEST_NODE}`,
    packages: "external",
    logLevel: "warning",
  });
  await stop();
  const program = `${outdir}/cli.js`;
  writeFileSync(program, `#!/usr/bin/env node\n${readFileSync(program, "utf8").replace(/^#!.*\n/, "")}`);
  chmodSync(program, 0o755);
  console.error(`dist/node: ${Object.keys(entries).map((name) => `${name}.js`).join(", ")}`);
}

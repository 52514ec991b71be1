// Teaches Node to import this project's TypeScript: `node --import ./scripts/node_typescript.mjs …`.
// Types are stripped and newer syntax (`await using`) is translated, file by file, with positions kept for stack traces.

import { readFileSync } from "node:fs";
import { register } from "node:module";
import { fileURLToPath } from "node:url";
import { isMainThread } from "node:worker_threads";

if (isMainThread) {
  process.setSourceMapsEnabled(true);
  register(import.meta.url);
}

let esbuild;

/** Module hook: see Node's documentation of `module.register`. */
export async function load(url, context, next) {
  if (!url.startsWith("file:") || !url.endsWith(".ts")) return next(url, context);
  esbuild ??= await import("esbuild");
  const path = fileURLToPath(url);
  const options = { loader: "ts", format: "esm", target: "node20", sourcefile: path, sourcemap: "inline" };
  const { code } = esbuild.transformSync(readFileSync(path, "utf8"), options);
  return { format: "module", source: code, shortCircuit: true };
}

/**
 * Checks which folder imports which. The table below is the direction that docs/architecture.md explains; whatever it
 * does not list is refused, unknown folders included.
 *
 * @module
 */

import process from "node:process";
import { posix } from "node:path";
import { blankNonCode, type Finding, lineAt, readSources, report, type SourceFile } from "./source_files.ts";

/** What the files of one layer may import. Their own layer is always allowed. */
export interface Layer {
  /** Layers that may be imported freely. */
  readonly imports: readonly string[];
  /** Layers of which only types may be imported: interfaces that this layer implements for its owner. */
  readonly types?: readonly string[];
  /** Packages and built-in modules, by exact name or, ending in `/` or `:`, by prefix. */
  readonly packages?: readonly string[];
}

const CORE = ["base", "codec", "crypto", "noise", "wire", "transport", "mesh"];

/** The table. `lib/x/` is the layer `x`; files at the root and the other folders have names of their own. */
export const LAYERS: Readonly<Record<string, Layer>> = {
  base: { imports: [] },
  codec: { imports: ["base"] },
  // node:crypto for algorithms only; check_purity.ts refuses its random functions.
  crypto: { imports: ["base"], packages: ["node:crypto", "@noble/"] },
  noise: { imports: ["base", "crypto"] },
  wire: { imports: ["base"] },
  transport: { imports: ["base", "crypto", "noise", "wire"] },
  // Never transport: the two trade bytes and stream handles, and agent joins them.
  mesh: { imports: ["base", "codec"] },
  capture: { imports: ["base", "codec", "crypto", "noise", "wire", "transport"] },
  store: { imports: ["base", "codec"], types: ["mesh"], packages: ["node:sqlite"] },
  observe: {
    imports: ["base", "codec", "wire"],
    types: ["transport", "mesh", "agent"],
    packages: ["@logtape/logtape"],
  },
  // Adapters implement interfaces that agent owns; agent picks one through runtime's detection.
  runtime: { imports: ["base"], types: ["agent"], packages: ["node:"] },
  agent: { imports: [...CORE, "runtime", "store", "observe"], packages: ["@logtape/logtape"] },
  // Handlers made of handlers: over what everybody may use of agent, and nothing below it.
  adapters: { imports: ["base", "agent"] },
  testing: { imports: [...CORE, "runtime", "agent"] },
  mod: { imports: [...CORE, "agent", "runtime", "store", "observe", "capture", "testing"] },
  commands: { imports: ["mod"], packages: ["node:", "commander", "picocolors", "@logtape/logtape"] },
  cli: { imports: ["commands", "mod"], packages: ["node:", "commander", "picocolors"] },
};

/** Not part of what is shipped: may import everything, but nothing shipped may import it. */
const UNCHECKED = ["tests/", "bench/", "scripts/", "examples/"];

/** The layer to which a path belongs; undefined if it is not part of what is shipped. */
export function layerOf(path: string): string | undefined {
  const parts = path.split("/");
  if (parts[0] === "lib" && parts.length > 2) return parts[1];
  if (parts[0] === "commands") return "commands";
  return parts.length === 1 ? parts[0].replace(/\.ts$/, "") : undefined;
}

/** One import, re-export or `import()` in a file. */
export interface Import {
  readonly specifier: string;
  readonly typeOnly: boolean;
  readonly line: number;
}

/** All imports of a file, found in its code, not in its comments or strings. */
export function importsOf(text: string): Import[] {
  const code = blankNonCode(text);
  const found: Import[] = [];
  const add = (quote: number, typeOnly: boolean): void => {
    const end = code.indexOf(code[quote], quote + 1);
    found.push({ specifier: text.slice(quote + 1, end), typeOnly, line: lineAt(code, quote) });
  };
  for (const match of code.matchAll(/(?<![\w$.#])(?:import|export)\b([^"';]*?)\bfrom\s*["']/g)) {
    add(match.index + match[0].length - 1, isTypeOnly(match[1]));
  }
  for (const match of code.matchAll(/(?<![\w$.#])import\s*(\(?)\s*["']/g)) {
    add(match.index + match[0].length - 1, false);
  }
  for (const match of code.matchAll(/(?<![\w$.#])import\s*\(\s*(?!["'\s])/g)) {
    found.push({ specifier: "<computed>", typeOnly: false, line: lineAt(code, match.index) });
  }
  return found.sort((a, b) => a.line - b.line);
}

/** Whether what stands between `import` and `from` names types only. */
function isTypeOnly(clause: string): boolean {
  const trimmed = clause.trim();
  if (/^type\b/.test(trimmed)) return true;
  const names = /^\{([^}]*)\}$/.exec(trimmed)?.[1].split(",").map((name) => name.trim()).filter((name) => name !== "");
  return names !== undefined && names.length > 0 && names.every((name) => name.startsWith("type "));
}

/** One finding for each import against the table. */
export function checkLayers(files: readonly SourceFile[]): Finding[] {
  const findings: Finding[] = [];
  const known = new Set(files.map(({ path }) => path));
  for (const { path, text } of files) {
    if (UNCHECKED.some((folder) => path.startsWith(folder))) continue;
    const layer = layerOf(path);
    const rules = layer === undefined ? undefined : LAYERS[layer];
    if (layer === undefined || rules === undefined) {
      findings.push({ path, line: 1, message: "belongs to no layer of the table in scripts/check_layers.ts" });
      continue;
    }
    for (const { specifier, typeOnly, line } of importsOf(text)) {
      const message = judge(path, layer, rules, specifier, typeOnly, known);
      if (message !== undefined) findings.push({ path, line, message });
    }
  }
  return findings;
}

function judge(
  path: string,
  layer: string,
  rules: Layer,
  specifier: string,
  typeOnly: boolean,
  known: ReadonlySet<string>,
): string | undefined {
  if (specifier === "<computed>") {
    return layer === "runtime" ? undefined : "imports a computed path, which cannot be checked";
  }
  if (!specifier.startsWith(".")) {
    const allowed = rules.packages?.some((name) =>
      /[/:]$/.test(name) ? specifier.startsWith(name) : isOf(specifier, name)
    );
    return allowed ? undefined : `${layer} must not import the package ${specifier}`;
  }
  const target = posix.normalize(posix.join(posix.dirname(path), specifier));
  if (!known.has(target)) return `imports ${specifier}, which does not exist`;
  const targetLayer = layerOf(target);
  if (targetLayer === layer) return undefined;
  if (targetLayer === undefined) return `${layer} must not import ${target}, which is not shipped`;
  if (rules.imports.includes(targetLayer)) return undefined;
  if (rules.types?.includes(targetLayer)) {
    return typeOnly ? undefined : `${layer} may import only types of ${targetLayer} (${specifier})`;
  }
  return `${layer} must not import ${targetLayer} (${specifier})`;
}

/** Whether `specifier` is the package `name` or a path inside it. */
function isOf(specifier: string, name: string): boolean {
  return specifier === name || specifier.startsWith(`${name}/`);
}

if (import.meta.main) {
  const files = readSources();
  process.exitCode = report("layers", files.length, checkLayers(files));
}

/**
 * Checks that `deno.json` and `package.json` give the project the same name and version and the same exact versions of the
 * same packages, and that every document that names the runtimes names the versions that the gate uses.
 *
 * @module
 */

import { existsSync, readFileSync } from "node:fs";
import process from "node:process";
import { type Finding, projectRoot, report } from "./source_files.ts";
import { BUN_VERSION, DENO_VERSION } from "./tools.ts";

/** The parts of `deno.json` that matter here. */
export interface DenoConfig {
  readonly name?: string;
  readonly version?: string;
  readonly license?: string;
  readonly imports?: Readonly<Record<string, string>>;
}

/** The parts of `package.json` that matter here. */
export interface PackageConfig {
  readonly name?: string;
  readonly version?: string;
  readonly license?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

const EXACT = /^\d+\.\d+\.\d+(?:-[\w.]+)?$/;

/** One message for each difference between the two. */
export function compareVersions(deno: DenoConfig, node: PackageConfig): string[] {
  const messages: string[] = [];
  for (const key of ["name", "version", "license"] as const) {
    if (deno[key] !== node[key]) messages.push(`${key} is ${deno[key]} in deno.json, ${node[key]} in package.json`);
  }
  const inDeno = new Map<string, string>();
  for (const [name, specifier] of Object.entries(deno.imports ?? {})) {
    const match = /^npm:(@?[^@]+)@(.+)$/.exec(specifier);
    if (match === null) messages.push(`${name} is ${specifier} in deno.json, expected npm:NAME@VERSION`);
    else if (match[1] !== name) messages.push(`${name} stands for another package in deno.json: ${specifier}`);
    else inDeno.set(name, match[2]);
  }
  const inNode = new Map(Object.entries({ ...node.dependencies, ...node.devDependencies }));
  for (const name of new Set([...inDeno.keys(), ...inNode.keys()])) {
    const left = inDeno.get(name), right = inNode.get(name);
    if (left !== right) {
      messages.push(`${name} is ${left ?? "absent"} in deno.json, ${right ?? "absent"} in package.json`);
    } else if (left !== undefined && !EXACT.test(left)) messages.push(`${name} ${left} is not an exact version`);
  }
  return messages;
}

/** One message for each mention of `deno@…` or `bun@…` with another version than the gate's. */
export function compareMentions(text: string): string[] {
  const messages: string[] = [];
  for (const [, tool, version] of text.matchAll(/\b(deno|bun)@(\d+\.\d+\.\d+)/g)) {
    const wanted = tool === "deno" ? DENO_VERSION : BUN_VERSION;
    if (version !== wanted) messages.push(`names ${tool}@${version}, the gate uses ${wanted}`);
  }
  return messages;
}

if (import.meta.main) {
  const read = (path: string): string => readFileSync(projectRoot + path, "utf8");
  const findings: Finding[] = compareVersions(JSON.parse(read("deno.json")), JSON.parse(read("package.json")))
    .map((message) => ({ path: "deno.json", line: 1, message }));
  for (const path of ["README.md", "CONTRIBUTING.md", ".ci/run"].filter((path) => existsSync(projectRoot + path))) {
    for (const message of compareMentions(read(path))) findings.push({ path, line: 1, message });
  }
  process.exitCode = report("versions", 2, findings);
}

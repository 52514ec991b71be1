/**
 * Where the runtimes come from that the scripts call: decided here and nowhere else. Deno is the one that runs the
 * script; Bun is taken from the PATH if its version fits, else installed from the npm registry; Node is used if it is there.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import process from "node:process";
import { projectRoot } from "./source_files.ts";

/** The version of Deno that the documents tell people to use, and that the gate is run with. */
export const DENO_VERSION = "2.9.6";
/** The version of Bun that the gate tests with and builds with. */
export const BUN_VERSION = "1.4.5";
/** The oldest major version of Node that the bundles support. */
export const OLDEST_NODE = 20;

/** The Deno that runs this script. */
export function resolveDeno(): string {
  return process.execPath;
}

/**
 * A Bun of exactly {@link BUN_VERSION}: `bun` on the PATH, else the platform's own package from the npm registry,
 * installed by Deno into `dist/tools` (Bun's usual package needs npm and a postinstall script; this needs neither).
 *
 * @throws {Error} if none can be had.
 */
export function resolveBun(): string {
  if (versionOf("bun") === BUN_VERSION) return "bun";
  const tried: string[] = [];
  for (const name of bunPackages()) {
    const folder = `${projectRoot}dist/tools/${name.slice(1).replace("/", "-")}-${BUN_VERSION}/`;
    const binary = `${folder}node_modules/${name}/bin/bun${process.platform === "win32" ? ".exe" : ""}`;
    if (!existsSync(binary)) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(`${folder}package.json`, JSON.stringify({ dependencies: { [name]: BUN_VERSION } }));
      const args = ["install", "--quiet", "--no-lock", "--node-modules-dir=auto"];
      const install = spawnSync(resolveDeno(), args, { cwd: folder, encoding: "utf8", stdio: "pipe" });
      if (install.status !== 0) tried.push(`${name}: ${install.stderr.trim()}`);
    }
    if (versionOf(binary) === BUN_VERSION) return binary;
    tried.push(`${name}: does not run here`);
  }
  throw new Error(`no Bun ${BUN_VERSION}: none on the PATH, and none from the npm registry (${tried.join("; ")})`);
}

/** The npm packages that may hold a Bun for this machine, likeliest first. */
function bunPackages(): string[] {
  const system = process.platform === "win32" ? "windows" : process.platform;
  const base = `@oven/bun-${system}-${process.arch === "arm64" ? "aarch64" : process.arch}`;
  return system === "linux" ? [base, `${base}-musl`] : [base];
}

/**
 * Node's path and version; undefined if there is none on the PATH or it is too old. Where there is none, `deno task` puts a
 * `node` on the PATH that is Deno again: that one does not count.
 */
export function resolveNode(): { readonly path: string; readonly version: string } | undefined {
  const version = output("node", ["-e", "console.log(process.versions.deno ?? process.version)"]);
  if (version === undefined || !/^v\d/.test(version)) return undefined;
  return Number.parseInt(version.slice(1)) < OLDEST_NODE ? undefined : { path: "node", version };
}

/** What `command --version` prints; undefined if it cannot be run. */
function versionOf(command: string): string | undefined {
  return output(command, ["--version"]);
}

/** What a command prints, without the white space around it; undefined if it cannot be run or fails. */
function output(command: string, args: readonly string[]): string | undefined {
  const { status, stdout } = spawnSync(command, args, { encoding: "utf8", stdio: "pipe" });
  return status === 0 ? stdout.trim() : undefined;
}

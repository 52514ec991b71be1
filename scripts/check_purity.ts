/**
 * Checks that the core stays pure: no clock, no timer, no random source, nothing asynchronous, no socket, no runtime
 * global, no module-level variable. Those enter as arguments; that is what lets the simulator replay a run exactly.
 * Outside the core a shorter list holds. Imports are the business of `check_layers.ts`.
 *
 * @module
 */

import process from "node:process";
import { blankNonCode, type Finding, lineAt, readSources, report, type SourceFile } from "./source_files.ts";

/** Folders that are pure. */
export const PURE_FOLDERS: readonly string[] = [
  "lib/base/",
  "lib/codec/",
  "lib/crypto/",
  "lib/noise/",
  "lib/wire/",
  "lib/transport/",
  "lib/mesh/",
  "lib/capture/",
];

interface Ban {
  /** Names of globals and keywords; also found as shorthand or parameter names, which then want another name. */
  readonly words?: readonly string[];
  readonly pattern?: RegExp;
  readonly why: string;
}

const CLOCKS: Ban = {
  words: ["Date", "performance", "Temporal"],
  why: "time comes in as an argument (Micros)",
};
const TIMERS: Ban = {
  words: [
    "setTimeout",
    "setInterval",
    "setImmediate",
    "clearTimeout",
    "clearInterval",
    "clearImmediate",
    "queueMicrotask",
    "requestAnimationFrame",
  ],
  why: "the driver owns the timers; say when through pollTimeout",
};
const RANDOMNESS: Ban = {
  // Of node:crypto, of Web Crypto, and of the noble packages, which draw from Web Crypto themselves.
  pattern:
    /\bMath\s*\.\s*random\b|\b(?:getRandomValues|random(?:UUID|Bytes|Fill|FillSync|Int|SecretKey|PrivateKey))\b|\bgenerate\w*Sync\b|\.\s*keygen\b/g,
  why: "randomness is injected (Random)",
};
const ASYNCHRONY: Ban = {
  words: ["Promise", "async", "await"],
  why: "nothing in the core waits",
};
const RUNTIME_GLOBALS: Ban = {
  words: ["Deno", "Bun", "process", "navigator", "globalThis", "require"],
  why: "runtime globals belong in lib/runtime, commands and scripts",
};
const INPUT_OUTPUT: Ban = {
  words: ["fetch", "WebSocket", "WebTransport", "EventSource", "Worker", "BroadcastChannel", "console", "eval"],
  why: "the core does no input or output",
};
const MODULE_STATE: Ban = {
  pattern: /^(?:export )?(?:let|var)\b/gm,
  why: "no module-level state in the core; what varies is passed in",
};

interface Zone {
  readonly folders: readonly string[];
  readonly bans: readonly Ban[];
}

/** Where what is banned. Folders of `lib/` that are in no zone are free: `runtime` is what the bans point to. */
const ZONES: readonly Zone[] = [
  {
    folders: PURE_FOLDERS,
    bans: [CLOCKS, TIMERS, RANDOMNESS, ASYNCHRONY, RUNTIME_GLOBALS, INPUT_OUTPUT, MODULE_STATE],
  },
  { folders: ["lib/store/", "lib/observe/", "lib/testing/"], bans: [CLOCKS, TIMERS, RANDOMNESS, RUNTIME_GLOBALS] },
  { folders: ["lib/agent/"], bans: [RUNTIME_GLOBALS] },
];

/** A use that is allowed, and why. One that no longer matches anything is itself a finding. */
export interface Exception {
  readonly path: string;
  readonly word: string;
  readonly reason: string;
}

/** The list of exceptions. Short, and every entry says why. */
export const EXCEPTIONS: readonly Exception[] = [];

/** One finding for each banned word, and for each exception that nothing needs. */
export function checkPurity(
  files: readonly SourceFile[],
  exceptions: readonly Exception[] = EXCEPTIONS,
): Finding[] {
  const findings: Finding[] = [];
  const used = new Set<Exception>();
  for (const { path, text } of files) {
    const zone = ZONES.find(({ folders }) => folders.some((folder) => path.startsWith(folder)));
    if (zone === undefined) continue;
    const code = blankNonCode(text);
    for (const ban of zone.bans) {
      for (const match of code.matchAll(patternOf(ban))) {
        const word = match[0].replace(/\s+/g, " ").trim();
        const exception = exceptions.find((candidate) => candidate.path === path && candidate.word === word);
        if (exception !== undefined) used.add(exception);
        else findings.push({ path, line: lineAt(code, match.index), message: `\`${word}\`: ${ban.why}` });
      }
    }
  }
  for (const exception of exceptions) {
    if (used.has(exception)) continue;
    findings.push({
      path: exception.path,
      line: 1,
      message: `the exception for \`${exception.word}\` in scripts/check_purity.ts is no longer needed`,
    });
  }
  return findings;
}

/** Words count as themselves only: not as a member (`packet.process`), not as a part of a longer name. */
function patternOf(ban: Ban): RegExp {
  return ban.pattern ?? new RegExp(`(?<![\\w$#]|(?<!\\.\\.)\\.\\s*)(?:${ban.words?.join("|")})(?![\\w$])`, "g");
}

if (import.meta.main) {
  const files = readSources();
  const core = files.filter(({ path }) => PURE_FOLDERS.some((folder) => path.startsWith(folder)));
  process.exitCode = report("purity", core.length, checkPurity(files));
}

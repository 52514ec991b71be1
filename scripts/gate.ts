/**
 * The one gate: everything that must hold before a change goes in. `deno task ok` runs it; `deno task ok fmt lint`
 * runs the stages whose names begin so. Its last line is `N passed, N failed`.
 *
 * @module
 */

import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { killRunning, runStages, type Stage } from "./gate_runner.ts";
import { listFiles, projectRoot } from "./source_files.ts";
import type { Runner } from "./test_counts.ts";
import { BUN_VERSION, resolveBun, resolveDeno, resolveNode } from "./tools.ts";

/** Folders of `tests/` with a stage of their own; every other folder but `support` and `cli` belongs to `unit`. */
const TEST_GROUPS = ["vectors", "property", "sim", "attacks", "fuzz", "runtime", "interop"];
const NOT_UNIT = new Set([...TEST_GROUPS, "support", "cli"]);
/** Groups of tests in virtual time: they have a queue of their own. */
const VIRTUAL_GROUPS = new Set(["vectors", "property", "sim", "attacks", "fuzz"]);

const deno = resolveDeno();
const bun = bunOrFailure();

function check(name: string, command: Stage["command"], limit = 120): Stage {
  return { name, command, counts: "check", limit };
}

/** A check by one of the scripts beside this one. */
function script(name: string, file: string, ...args: string[]): Stage {
  return check(name, [deno, "run", "-A", `scripts/${file}`, ...args]);
}

/** Bun, or, if there is none, a program that is not there: then the stages that need it fail and the others still run. */
function bunOrFailure(): string {
  try {
    return resolveBun();
  } catch (error) {
    console.error(String(error));
    return "bun-could-not-be-installed";
  }
}

function checkStages(): Stage[] {
  const config: { exports: Record<string, string> } = JSON.parse(readFileSync(`${projectRoot}deno.json`, "utf8"));
  const entries = Object.values(config.exports);
  return [
    check("install", [deno, "install", "--frozen", "--quiet"], 300),
    check("bun.lock", [bun, "install", "--frozen-lockfile", "--dry-run"]),
    check("fmt", [deno, "fmt", "--check"]),
    check("lint", [deno, "lint"]),
    check("types", [deno, "check", "--quiet", "."], 300),
    script("layers", "check_layers.ts"),
    script("purity", "check_purity.ts"),
    script("size", "check_size.ts"),
    script("versions", "check_versions.ts"),
    script("links", "check_links.ts"),
    script("wasm", "build_wasm.ts", "--check"),
    script("docs", "check_docs.ts"),
    check("docs public", [deno, "doc", "--lint", ...entries]),
    check("publish", [deno, "publish", "--dry-run", "--allow-dirty", "--quiet"]),
    // Until a program has run for a while, Deno says on standard error what it downloads, which the tests that follow do not expect.
    check("start", [deno, "run", "-A", "cli.ts", "bench", "--duration", "1s"]),
  ];
}

/** The groups of tests that exist, each with its files. */
function testGroups(): { readonly name: string; readonly files: string[] }[] {
  const folders = readdirSync(`${projectRoot}tests`, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const names = folders.map((entry) => entry.name).sort();
  const filesIn = (name: string): string[] =>
    listFiles(`${projectRoot}tests/${name}/`, ["_test.ts"]).map((path) => `./tests/${name}/${path}`);
  const group = (name: string, members: readonly string[]): { name: string; files: string[] } => {
    const files = members.flatMap(filesIn);
    // Without any file the runners would look for tests everywhere; given a folder without any, they fail.
    return { name, files: files.length > 0 ? files : members.map((member) => `./tests/${member}`) };
  };
  return [
    group("unit", names.filter((name) => !NOT_UNIT.has(name))),
    ...TEST_GROUPS.filter((name) => names.includes(name)).map((name) => group(name, [name])),
  ];
}

/** A stage of tests. */
function tests(name: string, runner: Runner, command: readonly string[], files: readonly string[]): Stage {
  const stage: Stage = { name, counts: runner, limit: 600, command: [...command, ...files], env: testEnvironment };
  return VIRTUAL_GROUPS.has(name.slice(name.indexOf(" ") + 1)) ? { ...stage, queue: "virtual time" } : stage;
}

/** One seed for all stages, so that a failure is repeated by setting it. */
const testEnvironment = { MXP_TEST_SEED: process.env.MXP_TEST_SEED ?? String(Math.floor(Math.random() * 0x7fff_ffff)) };

function testStages(): Stage[] {
  const groups = testGroups();
  const node = resolveNode();
  const stages: Stage[] = [];
  for (const { name, files } of groups) {
    // Most unit tests are over sooner than the library is loaded for each of their files.
    const how = name === "unit" ? ["scripts/deno_tests.ts", "--"] : [];
    stages.push(tests(`deno ${name}`, "deno", [deno, "test", "-A", "--no-check", ...how], files));
  }
  const documented = ["README.md", "mod.ts", "lib"];
  stages.push(tests("deno examples", "deno", [deno, "test", "-A", "--doc", "--ignore=tests"], documented));
  for (const { name, files } of groups) {
    stages.push(tests(`bun ${name}`, "bun", [bun, "test", "--timeout", "120000"], files));
  }
  for (const { name, files } of groups) {
    // The same with processes.
    const how = name === "unit" ? ["scripts/node_tests.mjs"] : ["--test", "--test-concurrency=1"];
    const command = ["--import", "./scripts/node_typescript.mjs", "--test-reporter=tap", ...how];
    stages.push(
      node === undefined
        ? check(`node ${name}`, "there is no Node 20 or newer on the PATH")
        : tests(`node ${name}`, "node", [node.path, ...command], files),
    );
  }
  return stages;
}

/** Files of command line tests at a time: they mostly wait for programs that they have started. */
const CLI_JOBS = "3";

/** The command line tests, run once for every form in which the program is started. */
function commandLineStages(): Stage[] {
  const node = resolveNode();
  const binary = `./dist/mxp${process.platform === "win32" ? ".exe" : ""}`;
  const forms: Record<string, readonly string[] | string> = {
    deno: [deno, "run", "-A", "cli.ts"],
    bun: [bun, "cli.ts"],
    binary: [binary],
    node: node === undefined ? "there is no Node 20 or newer on the PATH" : [node.path, "dist/node/cli.js"],
  };
  return [
    check("build binary", [deno, "run", "-A", "scripts/compile.ts", "--bun"], 300),
    check("build node", [deno, "run", "-A", "scripts/build_node.ts"], 300),
    ...Object.entries(forms).map(([name, form]): Stage => {
      if (typeof form === "string") return check(`cli ${name}`, form);
      const stage = tests(`cli ${name}`, "deno", [deno, "test", "-A", "--no-check", "--parallel"], ["./tests/cli"]);
      return { ...stage, env: { ...stage.env, MXP_TEST_CLI: JSON.stringify(form), DENO_JOBS: CLI_JOBS } };
    }),
  ].map((stage) => ({ ...stage, queue: "command line" }));
}

/** All stages, in the order in which they run; queues begin when the checks are over. */
function allStages(): Stage[] {
  const tests = testStages();
  return [
    ...checkStages(),
    ...tests.filter(({ queue }) => queue !== undefined),
    ...commandLineStages(),
    ...tests.filter(({ queue }) => queue === undefined),
    check("demo", [deno, "task", "demo"]),
  ];
}

if (import.meta.main) {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      killRunning();
      process.exit(signal === "SIGINT" ? 130 : 143);
    });
  }
  const wanted = process.argv.slice(2);
  const stages = allStages().filter(({ name }) =>
    wanted.length === 0 || wanted.some((prefix) => name.startsWith(prefix))
  );
  if (stages.length === 0) {
    console.error(`no stage begins with ${wanted.join(" or ")}`);
    process.exit(2);
  }
  const node = resolveNode()?.version ?? "absent";
  console.log(
    `deno ${Deno.version.deno}, bun ${BUN_VERSION}, node ${node}, MXP_TEST_SEED=${testEnvironment.MXP_TEST_SEED}`,
  );
  const { failed } = await runStages(stages, projectRoot, (line) => console.log(line));
  process.exit(failed === 0 ? 0 : 1);
}

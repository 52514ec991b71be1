import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const folder = fileURLToPath(new URL("../../examples", import.meta.url));
const root = fileURLToPath(new URL("../..", import.meta.url));
const isDeno = "Deno" in globalThis;
const deno = [process.execPath, "run", "-A", `--config=${root}deno.json`];

/** What each of them prints. */
const EXPECTED: Readonly<Record<string, RegExp>> = {
  "agent.ts": /^hello, mesh!\n$/,
  "tokens.ts": /^You asked about streams\. .* closes it\.\n17 tokens, trace [0-9a-f]{16}\n$/,
  "coordinator.ts": /^words: 6 words\ntext\.measure: 18 characters\nmood: no answer in time\n$/,
  "shell_agent.sh": /^HELLO FROM A SHELL\nONE\nTWO\n$/,
};

/** What a program left behind. */
interface Run {
  readonly code: unknown;
  readonly output: string;
  readonly errors: string;
}

/** Runs a program to its end, within a minute. */
function run(command: readonly string[], env: Record<string, string> = {}): Promise<Run> {
  const child = spawn(command[0], command.slice(1), {
    cwd: root,
    env: { ...process.env, NO_COLOR: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 60_000,
  });
  // Deno says on standard error when several of its processes want the same folder.
  let output = "", errors = "";
  child.stdout.setEncoding("utf8").on("data", (text) => output += text);
  child.stderr.setEncoding("utf8").on("data", (text) => errors += text);
  return new Promise((resolve, reject) => {
    child.on("error", reject).on("close", (code) => resolve({ code, output, errors }));
  });
}

test("there are no other examples, and none is longer than one wants to read", () => {
  assert.deepEqual(readdirSync(folder).sort(), Object.keys(EXPECTED).sort());
  for (const name of Object.keys(EXPECTED)) {
    const lines = readFileSync(`${folder}/${name}`, "utf8").split("\n").length - 1;
    assert.ok(lines < (name === "agent.ts" ? 21 : 60), `${name} has ${lines} lines`);
  }
});

// Node would need the built package, and looks at the same source.
const skip = !isDeno && !("Bun" in globalThis);
test("every example does what it says, and ends by itself", { skip }, async () => {
  // The shell's is the same on every runtime: it starts the program, which the command line tests look at.
  const names = Object.keys(EXPECTED).filter((name) => isDeno || name.endsWith(".ts"));
  const runs = names.map(async (name) => {
    const path = `${folder}/${name}`;
    if (name.endsWith(".ts")) return [name, await run([...(isDeno ? deno : [process.execPath]), path])] as const;
    return [name, await run(["bash", path], { MXP: [...deno, `${root}cli.ts`].join(" ") })] as const;
  });
  for (const [name, { code, output, errors }] of await Promise.all(runs)) {
    assert.match(output, EXPECTED[name], `${name}: ${output}${errors}`);
    assert.equal(code, 0, `${name}: ${errors}`);
  }
});

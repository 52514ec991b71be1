import { test } from "node:test";
import assert from "node:assert/strict";
import { checkPurity, type Exception } from "../../scripts/check_purity.ts";

/** The words that are reported in a file with this text. */
function wordsIn(text: string, path = "lib/transport/rtt.ts", exceptions: readonly Exception[] = []): string[] {
  return checkPurity([{ path, text }], exceptions).map(({ message }) => message);
}

test("every kind of impurity in the core is reported with its line", () => {
  const impure = [
    "const a = Date.now();",
    "const b = new Date();",
    "const c = performance.now();",
    "setTimeout(() => {}, 1);",
    "queueMicrotask(f);",
    "const d = Math.random();",
    "crypto.getRandomValues(bytes);",
    'const k = generateKeyPairSync("x25519");',
    "const l = x25519.keygen();",
    "const m = randomBytes(32);",
    "export async function e() {}",
    "for await (const f of g) h();",
    "function i(): Promise<void> {}",
    "Deno.env.get(name);",
    "Bun.hash(bytes);",
    "process.exit(1);",
    "globalThis.x = 1;",
    "console.log(x);",
    'new WebSocket("ws://x");',
    "let counter = 0;",
    "export let other = 0;",
  ];
  for (const line of impure) {
    const findings = checkPurity([{ path: "lib/mesh/leases.ts", text: `// First line.\n${line}\n` }], []);
    assert.equal(findings.length, 1, line);
    assert.equal(findings[0].line, 2, line);
  }
});

test("the same words are allowed where they are no code, no global or part of another name", () => {
  const pure = [
    "// Date.now() is never called here.",
    "/** A promise, async or not; see Promise and process.exit. */",
    'const a = "Date.now()";',
    "const b = `await ${value} Math.random()`;",
    "packet.process();",
    "const updateDate = dates.length;",
    "const pair = generateKeyPair(dh, random);",
    "const awaited = asyncCount;",
    "const c = /Date\\.now/;",
    "  let local = 0;",
    "const d = Math.max(1, 2);",
  ];
  for (const line of pure) assert.deepEqual(wordsIn(`${line}\n`), [], line);
});

test("code inside a template's braces is code", () => {
  assert.equal(wordsIn("const a = `at ${Date.now()} ${`${{ b: performance.now() }.b}`}`;\n").length, 2);
});

test("a division is not taken for a regular expression that hides code", () => {
  assert.equal(wordsIn("const a = (b / 2) + Date.now() / 2;\n").length, 1);
});

test("a quote inside a regular expression does not begin a string that hides code", () => {
  assert.equal(wordsIn("const quoted = /[\"/']/.test(text);\nconst now = Date.now();\n").length, 1);
});

test("the driver may use clocks and promises but no runtime global", () => {
  assert.deepEqual(wordsIn("const a = Date.now();\nasync function b() {}\n", "lib/agent/driver.ts"), []);
  assert.equal(wordsIn("Deno.exit();\n", "lib/agent/driver.ts").length, 1);
});

test("runtime adapters, commands and tests are free", () => {
  for (const path of ["lib/runtime/deno.ts", "commands/serve.ts", "tests/agent/x_test.ts"]) {
    assert.deepEqual(wordsIn("Deno.exit(Date.now());\n", path), []);
  }
});

test("an exception allows its word in its file only, and one that nothing needs is reported", () => {
  const exception = { path: "lib/crypto/select.ts", word: "let", reason: "for this test" };
  assert.deepEqual(wordsIn("let chosen;\n", "lib/crypto/select.ts", [exception]), []);
  const elsewhere = wordsIn("let chosen;\n", "lib/crypto/native.ts", [exception]);
  assert.equal(elsewhere.length, 2);
  assert.match(elsewhere[1], /no longer needed/);
});

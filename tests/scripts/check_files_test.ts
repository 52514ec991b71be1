import { test } from "node:test";
import assert from "node:assert/strict";
import { checkDocs } from "../../scripts/check_docs.ts";
import { checkLinks } from "../../scripts/check_links.ts";
import { checkSize, MAX_LINES } from "../../scripts/check_size.ts";
import { compareMentions, compareVersions } from "../../scripts/check_versions.ts";

test("a file may have as many lines as allowed, and not one more", () => {
  const file = (path: string, lines: number) => ({ path, text: "x\n".repeat(lines) });
  assert.deepEqual(checkSize([file("lib/a.ts", MAX_LINES)]), []);
  assert.equal(checkSize([file("lib/a.ts", MAX_LINES + 1)]).length, 1);
  assert.deepEqual(checkSize([file("tests/a_test.ts", 5000), file("lib/codec/xxh3.wasm.ts", 5000)]), []);
});

test("the same exact versions in both files are accepted", () => {
  const deno = { version: "1.0.0", license: "MIT", imports: { "@a/b": "npm:@a/b@1.2.3", c: "npm:c@4.5.6" } };
  const node = { version: "1.0.0", license: "MIT", dependencies: { "@a/b": "1.2.3" }, devDependencies: { c: "4.5.6" } };
  assert.deepEqual(compareVersions(deno, node), []);
});

test("every difference between deno.json and package.json is reported", () => {
  const deno = (imports: Record<string, string>) => ({ version: "1.0.0", license: "MIT", imports });
  const node = (dependencies: Record<string, string>) => ({ version: "1.0.0", license: "MIT", dependencies });
  assert.equal(compareVersions(deno({ a: "npm:a@1.0.0" }), node({ a: "1.0.1" })).length, 1);
  assert.equal(compareVersions(deno({ a: "npm:a@1.0.0" }), node({})).length, 1);
  assert.equal(compareVersions(deno({}), node({ a: "1.0.0" })).length, 1);
  assert.equal(compareVersions(deno({ a: "npm:a@^1.0.0" }), node({ a: "^1.0.0" })).length, 1);
  assert.equal(compareVersions(deno({ a: "npm:b@1.0.0" }), node({})).length, 1);
  assert.equal(compareVersions(deno({ a: "jsr:@a/a@1.0.0" }), node({})).length, 1);
  assert.equal(compareVersions({ ...deno({}), version: "1.0.1" }, node({})).length, 1);
});

test("a document that names another version of a runtime is reported", () => {
  assert.equal(compareMentions("npx -y deno@0.0.1 task test").length, 1);
  assert.deepEqual(compareMentions("npx -y deno task test"), []);
});

test("an exported name without a docstring is reported", () => {
  const of = (text: string): number => checkDocs([{ path: "lib/a.ts", text }]).length;
  const head = "/**\n * A.\n *\n * @module\n */\n\n";
  assert.equal(of(`${head}/** Doc. */\nexport function a(): void {}\n`), 0);
  assert.equal(of(`${head}export function a(): void {}\n`), 1);
  assert.equal(of(`${head}// Not a docstring.\nexport class A {}\n`), 1);
  assert.equal(of(`${head}/* Not a docstring. */\nexport interface A {}\n`), 1);
  assert.equal(of("/** Doc. */\nexport type A = 1;\n"), 1, "no docstring for the module");
});

test("constants in one block share a docstring, an empty line ends the block", () => {
  const head = "/**\n * A.\n *\n * @module\n */\n\n";
  const of = (text: string): number => checkDocs([{ path: "lib/a.ts", text: head + text }]).length;
  assert.equal(of("/** Kinds. */\nexport const A = 1;\nexport const B = 2;\n"), 0);
  assert.equal(of("/** Kinds. */\nexport const A = 1;\n\nexport const B = 2;\n"), 1);
  assert.equal(of("/** One. */\nexport function a(x: 1): 1;\nexport function a(x: 2): 2;\n"), 0);
});

test("a link to a missing file or heading is reported, one to another site is not", () => {
  const documents = [
    {
      path: "README.md",
      text: "# Top\n[a](docs/b.md) [c](docs/b.md#two-words) [d](#top) [e](https://example.org/x)\n",
    },
    { path: "docs/b.md", text: "## Two words\n[up](../README.md)\n```\n[not](a-link.md)\n```\n" },
  ];
  const exists = (path: string): boolean => documents.some((document) => document.path === path);
  assert.deepEqual(checkLinks(documents, exists), []);
  const broken = [{ path: "README.md", text: "[a](absent.md) [b](#absent)\n" }];
  assert.equal(checkLinks(broken, (path) => path === "README.md").length, 2);
});

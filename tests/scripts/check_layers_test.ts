import { test } from "node:test";
import assert from "node:assert/strict";
import { checkLayers, importsOf } from "../../scripts/check_layers.ts";

/** The findings for `path` with this text, in a project that has the other files too. */
function findingsFor(path: string, text: string, others: readonly string[] = []): string[] {
  const files = [{ path, text }, ...others.map((other) => ({ path: other, text: "" }))];
  return checkLayers(files).map(({ path, line, message }) => `${path}:${line}: ${message}`);
}

test("an import in the allowed direction is not reported", () => {
  const text = 'import { readU16 } from "../base/bytes.ts";\nimport { encode } from "./encode.ts";\n';
  assert.deepEqual(findingsFor("lib/codec/header.ts", text, ["lib/base/bytes.ts", "lib/codec/encode.ts"]), []);
});

test("mesh that imports transport is reported with file and line", () => {
  const text = '/** Doc. */\nimport { Connection } from "../transport/connection.ts";\n';
  assert.deepEqual(findingsFor("lib/mesh/router.ts", text, ["lib/transport/connection.ts"]), [
    "lib/mesh/router.ts:2: mesh must not import transport (../transport/connection.ts)",
  ]);
});

test("base may import no other layer, not even a type of it", () => {
  const text = 'import type { Header } from "../codec/header.ts";\n';
  assert.equal(findingsFor("lib/base/bytes.ts", text, ["lib/codec/header.ts"]).length, 1);
});

test("a layer that may import only types of another is refused its values", () => {
  const others = ["lib/agent/udp_socket.ts"];
  const bind = (clause: string): string[] =>
    findingsFor("lib/runtime/deno.ts", `import ${clause} from "../agent/udp_socket.ts";\n`, others);
  assert.deepEqual(bind("type { UdpSocket }"), []);
  assert.deepEqual(bind("{ type BindUdp, type UdpSocket }"), []);
  assert.deepEqual(bind("{ type BindUdp, bind }"), [
    "lib/runtime/deno.ts:1: runtime may import only types of agent (../agent/udp_socket.ts)",
  ]);
});

test("commands reach the library through mod.ts alone", () => {
  const text = 'import { connect } from "../mod.ts";\nimport { Client } from "../lib/agent/client.ts";\n';
  assert.deepEqual(findingsFor("commands/call.ts", text, ["mod.ts", "lib/agent/client.ts"]), [
    "commands/call.ts:2: commands must not import agent (../lib/agent/client.ts)",
  ]);
});

test("a package that the layer's entry does not name is refused", () => {
  assert.deepEqual(findingsFor("lib/crypto/noble.ts", 'import { x25519 } from "@noble/curves/ed25519.js";\n'), []);
  assert.equal(findingsFor("lib/noise/cipher_state.ts", 'import { gcm } from "@noble/ciphers/aes.js";\n').length, 1);
  assert.equal(findingsFor("lib/transport/rtt.ts", 'import process from "node:process";\n').length, 1);
});

test("nothing that is shipped imports tests, scripts or benchmarks, and those may import everything", () => {
  const others = ["scripts/tools.ts", "lib/agent/client.ts"];
  assert.equal(findingsFor("lib/agent/driver.ts", 'import "../../scripts/tools.ts";\n', others).length, 1);
  assert.deepEqual(findingsFor("tests/agent/x_test.ts", 'import "../../lib/agent/client.ts";\n', others), []);
});

test("a file in a folder that the table does not know is reported", () => {
  assert.equal(findingsFor("lib/helpers/misc.ts", "").length, 1);
  assert.equal(findingsFor("stray.ts", "").length, 1);
});

test("an import of a file that does not exist is reported", () => {
  assert.equal(findingsFor("lib/base/ids.ts", 'import { a } from "./absent.ts";\n').length, 1);
});

test("every form of import is found, with its line", () => {
  const text = [
    'import a from "./a.ts";',
    "import {",
    "  b,",
    '} from "./b.ts";',
    'export * from "./c.ts";',
    'import "./d.ts";',
    'const e = await import("./e.ts");',
    'let f: import("./f.ts").F;',
  ].join("\n");
  assert.deepEqual(importsOf(text).map(({ specifier, line }) => [specifier, line]), [
    ["./a.ts", 1],
    ["./b.ts", 4],
    ["./c.ts", 5],
    ["./d.ts", 6],
    ["./e.ts", 7],
    ["./f.ts", 8],
  ]);
});

test("an import in a comment, a string, a template or another name is no import", () => {
  const text =
    '// import a from "./a.ts";\n/* import "./b.ts"; */\nconst c = `import "./c.ts"`;\nconst d = \'from "./d.ts"\';\n';
  assert.deepEqual(importsOf(text), []);
});

test("an import of a computed path is refused outside the runtime detection", () => {
  const text = "const module = await import(name);\n";
  assert.equal(findingsFor("lib/agent/driver.ts", text).length, 1);
  assert.deepEqual(findingsFor("lib/runtime/detect.ts", text), []);
});

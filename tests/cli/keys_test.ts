import assert from "node:assert/strict";
import { chmod, mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import process from "node:process";
import test from "node:test";
import { assertFails, assertWorks, scratch } from "./nodes.ts";

const isRoot = process.getuid?.() === 0;

test("keygen writes a key file that only its owner can read, and prints the public half", async () => {
  await using here = await scratch();
  const made = await here.mxp(["keygen", "-o", "deep/er/node.key"]);
  assertWorks(made);
  assert.match(made.stdout, /^public key +[\w-]{43}\nfingerprint +SHA256:\S{43}\nkey file +deep\/er\/node\.key\n$/);
  assert.equal(made.stderr, "");
  assert.equal((await stat(here.path("deep/er/node.key"))).mode & 0o777, 0o600);
  const key = /public key +(\S+)/.exec(made.stdout)![1];
  const shown = await here.mxp(["pubkey", "deep/er/node.key"]);
  assertWorks(shown);
  assert.equal(shown.stdout, `${key}\n`);
});

test("keygen replaces a key file only with --force", async () => {
  await using here = await scratch();
  assertWorks(await here.mxp(["keygen", "-o", "k"]));
  const before = await readFile(here.path("k"), "utf8");
  assertFails(await here.mxp(["keygen", "-o", "k"]), 3, /\bk\b.*exists.*--force/);
  assert.equal(await readFile(here.path("k"), "utf8"), before);
  assertWorks(await here.mxp(["keygen", "-o", "k", "--force"]));
  assert.notEqual(await readFile(here.path("k"), "utf8"), before);
  assert.equal((await stat(here.path("k"))).mode & 0o777, 0o600);
});

test("keygen without -o makes the default identity, or the one of --identity or MXP_IDENTITY", async () => {
  await using here = await scratch();
  assertWorks(await here.mxp(["keygen"]));
  const ours = (await here.mxp(["pubkey"])).stdout;
  assert.match(ours, /^[\w-]{43}\n$/);
  assertWorks(await here.mxp(["keygen", "--identity", "a.key"]));
  assertWorks(await here.mxp(["keygen"], { env: { MXP_IDENTITY: "b.key" } }));
  assert.notEqual((await here.mxp(["pubkey", "--identity", "a.key"])).stdout, ours);
  const both = await here.mxp(["pubkey", "a.key"], { env: { MXP_IDENTITY: "b.key" } });
  assert.equal(both.stdout, (await here.mxp(["pubkey", "--identity", "a.key"])).stdout);
});

test("keygen and pubkey tell programs the same in JSON", async () => {
  await using here = await scratch();
  const made = JSON.parse((await here.mxp(["keygen", "-o", "k", "--json"])).stdout);
  assert.deepEqual(Object.keys(made), ["public_key", "fingerprint", "file"]);
  assert.deepEqual(JSON.parse((await here.mxp(["pubkey", "k", "--json"])).stdout), made);
});

test("keygen -o - prints the key file for a pipe, and pubkey reads it from one", async () => {
  await using here = await scratch();
  const made = await here.mxp(["keygen", "-o", "-"]);
  assertWorks(made);
  assert.match(made.stdout, /^mxp-private-key-v1 [\w-]{43}$/m);
  const key = /public key (\S{43}),/.exec(made.stderr)![1];
  assert.equal((await here.mxp(["pubkey", "-"], { stdin: made.stdout })).stdout, `${key}\n`);
  assertFails(await here.mxp(["pubkey", "-"], { stdin: "" }), 3, /standard input: no private key/);
  assert.equal((await here.mxp(["keygen", "-o", "-", "--json"])).code, 2);
});

test("a key file that others can read is refused, with the command that mends it", async () => {
  await using here = await scratch();
  assertWorks(await here.mxp(["keygen", "-o", "k"]));
  for (const mode of [0o644, 0o640, 0o604, 0o660]) {
    await chmod(here.path("k"), mode);
    assertFails(await here.mxp(["pubkey", "k"]), 3, /chmod 600/);
  }
  assertFails(await here.mxp(["serve", "--listen", "127.0.0.1:0", "--identity", "k"]), 3, /chmod 600/);
  assertFails(await here.mxp(["call", "mxp://127.0.0.1:9", "x", "--identity", "k"]), 3, /chmod 600/);
  await chmod(here.path("k"), 0o400);
  assertWorks(await here.mxp(["pubkey", "k"]));
});

test("files that are missing, unreadable, no files or no keys exit with 3 and say which", async () => {
  await using here = await scratch();
  await writeFile(here.path("text"), "hello\n", { mode: 0o600 });
  await writeFile(here.path("empty"), "", { mode: 0o600 });
  await writeFile(here.path("damaged"), "mxp-private-key-v1 AAAA\n", { mode: 0o600 });
  await writeFile(here.path("closed"), "x", { mode: 0o000 });
  await mkdir(here.path("folder"));
  await symlink(here.path("nowhere"), here.path("dangling"));
  const cases: [string, RegExp][] = [
    ["missing", /missing/],
    ["text", /text: not an mxp key file/],
    ["empty", /empty: no private key/],
    ["damaged", /damaged: the private key in line 1 is damaged/],
    ["folder", /folder/],
    ["dangling", /dangling/],
    ...(isRoot ? [] : [["closed", /closed/] as [string, RegExp]]),
  ];
  await Promise.all(cases.map(async ([file, message]) => {
    assertFails(await here.mxp(["pubkey", file]), 3, message);
    assertFails(await here.mxp(["call", "mxp://127.0.0.1:9", "x", "--identity", file]), 3, message);
  }));
  assertFails(await here.mxp(["call", "mxp://127.0.0.1:9", "-d", "@missing"]), 3, /cannot read missing for -d/);
  assertFails(await here.mxp(["call", "mxp://127.0.0.1:9", "-d", "@folder"]), 3, /cannot read folder for -d/);
  assertFails(await here.mxp(["keygen", "-o", "text/k"]), 3, /text\/k/);
});

test("a directory as standard input is refused as one is behind -d", async () => {
  await using here = await scratch();
  await mkdir(here.path("folder"));
  await using node = await here.node(["--echo"]);
  const commands = [`stream ${node.url}`, `call ${node.url} -d @-`, `event ${node.url} topic -d @-`, "pubkey -"];
  await Promise.all(commands.map(async (command) => {
    assertFails(await here.shell(`mxp ${command} < folder`), 3, /cannot read standard input: it is a directory/);
  }));
});

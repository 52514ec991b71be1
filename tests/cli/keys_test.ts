import assert from "node:assert/strict";
import { chmod, mkdir, readFile, stat, symlink, truncate, writeFile } from "node:fs/promises";
import process from "node:process";
import test from "node:test";
import { assertFails, assertWorks, scratch } from "./nodes.ts";

const isRoot = process.getuid?.() === 0;

test("keygen writes a key file that only its owner can read, and prints the public half", async () => {
  await using here = await scratch();
  await mkdir(here.path("deep"));
  const made = await here.mxp(["keygen", "-o", "deep/node.key"]);
  assertWorks(made);
  assert.match(made.stdout, /^public key +[\w-]{43}\nfingerprint +SHA256:\S{43}\nkey file +deep\/node\.key\n$/);
  assert.equal(made.stderr, "");
  assert.equal((await stat(here.path("deep/node.key"))).mode & 0o777, 0o600);
  const key = /public key +(\S+)/.exec(made.stdout)![1];
  const shown = await here.mxp(["pubkey", "deep/node.key"]);
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
  assertFails(await here.mxp(["keygen", "-o", "deep/k"]), 3, /--output "deep\/k": there is no folder "deep"; make it/);
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

test("files without an end, or longer than such a file can be, are refused at once", async () => {
  await using here = await scratch();
  assertWorks(await here.mxp(["keygen", "-o", "k"]));
  await using node = await here.node(["--echo"]);
  await writeFile(here.path("huge"), "", { mode: 0o600 });
  await truncate(here.path("huge"), 5 * 2 ** 30);
  const serve = ["serve", "--listen", "127.0.0.1:0", "--echo"];
  const call = ["call", node.keyless, "x", "--trust-new"];
  const cases: [string[], RegExp][] = [
    [["pubkey", "huge"], /huge: it is larger than 65536 bytes/],
    [[...serve, "--identity", "huge"], /huge: it is larger than/],
    [[...serve, "--allow", "huge"], /huge .*it is larger than/],
    [[...call, "--known-peers", "huge"], /huge: it is larger than/],
    [["pubkey", "/dev/zero"], /\/dev\/zero: it is not a regular file/],
    [[...serve, "--allow", "/dev/zero"], /\/dev\/zero .*it is not a regular file/],
    [[...call, "--known-peers", "/dev/full"], /\/dev\/full: it is not a regular file/],
    [[...call, "--known-peers", "deep/peers"], /--known-peers "deep\/peers": there is no folder "deep"/],
  ];
  await Promise.all(cases.map(async ([args, message]) => {
    assertFails(await here.mxp(args, { timeout: 20_000 }), 3, message);
  }));
});

test("a key comes from a pipe as well, and the null device knows no peers", async () => {
  await using here = await scratch();
  assertWorks(await here.mxp(["keygen", "-o", "k"]));
  await using node = await here.node(["--echo"]);
  const { stdout } = await here.mxp(["pubkey", "k"]);
  assert.equal((await here.shell("mxp pubkey <(cat k)")).stdout, stdout);
  assert.equal((await here.mxp(["call", node.url, "x", "--known-peers", "/dev/null"])).stdout, "x");
  assertFails(await here.mxp(["call", node.keyless, "x", "--known-peers", "/dev/null"]), 9, /never met/);
});

test("no advice about permissions is given for what is no file, and no file is looked for without a name", async () => {
  await using here = await scratch();
  await mkdir(here.path("folder"));
  await chmod(here.path("folder"), 0o755);
  for (const path of ["/dev/null", "folder"]) {
    const result = await here.mxp(["pubkey", path]);
    assertFails(result, 3, /it is (not a regular file|a folder)/);
    assert.doesNotMatch(result.stderr, /chmod/);
  }
  assertFails(await here.mxp(["pubkey", ""]), 2, /FILE is empty/);
});

test("a private key file named as known peers is refused, and stays a key", async () => {
  await using here = await scratch();
  assertWorks(await here.mxp(["keygen", "-o", "k"]));
  await using node = await here.node(["--echo"]);
  const before = await readFile(here.path("k"), "utf8");
  const result = await here.mxp(["call", node.keyless, "x", "--trust-new", "--known-peers", "k"]);
  assertFails(result, 3, /k is a private key file/);
  assert.equal(await readFile(here.path("k"), "utf8"), before);
});

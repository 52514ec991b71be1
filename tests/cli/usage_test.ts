import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { assertFails, assertWorks, scratch } from "./nodes.ts";

const COMMANDS = [
  "keygen",
  "pubkey",
  "serve",
  "call",
  "stream",
  "event",
  "subscribe",
  "discover",
  "ping",
  "bench",
  "completion",
];

test("--version prints the version of deno.json, wherever it stands", async () => {
  await using here = await scratch();
  const { version } = JSON.parse(readFileSync(fileURLToPath(new URL("../../deno.json", import.meta.url)), "utf8"));
  for (const args of [["--version"], ["call", "--version"], ["--json", "--version"]]) {
    const result = await here.mxp(args);
    assertWorks(result);
    assert.equal(result.stdout, `${version}\n`);
    assert.equal(result.stderr, "");
  }
});

test("--help lists every command, and no command that does not exist", async () => {
  await using here = await scratch();
  const result = await here.mxp(["--help"]);
  assertWorks(result);
  assert.equal(result.stderr, "");
  const listed = /^Commands:\n([^]*?)\n\n/m.exec(result.stdout)![1].matchAll(/^ {2}(\w[\w-]*)/gm);
  assert.deepEqual([...listed].map(([, name]) => name), [...COMMANDS, "help"]);
  for (
    const option of ["--json", "--identity", "--known-peers", "--timeout", "--log-level", "--no-color", "--version"]
  ) {
    assert.ok(result.stdout.includes(option), option);
  }
});

test("the help of each command has an example that begins with the command or ends in it", async () => {
  await using here = await scratch();
  await Promise.all(COMMANDS.map(async (command) => {
    const [long, word] = await Promise.all([here.mxp([command, "--help"]), here.mxp(["help", command])]);
    assertWorks(long);
    assert.match(long.stdout, new RegExp(`^Examples?:\\n(?:.*\\n)*? {2}.*\\bmxp ${command}\\b`, "m"));
    assert.equal(word.stdout, long.stdout);
  }));
});

test("no command with --json is a usage error for programs", async () => {
  await using here = await scratch();
  const result = await here.mxp(["--json"]);
  assert.equal(result.code, 2);
  assert.equal(JSON.parse(result.stdout).error.code, "usage");
  assert.equal(result.stderr, "");
});

test("a version that cannot be written is an error", async () => {
  await using here = await scratch();
  const result = await here.shell("mxp --version > /dev/full");
  assertFails(result, 3, /^mxp: cannot write to standard output: the disk is full\n$/);
});

test("a name or metadata too long for a message is told with the option that gave it", async () => {
  await using here = await scratch();
  const long = "x".repeat(70_000);
  for (const command of ["call", "stream"]) {
    assertFails(
      await here.mxp([command, "mxp://127.0.0.1:9", "--method", long]),
      2,
      /--method has 70000 bytes; at most/,
    );
    assertFails(
      await here.mxp([command, "mxp://127.0.0.1:9", "--meta", `k=${long}`]),
      2,
      /--meta k: .*70000 bytes; at most/,
    );
  }
  assertFails(
    await here.mxp(["call", "mxp://127.0.0.1:9", "--meta", `${long}=k`]),
    2,
    /--meta: the key has 70000 bytes; at most 255/,
  );
});

test("no command at all is a usage error that shows the help", async () => {
  await using here = await scratch();
  const result = await here.mxp([]);
  assert.equal(result.code, 2);
  assert.equal(result.stdout, "");
  assert.match(result.stderr, /^Usage: mxp /);
});

test("an unknown command exits with 2 and suggests one", async () => {
  await using here = await scratch();
  assertFails(await here.mxp(["cal", "mxp://x"]), 2, /unknown command 'cal'; did you mean call\?/);
});

test("wrong usage exits with 2 and one line that says where to look", async () => {
  await using here = await scratch();
  const cases: [args: string[], message: RegExp][] = [
    [["nonsense", "--help"], /unknown command 'nonsense'/],
    [["call"], /missing required argument 'URL' \(see: mxp call --help\)/],
    [["call", "mxp://127.0.0.1", "a", "b"], /too many arguments for 'call'/],
    [["call", "mxp://127.0.0.1", "--tming"], /unknown option '--tming'; did you mean --timing\?/],
    [["call", "mxp://127.0.0.1", "x", "-d", "y"], /both DATA and -d/],
    [["call", "mxp://127.0.0.1", "-d", "x", "-d", "y"], /given twice/],
    [["call", "mxp://127.0.0.1", "--meta", "novalue"], /"novalue" is not KEY=VALUE/],
    [["call", "mxp://127.0.0.1", "--timeout", "soon"], /"soon" is not a duration; expected 5s/],
    [["call", "127.0.0.1:9000", "x"], /must begin with mxp:\/\//],
    [["call", "mxp://", "x"], /mxp: /],
    [["call", "http://127.0.0.1", "x"], /unknown scheme/],
    [["call", "mxp://127.0.0.1:99999", "x"], /99999/],
    [["call", "mxp://notakey@127.0.0.1", "x"], /public key in the URL has 7 characters/],
    [["ping", "mxp://127.0.0.1/x"], /leave \/x out of the URL/],
    [["discover", "mxp://127.0.0.1", "--no-reconnect"], /no meaning without --watch/],
    [["ping", "mxp://127.0.0.1", "--count", "0"], /"0" is not a whole number/],
    [["serve", "--echo", "--exec", "cat"], /--echo and --exec/],
    [["serve", "--listen", "127.0.0.1:port"], /port/],
    [["serve", "--join", "mxp://127.0.0.1", "--capability", "pg.*"], /--capability: "pg\.\*" asks for all/],
    [["--log-level", "loud", "keygen"], /"loud" is not one of/],
    [["completion", "tcsh"], /"tcsh" is not one of bash, zsh, fish, pwsh/],
    [["keygen", "--output"], /argument missing/],
  ];
  await Promise.all(cases.map(async ([args, message]) => assertFails(await here.mxp(args), 2, message)));
});

test("--json makes one object on standard output of an error, and nothing else", async () => {
  await using here = await scratch();
  for (const args of [["--json", "nonsense"], ["call", "127.0.0.1", "--json"], ["pubkey", "no-such-file", "--json"]]) {
    const result = await here.mxp(args);
    assert.ok(result.code === 2 || result.code === 3);
    assert.equal(result.stderr, "");
    assert.match(result.stdout, /^\{.*\}\n$/);
    const { error, ...rest } = JSON.parse(result.stdout);
    assert.deepEqual(rest, {});
    assert.deepEqual(Object.keys(error), ["code", "message"]);
    assert.equal(error.code, result.code === 2 ? "usage" : "config");
  }
});

test("the environment counts where a flag is not given, and what is wrong in it is called by its name", async () => {
  await using here = await scratch();
  const json = await here.mxp(["nonsense"], { env: { MXP_JSON: "1" } });
  assert.match(json.stdout, /^\{"error"/);
  const args = ["ping", "mxp://127.0.0.1:9"];
  const wrong = await here.mxp(args, { env: { MXP_TIMEOUT: "soon" } });
  assertFails(wrong, 3, /MXP_TIMEOUT: "soon" is not a duration/);
  const overruled = await here.mxp([...args, "--timeout", "100ms"], { env: { MXP_TIMEOUT: "soon" } });
  assertFails(overruled, 4, /127\.0\.0\.1:9/);
  const empty = await here.mxp([...args, "--timeout", "100ms"], { env: { MXP_LOG_LEVEL: "" } });
  assertFails(empty, 4, /127\.0\.0\.1:9/);
});

test("control characters in arguments never reach the terminal", async () => {
  await using here = await scratch();
  const evil = "\x1b[31mred\x07\u202e";
  for (const args of [[evil], ["call", `mxp://${evil}`], ["ping", "mxp://x", "--timeout", evil], ["pubkey", evil]]) {
    const result = await here.mxp(args);
    assert.notEqual(result.code, 0);
    // deno-lint-ignore no-control-regex -- these are what must not be there
    assert.doesNotMatch(result.stderr + result.stdout, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
  }
});

test("completion prints a script for each shell that names commands and options", async () => {
  await using here = await scratch();
  for (const shell of ["bash", "zsh", "fish", "pwsh"]) {
    const { code, stdout } = await here.mxp(["completion", shell]);
    assert.equal(code, 0);
    for (const word of ["keygen", "serve", "trust-new", "known-peers", "always", "connect"]) {
      assert.ok(stdout.includes(word), `${shell} ${word}`);
    }
  }
});

test("the bash completion completes commands, options and nothing else", async () => {
  await using here = await scratch();
  const complete = async (...words: string[]): Promise<string[]> => {
    const line = `eval "$(mxp completion bash)"; COMP_WORDS=(mxp ${words.map((word) => `'${word}'`).join(" ")}); ` +
      `COMP_CWORD=${words.length}; _mxp; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return (await here.shell(line)).stdout.trim().split("\n");
  };
  assert.deepEqual(await complete("ca"), ["call"]);
  assert.deepEqual(await complete("call", "--tr"), ["--trust-new"]);
  assert.deepEqual(await complete("serve", "--ex"), ["--exec"]);
  assert.deepEqual(await complete("bench", "--mode", ""), ["call", "stream", "event", "connect"]);
  assert.deepEqual(await complete("serve", "--retry", "a"), ["auto", "always"]);
  assert.deepEqual(await complete("call", "--log-level", "d"), ["debug"]);
  assert.deepEqual((await complete("completion", "")).slice(0, 4), ["bash", "zsh", "fish", "pwsh"]);
});

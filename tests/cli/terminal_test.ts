import assert from "node:assert/strict";
import { readFile, stat } from "node:fs/promises";
import test from "node:test";
import { type Scratch, scratch } from "./nodes.ts";

const NO_TERMINAL = "there is no program script(1) to make a terminal with";

test("a node that was never met is asked about, and only yes is yes", async (t) => {
  await using here = await scratch();
  await using node = await here.node(["--echo"]);
  const ask = (keys: string, file: string): ReturnType<Scratch["terminal"]> =>
    here.terminal(`mxp call ${node.keyless} hello --known-peers ${file}`, keys, { NO_COLOR: "1" });
  const no = await Promise.all(["n\n", "\n", "what\n", ""].map((keys) => ask(keys, "unused")));
  if (no.includes(undefined)) return t.skip(NO_TERMINAL);
  for (const answer of no) {
    assert.match(answer!, /was never met/);
    assert.match(answer!, /SHA256:/);
    assert.ok(answer!.includes(node.key));
    assert.match(answer!, /exit=9/);
  }
  await assert.rejects(stat(here.path("unused")), "nothing was remembered");
  const yes = await ask("y\n", "known");
  assert.match(yes!, /hello/);
  assert.match(yes!, /exit=0/);
  assert.equal(await readFile(here.path("known"), "utf8"), `${node.where} ${node.key}\n`);
});

test("the question about a new node keeps to --timeout", async (t) => {
  await using here = await scratch();
  await using node = await here.node(["--echo"]);
  if ((await here.shell("command -v script")).code !== 0) return t.skip(NO_TERMINAL);
  // A keyboard on which nobody types, for longer than the program may take.
  const line = `mxp call ${node.keyless} hello --timeout 2s; echo "exit=$?"`;
  const { stdout } = await here.shell(`export -f mxp; sleep 8 | SHELL=bash script -qec '${line}' /dev/null`);
  assert.match(stdout, /nobody has said in time whether to trust/);
  assert.match(stdout, /exit=5/);
});

test("colors appear on a terminal only, and neither there with NO_COLOR or --no-color", async (t) => {
  await using here = await scratch();
  const colored = await here.terminal("mxp nonsense");
  if (colored === undefined) return t.skip(NO_TERMINAL);
  assert.ok(colored.includes("\x1b["), colored);
  for (const line of ["mxp --no-color nonsense", "NO_COLOR=1 mxp nonsense", "TERM=dumb mxp nonsense"]) {
    const plain = await here.terminal(line);
    assert.match(plain!, /^mxp: unknown command/, line);
    assert.ok(!plain!.includes("\x1b["), line);
  }
  const piped = await here.shell("mxp nonsense", { NO_COLOR: undefined });
  assert.ok(!piped.stderr.includes("\x1b["));
});

test("a terminal is told what a call that takes long is waiting for, and finds a clean line afterwards", async (t) => {
  await using here = await scratch();
  await using node = await here.node(["--exec", "sleep 1.8; printf done"]);
  const shown = await here.terminal(`mxp call ${node.url}`);
  if (shown === undefined) return t.skip(NO_TERMINAL);
  assert.match(shown.replaceAll("\x1b", "^"), /\rwaiting for the answer, 1\.\d s\^\[K/);
  // The progress line is wiped, and the prompt begins on a line of its own.
  assert.ok(shown.endsWith("\r\x1b[Kdone\nexit=0\n"), JSON.stringify(shown));
  const quiet = await here.terminal(`mxp call ${node.url} --log-level error`);
  assert.equal(quiet, "done\nexit=0\n");
});

test("whoever pipes something in that is not read is told so on a terminal, and not elsewhere", async (t) => {
  await using here = await scratch();
  await using node = await here.node(["--echo"]);
  const line = `echo lost | mxp call ${node.url}`;
  const shown = await here.terminal(line, "", { NO_COLOR: "1" });
  if (shown === undefined) return t.skip(NO_TERMINAL);
  assert.match(shown, /^mxp: sending an empty payload: standard input is only read with -d @-\n/);
  for (const silent of [`${line} 2>log; cat log`, `echo lost | mxp call ${node.url} -d ''`, `mxp call ${node.url}`]) {
    assert.equal(await here.terminal(silent), "exit=0\n", silent);
  }
});

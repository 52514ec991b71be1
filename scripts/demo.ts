/**
 * The main job end to end, with nothing to configure: a node and two agents in processes of their own, a call that finds its
 * agent by what is to be done, a stream that prints as it arrives, and the trace id that ties their logs together. Ends by
 * itself and leaves nothing behind.
 *
 * @module
 */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { type Ended, Programs, type Serving } from "./demo_programs.ts";

const folder = await mkdtemp(join(tmpdir(), "mxp-demo-"));
const programs = new Programs(folder);
const isColored = process.stdout.isTTY === true && !process.env.NO_COLOR && process.env.TERM !== "dumb";
const style = (code: number) => (text: string): string => isColored ? `\x1b[${code}m${text}\x1b[0m` : text;
const [bold, dim, green, cyan, yellow] = [1, 2, 32, 36, 33].map(style);

/** Width of the column in which the names stand. */
const NAMES = 8;
/** What the storyteller tells, a word at a time; it stands in for a language model. */
const STORY = "Once there was a mesh in which everybody was found by what they could do.";

function title(number: number, text: string): void {
  console.log(`\n${bold(`${number}. ${text}`)}\n`);
}

/** A line as somebody types it. */
function typed(command: string): void {
  console.log(`${" ".repeat(NAMES)}${dim("$")} ${command}`);
}

/** What one of the processes has printed, beside its name. */
function show(who: string, text: string): void {
  for (const line of text.trimEnd().split("\n")) console.log(`${cyan(who.padStart(NAMES - 2))}  ${line}`);
}

/** A log line without its time and keys, which nobody reads here; what counts stands out. */
function logged(line: string, trace?: string): string {
  const text = line.replace(/^\S+ /, "").replace(/(peer=\S{6})\S+/, "$1…").replace(/ id=\S+/, "");
  return trace === undefined ? text : text.replace(trace, yellow(trace));
}

/** The URL as it is typed: a key has 43 characters. */
const short = (text: string): string => text.replace(/(?<![\w-])([\w-]{6})[\w-]{37}(?![\w-])/g, "$1…");

function expect(what: string, seen: unknown, expected: unknown): void {
  if (seen !== expected) throw new Error(`${what} is ${JSON.stringify(seen)}, expected ${JSON.stringify(expected)}`);
}

/** Runs a command, shown as it is typed, and says what it printed. */
async function run(args: readonly string[], code = 0): Promise<Ended> {
  typed(`mxp ${short(args.map((arg) => / /.test(arg) ? `'${arg}'` : arg).join(" "))}`);
  const ended = await programs.run(args);
  if (ended.code !== code) throw new Error(`mxp ${args.join(" ")} ended with ${ended.code}: ${ended.stderr}`);
  return ended;
}

async function demonstrate(): Promise<void> {
  title(1, "A node, where agents meet. Its key is part of its address");
  const keyOf = async (name: string): Promise<string> => {
    const path = join(folder, `${name}.key`);
    const { code, stderr } = await programs.run(["keygen", "-o", path]);
    if (code !== 0) throw new Error(`mxp keygen ended with ${code}: ${stderr}`);
    return path;
  };
  const [nodeKey, upperKey, tellerKey] = await Promise.all(["node", "upper", "teller"].map(keyOf));
  typed("mxp keygen -o node.key");
  typed("mxp serve --identity node.key --listen 127.0.0.1:0");
  const node = await programs.serve(["--identity", nodeKey]);
  show("node", node.url);

  title(2, "Two agents register there. Each is one command, in a process of its own");
  const agent = async (name: string, key: string, capability: string, command: string): Promise<Serving> => {
    const flags = ["--identity", key, "--join", node.url, "--name", name, "--capability", capability];
    const started = await programs.serve([...flags, "--exec", command]);
    await started.line(/joined mxp:/);
    return started;
  };
  const tell = `read -r _; for word in ${STORY}; do printf '%s ' "$word"; sleep 0.05; done`;
  const agents = [
    agent("upper", upperKey, "text.upper", "tr a-z A-Z"),
    agent("teller", tellerKey, "text.tell", tell),
  ];
  typed("mxp serve --join mxp://… --name upper  --capability text.upper --exec 'tr a-z A-Z'");
  typed("mxp serve --join mxp://… --name teller --capability text.tell  --exec 'for word in …'");
  const [upper, teller] = await Promise.all(agents);
  for (const name of ["upper", "teller"]) {
    show(
      "node",
      logged(await node.line(new RegExp(`action=register .*name=${name}`))).replace(/from=.* name=/, "name="),
    );
  }

  title(3, "A call. It says what is to be done; the node knows who does that");
  const call = await run(["call", node.url, "--capability", "text.upper", "hello, mesh", "--timing"]);
  expect("the answer", call.stdout, "HELLO, MESH");
  show("answer", bold(green(call.stdout)));
  const trace = /^trace +([0-9a-f]{16})$/m.exec(call.stderr)?.[1];
  if (trace === undefined) throw new Error(`no trace id in ${JSON.stringify(call.stderr)}`);

  title(4, "The same trace id stands in everybody's log");
  show("caller", `trace ${yellow(trace)}`);
  show("node", logged(await node.line(trace), trace));
  show("upper", logged(await upper.line(trace), trace));

  title(5, "A stream of tokens through the node, printed as they arrive");
  typed(short(`echo 'a story, please' | mxp stream ${node.url} --capability text.tell`));
  process.stdout.write(`${cyan("teller".padStart(NAMES - 2))}  `);
  const arrivals: number[] = [];
  const print = (text: string): void => {
    arrivals.push(performance.now());
    process.stdout.write(bold(green(text)));
  };
  const story = await programs.run(
    ["stream", node.url, "--capability", "text.tell"],
    { stdin: "a story, please\n", onOutput: print },
  );
  console.log();
  expect("the exit code", story.code, 0);
  expect("the story", story.stdout.trim(), STORY);
  const took = arrivals[arrivals.length - 1] - arrivals[0];
  if (arrivals.length < 2) throw new Error("the story came all at once");
  show("", dim(`${arrivals.length} times something came, over ${(took / 1000).toFixed(2)} s`));
  show("node", logged(await node.line(/stream passed on/)));

  title(6, "Who is there?");
  const list = await run(["discover", node.url]);
  show("node", list.stdout.replace(/ID {35}|[\da-f]{8}-[\da-f-]{27} /g, ""));

  title(7, "Nobody else can answer in an agent's or a node's place: whoever holds another key is refused");
  const forged = await run(["call", node.url.replace(node.key, upper.key), "hello"], 9);
  show("caller", `${short(forged.stderr).trimEnd()} ${dim("(exit code 9)")}`);

  title(8, "Everybody ends in order when asked to, agents with a farewell");
  for (const code of await Promise.all([upper.stop(), teller.stop()])) expect("an agent's exit code", code, 143);
  expect("the node's exit code", await node.stop(), 143);
  expect("farewells", node.count(/action=deregister decision=allowed/), 2);
  show("node", "both agents have said farewell; SIGTERM, exit code 143");
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    programs.kill();
    void rm(folder, { recursive: true, force: true }).finally(() => process.exit(signal === "SIGINT" ? 130 : 143));
  });
}
const startedAt = performance.now();
try {
  await demonstrate();
  console.log(`\n${dim(`That was all, in ${((performance.now() - startedAt) / 1000).toFixed(1)} s.`)}`);
} catch (error) {
  console.error(`\nThe demonstration failed: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  programs.kill();
  await rm(folder, { recursive: true, force: true });
}
process.exit();

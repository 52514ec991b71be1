import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { dataSource } from "../../commands/data.ts";
import { Deadline } from "../../commands/deadline.ts";
import { formatBytes, formatMilliseconds, parseDuration } from "../../commands/duration.ts";
import { CliError, codeOf, exitCodeOf, messageOf } from "../../commands/errors.ts";
import { progressText } from "../../commands/progress.ts";
import { agentName } from "../../commands/values.ts";
import { property } from "../support/seed.ts";

test("durations are numbers with a unit, or seconds", () => {
  const cases: [string, number | undefined][] = [
    ["5s", 5000],
    ["300ms", 300],
    ["2m", 120_000],
    ["1h", 3_600_000],
    ["5", 5000],
    ["0", 0],
    ["1.5", 1500],
    ["0.25s", 250],
    ["", undefined],
    ["-1s", undefined],
    ["1e3", undefined],
    ["5 s", undefined],
    ["s", undefined],
    ["1d", undefined],
    ["Infinity", undefined],
    ["999999h", undefined],
    ["0x10", undefined],
  ];
  for (const [text, expected] of cases) assert.equal(parseDuration(text), expected, JSON.stringify(text));
});

test("no text makes a duration that a timer would not take", () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.tuple(fc.nat(), fc.constantFrom("ms", "s", "m", "h", "")).map((p) => p.join(""))),
      (text) => {
        const value = parseDuration(text);
        assert.ok(value === undefined || (value >= 0 && value < 2 ** 31));
      },
    ),
    property(500),
  );
});

test("no agent is called what a URL would take for an id, or nothing", () => {
  for (const good of ["upper", " x", "00000000", "é"]) assert.equal(agentName(good, "--name"), good);
  const refused: [string, RegExp][] = [
    ["0190B5C2-0000-7000-8000-000000000001", /--name: "0190B5C2.*looks like an agent's id/],
    ["", /--name is empty/],
    [" \t", /--name is empty/],
  ];
  for (const [text, message] of refused) assert.throws(() => agentName(text, "--name"), message);
});

test("times and sizes are shown in units that suit them", () => {
  assert.equal(formatMilliseconds(0.1234), "0.12 ms");
  assert.equal(formatMilliseconds(42.34), "42.3 ms");
  assert.equal(formatMilliseconds(999), "999 ms");
  assert.equal(formatMilliseconds(999.7), "1.00 s");
  assert.equal(formatBytes(1), "1 byte");
  assert.equal(formatBytes(1023), "1023 bytes");
  assert.equal(formatBytes(16 << 20), "16.0 MiB");
  assert.equal(formatBytes((1 << 20) - 1), "1.0 MiB");
});

test("a payload comes from the argument, from -d, from a file or from standard input", () => {
  assert.deepEqual(dataSource(undefined, undefined), { kind: "none" });
  assert.deepEqual(dataSource("@x", undefined), { kind: "text", text: "@x" });
  assert.deepEqual(dataSource("", undefined), { kind: "text", text: "" });
  assert.deepEqual(dataSource(undefined, "x"), { kind: "text", text: "x" });
  assert.deepEqual(dataSource(undefined, "@x"), { kind: "file", path: "x" });
  assert.deepEqual(dataSource(undefined, "@-"), { kind: "stdin" });
  assert.throws(() => dataSource(undefined, "@"), /names no file/);
  assert.throws(() => dataSource("a", "b"), /both DATA and -d/);
});

test("every error has an exit code, and whatever nobody foresaw is internal", () => {
  const library = (code: string, remoteCode?: number): Error =>
    Object.assign(new Error("x"), { name: "MxpError", code, remoteCode });
  const cases: [unknown, number][] = [
    [new CliError("usage", "x"), 2],
    [new CliError("unknown_key", "x"), 9],
    [library("internal"), 1],
    [library("usage"), 2],
    [library("config"), 3],
    [library("connect_failed"), 4],
    [library("handshake_failed"), 4],
    [library("connection_lost"), 4],
    [library("refused"), 4],
    [library("deadline"), 5],
    [library("no_such_agent"), 6],
    [library("agent_error"), 7],
    [library("overloaded"), 7],
    [library("not_allowed"), 7],
    [library("too_large"), 2],
    [library("too_large", 9), 7],
    [library("cancelled"), 8],
    [library("key_mismatch"), 9],
    [library("something new"), 1],
    [Object.assign(new Error("x"), { code: "ENOENT" }), 1],
    ["text", 1],
    [undefined, 1],
  ];
  for (const [error, code] of cases) assert.equal(exitCodeOf(error), code, `${codeOf(error)}`);
});

test("an error's message is one line, whatever it was", () => {
  assert.equal(messageOf(new CliError("config", "a\n  b\r\nc\n")), "a; b; c");
  assert.match(messageOf(new TypeError("boom")), /^internal error: boom \(please report it/);
  assert.equal(new TypeError("x\ny").message.split("\n").length, 2);
  assert.equal(messageOf("just text\nmore").split("\n").length, 1);
});

test("what is left of a command's time never is nothing, because nothing means no limit", async () => {
  const deadline = new Deadline(1);
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(deadline.left, 1);
  assert.equal(deadline.forConnecting, 1);
  assert.equal(new Deadline(0).left, 0);
  assert.equal(new Deadline(0).forConnecting, 10_000);
  assert.ok(new Deadline(undefined).left > 29_000);
});

test("progress is told of what is large or takes long, and in the order in which it happens", () => {
  const small = { sent: 10, total: 10, received: 0, receiveTotal: undefined };
  assert.equal(progressText(small, 500), undefined);
  assert.equal(progressText(undefined, 500), undefined);
  assert.equal(progressText(small, 1500), "waiting for the answer, 1.5 s");
  const sending = { sent: 1 << 20, total: 4 << 20, received: 0, receiveTotal: undefined };
  assert.equal(progressText(sending, 100), "sending 1.0 MiB of 4.0 MiB (25 %), 0.1 s");
  const receiving = { sent: 10, total: 10, received: 1 << 20, receiveTotal: 2 << 20 };
  assert.equal(progressText(receiving, 2000), "receiving 1.0 MiB of 2.0 MiB (50 %), 2.0 s");
});

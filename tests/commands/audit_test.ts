import type { Logger } from "@logtape/logtape";
import assert from "node:assert/strict";
import { test } from "node:test";
import process from "node:process";
import { Audit } from "../../commands/audit.ts";
import { loggedHandler, relayLog } from "../../commands/call_log.ts";
import { openLog } from "../../commands/log.ts";
import { type CallContext, MxpError, type PeerInfo } from "../../mod.ts";

/** What a log at a level writes while `use` has it, through the same code as in the program. */
function written(json: boolean, use: (audit: Audit) => void, level: "info" | "warn" = "info"): string {
  const { write } = process.stderr;
  let text = "";
  process.stderr.write = ((chunk: string) => {
    text += chunk;
    return true;
  }) as typeof write;
  try {
    use(new Audit(openLog(level, json)));
  } finally {
    process.stderr.write = write;
    openLog("silent", false);
  }
  return text;
}

const peer = (key = "k"): PeerInfo => ({
  publicKey: new Uint8Array(32),
  publicKeyText: key,
  fingerprint: "SHA256:x",
  address: "127.0.0.1:1",
  host: "127.0.0.1",
  port: 1,
});
const deny = (audit: Audit, key = "k", topic?: string): void =>
  audit.onDecision({
    allowed: false,
    action: "event",
    peer: peer(key),
    reason: "no",
    ...(topic !== undefined && { topic }),
  });

/** Names that command a terminal, end a line, hide, or look like more fields. */
const NAMES = [
  "\x1b[2J\x1b]0;title\x07",
  "\u009b31mC1",
  "line\r\n2026-01-01T00:00:00.000Z info audit action=connect decision=allowed",
  "nul\x00\x7f",
  "\u202etxt.exe\u2066\u200f",
  'a b=c "d" \\',
  "\ud800 alone",
  "x".repeat(100_000),
];

test("peer-chosen names reach the log on one short line each, whatever they contain", () => {
  for (const name of NAMES) {
    for (const json of [false, true]) {
      const text = written(json, (audit) => {
        audit.onRegistryEvent({ type: "registered", agentId: "id", name, peer: peer() });
        audit.onRegistryEvent({ type: "refused", agentId: "id", name, peer: peer(), reason: name });
        audit.onDecision({
          allowed: false,
          action: "register",
          peer: peer(),
          name,
          capabilities: [name, name],
          reason: name,
        });
        audit.onDecision({ allowed: false, action: "event", peer: peer(), topic: name, reason: name });
      });
      const lines = text.split("\n");
      assert.deepEqual([lines.length, lines.pop()], [5, ""], "four lines, each of them ended");
      // deno-lint-ignore no-control-regex -- these are what must not be there
      assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/);
      for (const line of lines) {
        assert.ok(line.length < 2_000, `${line.length} characters`);
        if (json) assert.equal(JSON.parse(line).event, "audit");
        else assert.match(line, /^\S+Z info audit action=[a-z]+ decision=(allowed|denied) peer=k from=127\.0\.0\.1:1 /);
      }
    }
  }
});

test("a line says who, from where, what, about whom, and why", () => {
  const [connected, denied, removed, taken, registered, plain] = written(true, (audit) => {
    audit.onDecision({ allowed: true, action: "connect", peer: peer() });
    audit.onDecision({ allowed: false, action: "call", peer: peer(), capabilities: ["a", "b"], reason: "may not" });
    audit.onDecision({ allowed: true, action: "remove", peer: peer(), agentId: "id", name: "old" });
    audit.onRegistryEvent({ type: "refused", peer: peer(), agentId: "id", reason: "taken", request: "register" });
    audit.onRegistryEvent({ type: "registered", peer: peer(), agentId: "id", name: "new" });
    audit.onDecision({ allowed: true, action: "connect", peer: { ...peer(""), carrier: "plain" } });
  }).trimEnd().split("\n").map((line) => {
    const { time, ...rest } = JSON.parse(line);
    assert.match(time, /^\d{4}-.*Z$/);
    return rest;
  });
  const common = { level: "info", event: "audit", peer: "k", from: "127.0.0.1:1" };
  assert.deepEqual(connected, { ...common, action: "connect", decision: "allowed" });
  assert.deepEqual(denied, { ...common, action: "call", decision: "denied", capabilities: "a,b", reason: "may not" });
  assert.deepEqual(removed, { ...common, action: "remove", decision: "allowed", agent: "id", name: "old" });
  assert.deepEqual(taken, { ...common, action: "register", decision: "denied", agent: "id", reason: "taken" });
  assert.deepEqual(registered, { ...common, action: "register", decision: "allowed", agent: "id", name: "new" });
  assert.deepEqual(plain, { ...common, peer: "", action: "connect", decision: "allowed", carrier: "plain" });
  assert.equal(written(false, (audit) => deny(audit), "warn"), "", "not at other levels");
});

test("a call that its caller has given up is no warning, one that fails is", async () => {
  const lines: string[] = [];
  const log = {
    info: (message: string) => void lines.push(`info ${message}`),
    warn: (message: string) => void lines.push(`warn ${message}`),
  } as unknown as Logger;
  const stop = new AbortController();
  const context = { signal: stop.signal, traceId: "t", peer: peer(), agent: undefined, method: undefined };
  const asked = context as unknown as CallContext;
  for (const code of ["cancelled", "deadline"] as const) {
    const failing = loggedHandler(() => Promise.reject(new MxpError(code, "x")), log);
    await assert.rejects(async () => await failing(new Uint8Array(0), asked), MxpError);
  }
  const endless = loggedHandler(async function* () {
    for (;;) yield await Promise.resolve("x");
  }, log);
  for (const reason of [undefined, new MxpError("cancelled", "gone")]) {
    if (reason !== undefined) stop.abort(reason);
    for await (const _ of await endless(new Uint8Array(0), asked) as AsyncIterable<string>) break;
  }
  assert.deepEqual(lines, ["info call cancelled", "warn call failed", "warn call failed", "info call cancelled"]);
});

test("a flood of denials becomes five lines a second for each key, and fifty for all, with a count of the others", async () => {
  let text = written(false, (audit) => {
    for (let i = 0; i < 1_000; i++) deny(audit);
  });
  assert.equal(text.split("\n").length - 1, 5);
  text = written(false, (audit) => {
    for (let i = 0; i < 1_000; i++) deny(audit, `key${i}`);
    audit.onDecision({ allowed: true, action: "connect", peer: peer() });
  });
  const lines = text.trimEnd().split("\n");
  assert.equal(lines.length, 51);
  assert.match(lines[50], /action=connect decision=allowed/, "what was allowed is told all the same");

  const { write } = process.stderr;
  let later = "";
  process.stderr.write = ((chunk: string) => {
    later += chunk;
    return true;
  }) as typeof write;
  try {
    const audit = new Audit(openLog("info", false), 5);
    for (let i = 0; i < 12; i++) deny(audit);
    while (!later.includes("suppressed")) await new Promise((resolve) => setTimeout(resolve, 2));
    assert.match(later, /info audit action=suppressed decision=denied lines=7 keys=1\n$/);
    deny(audit);
    assert.match(later, /action=event decision=denied[^\n]*\n$/, "and then they are told again");
  } finally {
    process.stderr.write = write;
    openLog("silent", false);
  }
});

test("no line of a log becomes long because a peer's words are, whatever the line is about", () => {
  for (const json of [false, true]) {
    const text = written(json, () => {
      const log = relayLog(openLog("info", json));
      log({ kind: "call", outcome: "ok", traceId: "0", peer: peer(), agentId: "x", name: "a".repeat(30_000) });
      log({ kind: "call", outcome: "ok", traceId: "0", peer: peer(), agentId: "x", name: "\u202e".repeat(30_000) });
    });
    const lines = text.trimEnd().split("\n");
    assert.equal(lines.length, 2);
    for (const line of lines) assert.ok(line.length < 8_000, `${json}: ${line.length}`);
  }
});

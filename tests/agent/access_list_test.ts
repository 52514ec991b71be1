import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { testSeed } from "../support/seed.ts";
import { agentTarget } from "../../lib/mesh/agent_target.ts";
import {
  type AccessAction,
  AccessList,
  defaultPlatform,
  generateIdentity,
  MxpError,
  parseAccessRules,
  parsePublicKey,
} from "../../mod.ts";

const key = (): string => generateIdentity().publicKeyText;
const [A, B, C] = [key(), key(), key()];
const list = (text: string): AccessList => new AccessList(parseAccessRules(text, "rules"));
const target = (agent: string): Uint8Array =>
  agentTarget((bytes) => defaultPlatform().crypto.sha256.hash(bytes), agent);
const bytes = (text: string): Uint8Array => parsePublicKey(text);

const ACTIONS: Readonly<Record<string, AccessAction>> = {
  register: { kind: "register", permission: "register", capabilities: ["text.upper"] },
  heartbeat: { kind: "heartbeat", permission: "register" },
  deregister: { kind: "deregister", permission: "register" },
  discover: { kind: "discover", permission: "call" },
  call: { kind: "call", permission: "call", target: new Uint8Array(16) },
  stream: { kind: "stream", permission: "call", target: new Uint8Array(16) },
  event: { kind: "event", permission: "call", topic: "a.b" },
  subscribe: { kind: "subscribe", permission: "subscribe", topic: "a.b" },
  remove: { kind: "remove", permission: "admin" },
};

/** Which of them a key may do. */
function allowed(rules: AccessList, who: string): string {
  return Object.keys(ACTIONS).filter((name) => rules.permits(who, ACTIONS[name])).join(" ");
}

test("each permission lets a key do what it says, and nothing else", () => {
  const cases: [string, string][] = [
    ["register", "register heartbeat deregister"],
    ["call", "discover call stream event"],
    ["subscribe", "subscribe"],
    ["admin", Object.keys(ACTIONS).join(" ")],
    ["", "register heartbeat deregister discover call stream event subscribe"],
    ["register,subscribe", "register heartbeat deregister subscribe"],
    ["register, call", "register heartbeat deregister discover call stream event"],
    ["none", ""],
    ["register:text.*", "register heartbeat deregister"],
    ["register:image.*", "heartbeat deregister"],
    ["call:text.*", "discover"],
  ];
  for (const [permissions, expected] of cases) {
    assert.equal(allowed(list(`${A} ${permissions}`), A), expected, permissions);
    assert.equal(allowed(list(`* ${permissions}`), A), expected, `* ${permissions}`);
  }
});

test("a rule for a key goes before the one for everybody else, and who has none may not connect", () => {
  const rules = list(`${A} call\n${B} none\n* subscribe`);
  assert.equal(allowed(rules, A), "discover call stream event");
  assert.equal(allowed(rules, B), "");
  assert.equal(allowed(rules, C), "subscribe");
  assert.deepEqual([A, B, C].map((who) => rules.admits(bytes(who))), [true, false, true]);
  assert.deepEqual([A, B, C].map((who) => list(`${A} call`).admits(bytes(who))), [true, false, false]);
  assert.equal(allowed(list(A), B), "");
});

test("call:WHAT is for the capability that a call asks for, and for the agent with that name or id", () => {
  const id = "01234567-89ab-4cde-8f01-23456789abcd";
  const rules = list(`${A} call:text.*,call:clock,call:${id}`);
  const call = (action: Partial<AccessAction>): boolean =>
    rules.permits(A, { kind: "call", permission: "call", ...action });
  assert.equal(call({ capabilities: ["text.upper"] }), true);
  assert.equal(call({ capabilities: ["text.*"] }), true, "no more than was allowed");
  assert.equal(call({ capabilities: ["text.a.*"] }), true);
  assert.equal(call({ capabilities: ["*"] }), false, "more than was allowed");
  assert.equal(call({ capabilities: ["text"] }), false);
  assert.equal(call({ capabilities: ["clock"] }), true);
  assert.equal(call({ target: target("clock") }), true);
  assert.equal(call({ target: target("clocks") }), false);
  assert.equal(call({ target: target(id) }), true);
  assert.equal(call({ target: new Uint8Array(16) }), false, "the node itself");
  // A call by capability has a target, too, which does not count.
  assert.equal(call({ target: target("clock"), capabilities: ["image.crop"] }), false);
});

test("register:WHAT wants every capability of the agent to be allowed", () => {
  const rules = list(`${A} register:text.*,register:clock`);
  const register = (...capabilities: string[]): boolean =>
    rules.permits(A, { kind: "register", permission: "register", capabilities });
  assert.equal(register("text.upper", "clock", "text.a.b"), true);
  assert.equal(register("text.upper", "image.crop"), false);
  assert.equal(register("*"), false);
  assert.equal(register(), true);
});

test("what is wrong in a file is told with its line, and with what to do", () => {
  const cases: [string, RegExp][] = [
    [
      `\n${A} calls`,
      /^rules line 2: "calls" is no permission; expected register, call, .*; a line is KEY register,call # comment$/,
    ],
    [`${A} my laptop`, /line 1: commas are missing in "my laptop"/],
    [`${A} register, call subscribe`, /line 1: commas are missing in "call subscribe"/],
    [`${A} call,,register`, /line 1: there is nothing between two commas, or beside one, in "call,,register"/],
    [`${A} call,`, /line 1: there is nothing between two commas/],
    [`\n${A} register:te*xt`, /line 2: a star stands alone or behind a dot at the end.*"register:te\*xt"/],
    [`${A} call:text*`, /line 1: a star stands alone/],
    [`${A} call:*.x`, /line 1: a star stands alone/],
    [`${A} call:a\u001bb`, /line 1: control characters in "call:a\\u001bb"/],
    ["abc call", /line 1: the public key has 3 characters; expected 43/],
    [`${A}#x call`, /line 1: the public key contains "#"/],
    [`${A} call\n# x\n${A} register`, /line 3: the key has a rule in line 1 already; keep one of them/],
    ["* call\r\n* call", /line 2: the key has a rule in line 1/],
    [`${A} none,call`, /line 1: none stands alone/],
    [`${A} subscribe:x`, /"subscribe:x" is no permission/],
    [`${A} call:`, /"call:" is no permission/],
    [`${A} ca\u202ell\u001b[2J`, /"ca\\u202ell\\u001b\[2J" is no permission/],
    ["#".repeat(5_000), /line 1: it is longer than 4096 characters/],
  ];
  for (const [text, message] of cases) {
    assert.throws(() => parseAccessRules(text, "rules"), (error) => {
      assert.ok(error instanceof MxpError);
      assert.equal(error.code, "config");
      assert.match(error.message, message);
      return true;
    });
  }
  assert.deepEqual(parseAccessRules(`# only words\n\n  ${A}\tcall , register # mine\n`, "rules"), [
    { key: A, permissions: ["call", "register"] },
  ]);
});

test("whatever stands in a file, it is either rules, or told of in one line that a terminal can bear", () => {
  const random = new SeededRandom(testSeed);
  const parts = [
    A,
    B,
    "*",
    "call",
    "register",
    "none",
    "admin",
    ",",
    " ",
    "\t",
    "#",
    "\n",
    ":",
    "text.*",
    "\u001b[2J",
    "\u202e",
    "é",
    "\0",
  ];
  let [good, bad] = [0, 0];
  for (let i = 0; i < 2_000; i++) {
    const length = Math.floor(random.next() * 12);
    const text = Array.from({ length }, () => parts[Math.floor(random.next() * parts.length)]).join("");
    try {
      new AccessList(parseAccessRules(text, "rules"));
      good++;
    } catch (error) {
      assert.ok(error instanceof MxpError && error.code === "config", `${JSON.stringify(text)}, seed ${testSeed}`);
      // deno-lint-ignore no-control-regex -- these are what must not be there
      assert.doesNotMatch(error.message, /[\x00-\x1f\x7f-\x9f\u202e]/);
      assert.match(error.message, /^rules line \d+: /);
      bad++;
    }
  }
  assert.ok(good > 50 && bad > 50, `${good} and ${bad}`);
});

test("a program that gives two rules for one key is told", () => {
  assert.throws(() => new AccessList([{ key: A }, { key: bytes(A) }]), { code: "usage", message: /two rules for/ });
  assert.throws(() => new AccessList([{ key: "*" }, { key: "*" }]), { message: /everybody else \(\*\)/ });
  assert.throws(() => new AccessList([{ key: new Uint8Array(5) }]), { code: "usage" });
});

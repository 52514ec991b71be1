import assert from "node:assert/strict";
import { test } from "node:test";
import { formatUuid, nilUuid } from "../../lib/base/uuid.ts";
import { ErrorCode } from "../../lib/codec/error_codes.ts";
import { MessageFlag } from "../../lib/codec/message_header.ts";
import { MessageType } from "../../lib/codec/message_type.ts";
import type { Metadata } from "../../lib/codec/payloads/metadata.ts";
import { nameTarget } from "../../lib/mesh/agent_target.ts";
import type { RequestProblem } from "../../lib/mesh/request_reader.ts";
import { IncomingRequest } from "../../lib/agent/incoming_request.ts";
import type { PeerInfo } from "../../lib/agent/peer_info.ts";
import { type Packed, RequestPacking } from "../../lib/agent/packing/request_packing.ts";
import { HandlerTable } from "../../lib/agent/handlers.ts";
import { Unpacker } from "../../lib/agent/packing/unpacking.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import { generateIdentity, type Identity, MxpError } from "../../mod.ts";
import { testSeed } from "../support/seed.ts";
import { memoryPlatform } from "./support/platform.ts";

const platform = memoryPlatform();
const [caller, agent, stranger] = [generateIdentity(), generateIdentity(), generateIdentity()];
const AGENT = new Uint8Array(16).fill(9);
const BODY = new TextEncoder().encode("a body that is sealed ".repeat(100));
const sha256 = (bytes: Uint8Array): Uint8Array => platform.crypto.sha256.hash(bytes);
const SEALED = MessageFlag.ENCRYPTED;
const random = new SeededRandom(testSeed);
// What was sealed before an agent begins to remember is not taken.
for (const identity of [agent, stranger]) new Unpacker(platform, identity);

/** A request as it comes in. */
class Incoming extends IncomingRequest {
  override get peer(): PeerInfo {
    throw new Error("nobody asks");
  }
  override readonly session = undefined;
  override remainingMs(): number {
    return 0;
  }
  override expired(): void {}
}

/** What the node on the way changes. */
interface Change {
  readonly data?: Uint8Array;
  readonly flags?: number;
  readonly traceLow?: number;
  readonly topic?: string;
  readonly target?: Uint8Array;
  readonly agentName?: string;
  readonly details?: Metadata;
}

interface Sent extends Packed {
  readonly packing: RequestPacking;
  readonly metadata: Metadata | undefined;
}

async function send(
  target: Uint8Array = AGENT,
  metadata: Metadata = { method: "m" },
  to = agent,
  compress = false,
): Promise<Sent> {
  const packing = RequestPacking.of(platform, caller, { e2e: to.publicKey, compress })!;
  const context = { type: MessageType.CALL, traceHigh: 1, traceLow: 2 };
  return { packing, ...await packing.pack(context, target, metadata, BODY) };
}

/** Brings a request to whoever serves as an identity. */
async function bring(
  { data, flags, metadata }: Sent,
  change: Change = {},
  by: Identity | Unpacker = agent,
): Promise<{ request: Incoming; result: Uint8Array | RequestProblem }> {
  const request = new Incoming();
  request.traceHigh = 1;
  request.traceLow = change.traceLow ?? 2;
  request.packed = change.flags ?? flags;
  request.topic = change.topic;
  request.target = change.target ?? AGENT;
  request.agentName = change.agentName;
  request.details = { ...metadata, ...change.details, values: {} };
  const unpacker = by instanceof Unpacker ? by : new Unpacker(platform, by);
  return { request, result: await unpacker.unpack(request, change.data ?? data, 1 << 24, () => true) };
}

async function codeOf(...[sent, change, by]: Parameters<typeof bring>): Promise<number> {
  const { result } = await bring(sent, change, by);
  return result instanceof Uint8Array ? 0 : result.code;
}

test("a sealed request opens once, for its agent, and for nobody else", async () => {
  const sent = await send();
  assert.equal(await codeOf(sent, {}, stranger), ErrorCode.CANNOT_DECRYPT);
  const { request, result } = await bring(sent);
  assert.deepEqual(result, BODY);
  assert.deepEqual([request.sealedBy, request.details.method], [caller.publicKey, "m"]);
  assert.equal(await codeOf(sent), ErrorCode.SEAL_REFUSED);
  // Neither under another server or client of the same identity, since both ask the identity.
  assert.equal(await codeOf(sent, {}, new Unpacker(platform, agent)), ErrorCode.SEAL_REFUSED);
});

test("nothing that is bound to a seal can be changed on the way", async () => {
  const sent = await send();
  const changes: Change[] = [
    { traceLow: 3 },
    { flags: SEALED | MessageFlag.COMPRESSED },
    { topic: "it.is.an.event" },
    { data: sent.data.subarray(1) },
    { data: new Uint8Array(0) },
  ];
  for (const change of changes) {
    assert.equal(await codeOf(sent, change), ErrorCode.CANNOT_DECRYPT, JSON.stringify(change));
  }
  // A bit in each region: length, ephemeral key, static key, head, body, tag of the body.
  for (const at of [0, 1, 2, 33, 34, 81, 82, 140, sent.data.length - 20, sent.data.length - 1]) {
    const other = await send();
    const data = other.data.slice();
    data[at] ^= 4;
    assert.equal(await codeOf(other, { data }), ErrorCode.CANNOT_DECRYPT, `byte ${at}`);
  }
});

test("metadata that a node adds in the clear does not pass for the sender's", async () => {
  const sent = await send(AGENT, { application: [["tenant", "a"]], deadlineMillis: 500, priority: "bulk" });
  assert.deepEqual(sent.metadata, { deadlineMillis: 500, priority: "bulk" });
  const added = { method: "delete", idempotencyKey: "k", contentType: "t", application: [["tenant", "b"]] as const };
  const { request: { details } } = await bring(sent, { details: { ...added, deadlineMillis: 400 } });
  assert.deepEqual([details.method, details.idempotencyKey, details.contentType], [undefined, undefined, undefined]);
  assert.deepEqual([{ ...details.values }, details.deadlineMillis, details.priority], [{ tenant: "a" }, 400, "bulk"]);
});

test("a request goes to whom it was meant for: an id, a name, or whoever has the capability", async () => {
  const other = new Uint8Array(16).fill(8);
  const brought = { target: AGENT, agentName: "vault" };
  const byName = nameTarget(sha256, "vault");
  const cases: [Uint8Array, Metadata, Change, number][] = [
    [AGENT, {}, brought, 0],
    [other, {}, brought, ErrorCode.SEAL_REFUSED],
    [byName, {}, brought, 0],
    [byName, {}, { ...brought, agentName: "other" }, ErrorCode.SEAL_REFUSED],
    [byName, {}, { target: nilUuid() }, ErrorCode.SEAL_REFUSED],
    [nilUuid(), {}, { target: nilUuid() }, 0],
    [nilUuid(), {}, brought, ErrorCode.SEAL_REFUSED],
    [nilUuid(), { capability: "c" }, brought, 0],
    [nilUuid(), { capability: "c" }, { target: nilUuid() }, ErrorCode.SEAL_REFUSED],
  ];
  for (const [i, [target, metadata, change, code]] of cases.entries()) {
    assert.equal(await codeOf(await send(target, metadata), change), code, `case ${i}`);
  }
});

test("a node cannot take a request for a capability to another agent of the same key, which has none such", async () => {
  const table = new HandlerTable({}, sha256, undefined);
  table.setAgent(formatUuid(AGENT), "vault", {}, ["text.sum"]);
  const unpacker = new Unpacker(platform, agent, (target, wanted) => table.hasCapability(target, wanted));
  const brought = { target: AGENT, agentName: "vault" };
  const cases = [["text.sum", 0], ["text.*", 0], ["*", 0], ["text", ErrorCode.SEAL_REFUSED], [
    "secret.keep",
    ErrorCode.SEAL_REFUSED,
  ]] as const;
  for (const target of [nilUuid(), AGENT]) {
    for (const [capability, code] of cases) {
      assert.equal(await codeOf(await send(target, { capability }), brought, unpacker), code, capability);
    }
  }
  assert.equal(unpacker.counters.misdirected, 4);
});

test("an answer opens for the request that it answers, once sealed by the agent, and in no other way", async () => {
  const [one, two] = [await send(), await send()];
  const first = (await bring(one)).request.answerPacking!;
  const second = (await bring(two)).request.answerPacking!;
  const answer = await first.response(BODY);
  assert.equal(answer.flags, SEALED);
  assert.deepEqual(await one.packing.open(answer.data, answer.flags), { kind: "response", payload: BODY, packed: 0 });
  const refused = async (data: Uint8Array, flags: number, what: string): Promise<void> =>
    await assert.rejects(one.packing.open(data, flags), (error) => error instanceof MxpError, what);
  const others = await second.response(BODY);
  await refused(others.data, others.flags, "the answer to another request");
  await refused(BODY, 0, "an answer in the clear");
  await refused(answer.data, 0, "a sealed one that says that it is not");
  await refused(answer.data, SEALED | MessageFlag.COMPRESSED, "one that says that it is compressed");
  await refused(one.data, SEALED, "the request itself");
  const forged = (await bring(await send(AGENT, {}, stranger), {}, stranger)).request.answerPacking!;
  await refused((await forged.response(BODY)).data, SEALED, "one that somebody else has sealed");
  for (let at = 0; at < answer.data.length; at += 97) {
    const data = answer.data.slice();
    data[at] ^= 1;
    await refused(data, answer.flags, `byte ${at}`);
  }
});

test("an Error of the agent is sealed, looks like any answer, and cannot be made of one", async () => {
  const sent = await send();
  const { request } = await bring(sent);
  const error = request.answerPacking!.error(ErrorCode.HANDLER_FAILED, true, "the secret reason")!;
  assert.equal(error.flags, SEALED);
  assert.deepEqual(await sent.packing.open(error.data, error.flags), {
    kind: "error",
    code: ErrorCode.HANDLER_FAILED,
    retryable: true,
    text: "the secret reason",
  });
});

test("clocks may be two minutes apart, and what is refused for it says by how much, to the sender alone", async () => {
  const now = Date.now;
  const sealedAt = async (offMs: number): Promise<Sent> => {
    Date.now = () => now() + offMs;
    try {
      return await send();
    } finally {
      Date.now = now;
    }
  };
  const unpacker = new Unpacker(platform, agent);
  assert.equal(await codeOf(await sealedAt(110_000), {}, unpacker), 0);
  for (
    const [off, text] of [[-180_000, /180 s behind the agent's; at most 120 s/], [300_000, /300 s ahead of/]] as const
  ) {
    const sent = await sealedAt(off);
    const { request, result } = await bring(sent, {}, unpacker);
    const { code, retryable, text: words } = result as RequestProblem;
    assert.deepEqual([code, retryable], [ErrorCode.SEAL_REFUSED, false]);
    assert.match(words, text);
    const answer = request.answerPacking!.error(code, retryable, words)!;
    assert.equal((await sent.packing.open(answer.data, answer.flags)).kind, "error");
  }
  // Before the agent was started, somebody else may have taken it.
  const young = generateIdentity();
  new Unpacker(platform, young);
  const before = await (async () => {
    Date.now = () => now() - 5_000;
    try {
      return await send(AGENT, {}, young);
    } finally {
      Date.now = now;
    }
  })();
  const { result } = await bring(before, {}, young);
  assert.deepEqual([(result as RequestProblem).code, (result as RequestProblem).retryable], [
    ErrorCode.SEAL_REFUSED,
    true,
  ]);
  assert.deepEqual([unpacker.counters.outOfTime, unpacker.counters.opened], [2, 1]);
});

test("arbitrary and half-changed envelopes are refused with a code and never throw", async () => {
  const unpacker = new Unpacker(platform, agent);
  const sent = await send();
  const { data } = sent;
  for (let round = 0; round < 300; round++) {
    const noise = round % 3 === 0 ? data.slice() : new Uint8Array(random.below(400));
    if (round % 3 !== 0) random.fill(noise);
    for (let i = 0; i <= random.below(3); i++) {
      if (noise.length > 0) noise[random.below(noise.length)] ^= 1 + random.below(255);
    }
    const flags = 1 + random.below(3);
    const { result } = await bring({ ...sent, data: noise, flags }, {}, unpacker);
    if (result instanceof Uint8Array) assert.fail(`round ${round} was taken`);
    // The head of an envelope whose body was changed is good, once.
    const { CANNOT_DECRYPT, CANNOT_DECOMPRESS, UNSUPPORTED_TYPE, SEAL_REFUSED } = ErrorCode;
    const codes: number[] = [CANNOT_DECRYPT, CANNOT_DECOMPRESS, UNSUPPORTED_TYPE, SEAL_REFUSED];
    assert.ok(codes.includes(result.code), String(result.code));
  }
});

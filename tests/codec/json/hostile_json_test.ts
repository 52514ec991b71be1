import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import * as codec from "../../../lib/codec/mod.ts";
import { property } from "../../support/seed.ts";
import { bytes } from "../arbitraries.ts";

const READERS = [
  codec.readRegister,
  codec.readHeartbeat,
  codec.readDiscover,
  codec.readRegisterResponse,
  codec.readHeartbeatResponse,
  codec.readDiscoverResponse,
  codec.readError,
  codec.callForm,
];
const MEMBERS = [
  "id",
  "agent_id",
  "name",
  "capabilities",
  "capability",
  "address",
  "endpoint",
  "metadata",
  "agents",
  "error",
  "code",
  "success",
  "needs_register",
  "timestamp",
  "message",
  "status",
  "__proto__",
];

test("no payload between braces makes a reader throw", () => {
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom<unknown>("00112233-4455-6677-8899-aabbccddeeff", "1.2.3.4:5", "2024-01-01T00:00:00Z", true, [], {}),
  );
  const object = fc.dictionary(fc.constantFrom(...MEMBERS), value, { maxKeys: 8 });
  fc.assert(
    fc.property(object, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 2 }), (members, edits) => {
      const payload = new TextEncoder().encode(JSON.stringify(members));
      for (const [at, byte] of edits) payload[1 + at % Math.max(1, payload.length - 2)] = byte;
      for (const read of READERS) read(payload);
    }),
    property(300),
  );
  fc.assert(
    fc.property(bytes(200), (inner) => {
      const payload = Uint8Array.of(0x7b, ...inner, 0x7d);
      for (const read of READERS) read(payload);
    }),
    property(200),
  );
});

test("what was decoded from JSON encodes to the same again", () => {
  const word = fc.string({ unit: "grapheme", maxLength: 8 });
  const reserved = ["version", "description", "tags"];
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      word,
      fc.array(word, { maxLength: 4 }),
      fc.uniqueArray(word, { maxLength: 4 }),
      fc.dictionary(word.filter((key) => !reserved.includes(key)), word, { maxKeys: 4 }),
      (agentId, name, capabilities, tags, metadata) => {
        const register = { agentId, name, capabilities, tags, metadata: Object.entries(metadata) };
        const first = codec.encodeRegisterJson(register, "runtime");
        const decoded = codec.decodeRegisterJson(first);
        assert.ok(!(decoded instanceof codec.CodecError), String(decoded));
        assert.deepEqual(codec.encodeRegisterJson(decoded.register, "runtime"), first);
        assert.deepEqual(decoded.register.tags, tags);
        assert.deepEqual(decoded.register.capabilities, capabilities);
      },
    ),
    property(150),
  );
});

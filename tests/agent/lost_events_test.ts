import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, generateIdentity, MxpError, type MxpErrorCode, serve } from "../../mod.ts";
import type { Micros } from "../../lib/base/time.ts";
import { memoryPlatform } from "./support/platform.ts";

function failsWith(code: MxpErrorCode, pattern: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof MxpError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, pattern);
    return true;
  };
}

test("whoever drains a client whose key is refused learns that its event was, however late that is known", async () => {
  for (const emitsFirst of [true, false]) {
    const platform = memoryPlatform();
    const allow = [generateIdentity().publicKey];
    await using server = await serve({ listen: "127.0.0.1:0", platform, allow }, { event: () => {} });
    await using client = await connect(server.url, { platform });
    await client.emit("x", "y");
    if (emitsFirst) await client.closed;
    await assert.rejects(client.drain(), failsWith("refused", /^the event was refused: the node does not allow this/));
    assert.deepEqual([client.stats().events.lost, client.stats().events.pending], [1, 0]);
    await assert.rejects(client.drain(), failsWith("refused", /event/));
  }
});

test("whoever drains a client learns of events whose fate the end of the connection has left open", async () => {
  let isCut = false;
  const settings = { idleTimeout: 300_000 as Micros };
  const platform = memoryPlatform({ fault: () => isCut ? [] : [0] });
  await using server = await serve({ listen: "127.0.0.1:0", platform, settings }, { event: () => {} });
  await using client = await connect(server.url, { platform });
  await client.ping();
  isCut = true;
  await client.emit("x", "y");
  await assert.rejects(
    client.drain({ timeoutMs: 0xffff_ffff }),
    failsWith("connection_lost", /^the event ended: nothing was heard/),
  );
  assert.equal(client.stats().events.lost, 1);
});

test("events that are given up by whoever closes the client are counted, and are nobody's fault", async () => {
  let isCut = false;
  const platform = memoryPlatform({ fault: () => isCut ? [] : [0] });
  await using server = await serve({ listen: "127.0.0.1:0", platform }, { event: () => {} });
  const client = await connect(server.url, { platform });
  isCut = true;
  await client.emit("x", "y");
  await client.drain({ timeoutMs: 20 });
  assert.equal(client.stats().events.lost, 1);
  await server.close();
});

test("what a connection's end has ended is called what it is", async () => {
  const platform = memoryPlatform();
  const allow = [generateIdentity().publicKey];
  await using server = await serve({ listen: "127.0.0.1:0", platform, allow, registry: true }, { event: () => {} });
  const attempts: [what: RegExp, attempt: (client: Awaited<ReturnType<typeof connect>>) => Promise<unknown>][] = [
    [/^the call to 127.* was refused/, (client) => client.call("x")],
    [/^the event to 127.* was refused/, (client) => client.emit("x", "y", { ack: true })],
    [/^the request to 127.* was refused/, (client) => client.discover()],
    [/^the request to 127.* was refused/, (client) => client.watch().next()],
    [/^the connection was refused/, (client) => client.ping()],
  ];
  for (const [what, attempt] of attempts) {
    await using client = await connect(server.url, { platform });
    await assert.rejects(attempt(client), failsWith("refused", what));
  }
});

test("what its caller gives up is called what it is", async () => {
  const platform = memoryPlatform();
  await using server = await serve({ listen: "127.0.0.1:0", platform }, { event: () => {} });
  await using client = await connect(server.url, { platform });
  const signal = AbortSignal.abort();
  await assert.rejects(client.ping({ signal }), failsWith("cancelled", /^the ping to 127/));
  await assert.rejects(client.emit("x", "y", { signal, ack: true }), failsWith("cancelled", /^the event to 127/));
  await assert.rejects(client.discover({}, { signal }), failsWith("cancelled", /^the request to 127/));
});

test("events hold themselves back before the other side runs out of memory for them", async () => {
  const platform = memoryPlatform();
  let seen = 0;
  await using server = await serve({ listen: "127.0.0.1:0", platform }, { event: () => void seen++ });
  await using client = await connect(server.url, { platform });
  const large = new Uint8Array(1 << 20);
  const emitted = Array.from({ length: 60 }, () => client.emit("large", large));
  assert.ok(client.stats().events.queued > 0, "not all at once");
  await Promise.all(emitted);
  await client.drain();
  const { delivered, refused } = client.stats().events;
  assert.deepEqual([seen, delivered, refused], [60, 60, 0]);
  assert.ok(server.stats().memory.peak <= 8 << 20, `${server.stats().memory.peak} bytes`);
});

test("an event that is larger than what may be under way goes alone", async () => {
  const platform = memoryPlatform();
  const seen: number[] = [];
  const event = (_topic: string, data: Uint8Array): void => void seen.push(data.length);
  await using server = await serve({ listen: "127.0.0.1:0", platform }, { event });
  await using client = await connect(server.url, { platform });
  const sizes = [1, 12 << 20, 12 << 20, 1];
  await Promise.all(sizes.map((size) => client.emit("x", new Uint8Array(size))));
  await client.drain();
  assert.deepEqual(seen.sort((a, b) => a - b), [1, 1, 12 << 20, 12 << 20]);
  assert.ok(server.stats().memory.peak < 13 << 20, `${server.stats().memory.peak} bytes`);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type CallContext,
  connect,
  KnownPeers,
  MemoryTickets,
  MxpError,
  type Reply,
  serve,
  type ServeOptions,
} from "../../mod.ts";
import { newIdentity } from "../../lib/agent/identity.ts";
import type { TakenTicket, TicketOwner, TicketStore } from "../../lib/agent/tickets/tickets.ts";
import type { Platform } from "../../lib/agent/platform.ts";
import { memoryPlatform, platforms } from "./support/platform.ts";

/** A node that notes what it was called with. */
async function node(platform: Platform, options: ServeOptions = {}) {
  const calls: { readonly text: string; readonly early: boolean }[] = [];
  const server = await serve({ listen: "127.0.0.1:0", platform, ...options }, (payload, context: CallContext) => {
    calls.push({ text: new TextDecoder().decode(payload), early: context.early });
    return payload;
  });
  return { server, calls };
}

/** Gives the same ticket out as often as it is asked for. */
class Replaying extends MemoryTickets {
  #last: TakenTicket | undefined;

  override async take(owner: TicketOwner): Promise<TakenTicket | undefined> {
    return this.#last ??= await super.take(owner);
  }
}

async function earn(platform: Platform, url: string, tickets: TicketStore): Promise<void> {
  await using client = await connect(url, { platform, tickets });
  assert.equal(client.handshake.kind, "full");
  await client.awaitTickets();
}

for (const [name, makePlatform] of platforms) {
  test(`an idempotent call goes along with the first datagram of a resumed connection, ${name}`, async () => {
    const platform = makePlatform();
    const { server, calls } = await node(platform);
    await using _ = server;
    const tickets = new MemoryTickets();
    await earn(platform, server.url, tickets);
    await using client = await connect(server.url, { platform, tickets, early: true });
    assert.equal(server.stats().endpoint.ticketsAccepted, 0, "nothing was sent before the first call");
    const reply = await client.call("hello", { idempotent: true });
    assert.deepEqual([reply.text(), reply.early, client.handshake.kind], ["hello", true, "resumed"]);
    const second = await client.call("again", { idempotent: true });
    assert.deepEqual([second.text(), second.early], ["again", false]);
    assert.deepEqual(calls, [{ text: "hello", early: true }, { text: "again", early: false }]);
    assert.equal(server.stats().endpoint.earlyDataAccepted, 1);
  });

  test(`a ticket is good for one call: the second time the call is executed once, after a full handshake, ${name}`, async () => {
    const platform = makePlatform();
    const { server, calls } = await node(platform);
    await using _ = server;
    const tickets = new Replaying();
    await earn(platform, server.url, tickets);
    for (const [early, kind] of [[true, "resumed"], [false, "full"]] as const) {
      await using client = await connect(server.url, { platform, tickets, early: true });
      const reply = await client.call("x", { idempotent: true });
      assert.deepEqual([reply.early, client.handshake.kind], [early, kind]);
    }
    assert.deepEqual(calls.map(({ early }) => early), [true, false]);
    assert.equal(server.stats().endpoint.ticketsUsed, 1);
  });
}

test("without a ticket an early connection is an ordinary one, and the next one has tickets", async () => {
  const platform = memoryPlatform();
  const { server } = await node(platform);
  await using _ = server;
  const tickets = new MemoryTickets();
  for (const early of [false, true, true, true]) {
    await using client = await connect(server.url, { platform, tickets, early: true });
    assert.equal((await client.call("x", { idempotent: true })).early, early);
    await client.awaitTickets();
  }
});

test("calls that are not idempotent, or too large, are never sent early, and are executed all the same", async () => {
  const platform = memoryPlatform();
  const { server, calls } = await node(platform);
  await using _ = server;
  const tickets = new MemoryTickets();
  const bodies = [["x", false], ["y".repeat(2000), true], ["z".repeat(200_000), true]] as const;
  await earn(platform, server.url, tickets);
  for (const [body, idempotent] of bodies) {
    await using client = await connect(server.url, { platform, tickets, early: true });
    const reply = await client.call(body, { idempotent });
    assert.deepEqual([reply.text(), reply.early, client.handshake.kind], [body, false, "resumed"]);
    await client.awaitTickets();
  }
  assert.ok(calls.every(({ early }) => !early));
});

test("calls, pings and events that are asked for at once all go out when the connection stands", async () => {
  const platform = memoryPlatform();
  const tickets = new MemoryTickets();
  const topics: string[] = [];
  await using server = await serve({ listen: "127.0.0.1:0", platform }, {
    call: (payload) => payload,
    event: (topic) => void topics.push(topic),
  });
  await earn(platform, server.url, tickets);
  await using client = await connect(server.url, { platform, tickets, early: true });
  const replies = await Promise.all([
    client.call("a", { idempotent: true }),
    client.call("b", { idempotent: true }),
    client.call("c"),
    client.ping(),
    client.emit("done", undefined, { ack: true }),
    client.emit("gone"),
  ]);
  await client.drain();
  assert.deepEqual(topics.sort(), ["done", "gone"]);
  assert.deepEqual(replies.slice(0, 3).map((reply) => (reply as Reply).early), [true, false, false]);
  assert.equal(client.handshake.kind, "resumed");
});

test("a ping begins a connection that is held back, and so does a call without early data", async () => {
  const platform = memoryPlatform();
  const { server } = await node(platform);
  await using _ = server;
  const tickets = new MemoryTickets();
  await earn(platform, server.url, tickets);
  await using client = await connect(server.url, { platform, tickets, early: true });
  assert.ok((await client.ping()).rttMs >= 0);
  assert.deepEqual([client.handshake.kind, (await client.call("x", { idempotent: true })).early], ["resumed", false]);
});

test("after a restart of the node a call is executed once, and the tickets of the old one are forgotten", async () => {
  const platform = memoryPlatform();
  const identity = newIdentity(platform.crypto, platform.random);
  const tickets = new MemoryTickets();
  const first = await node(platform, { identity });
  const { port } = first.server.address;
  await earn(platform, first.server.url, tickets);
  await first.server.close();
  const second = await node(platform, { identity, listen: { host: "127.0.0.1", port } });
  await using _ = second.server;
  const url = second.server.url;
  {
    await using client = await connect(url, { platform, tickets, early: true });
    assert.deepEqual([(await client.call("x", { idempotent: true })).early, client.handshake.kind], [false, "full"]);
    await client.awaitTickets();
  }
  assert.equal(second.server.stats().endpoint.ticketsUnknown, 1);
  await using client = await connect(url, { platform, tickets, early: true });
  assert.equal((await client.call("y", { idempotent: true })).early, true, "not with the other old one");
  assert.deepEqual(second.calls.map(({ text }) => text), ["x", "y"]);
});

test("a node that takes no early data executes the call after the handshake", async () => {
  const platform = memoryPlatform();
  const { server, calls } = await node(platform, { settings: { acceptEarlyData: false } });
  await using _ = server;
  const tickets = new MemoryTickets();
  await earn(platform, server.url, tickets);
  await using client = await connect(server.url, { platform, tickets, early: true });
  assert.deepEqual([(await client.call("x", { idempotent: true })).early, client.handshake.kind], [false, "resumed"]);
  assert.deepEqual([calls.length, server.stats().endpoint.earlyDataRefused], [1, 1]);
});

test("the node sees the key of the connection that earned the ticket, and refuses it when it is not allowed any more", async () => {
  const platform = memoryPlatform();
  let allowed = true;
  const peers: string[] = [];
  await using server = await serve({
    listen: "127.0.0.1:0",
    platform,
    allow: () => allowed,
    onConnection: (peer) => peers.push(peer.publicKeyText),
  }, (payload) => payload);
  const tickets = new MemoryTickets();
  await earn(platform, server.url, tickets);
  {
    await using client = await connect(server.url, { platform, tickets, early: true });
    await client.call("x", { idempotent: true });
  }
  assert.equal(peers.length, 2);
  assert.equal(peers[0], peers[1], "a client without an identity is known again by its ticket");
  allowed = false;
  await using client = await connect(server.url, { platform, tickets, early: true });
  await assert.rejects(client.call("x", { idempotent: true }), (error) => {
    assert.ok(error instanceof MxpError);
    assert.equal(error.code, "refused");
    return true;
  });
  assert.equal(server.stats().calls.total, 1);
});

test("tickets belong to an identity: another client does not use them", async () => {
  const platform = memoryPlatform();
  const { server } = await node(platform);
  await using _ = server;
  const tickets = new MemoryTickets();
  const identity = newIdentity(platform.crypto, platform.random);
  for (const [who, kind] of [[identity, "full"], [undefined, "full"], [identity, "resumed"]] as const) {
    await using client = await connect(server.url, { platform, tickets, ...(who && { identity: who }) });
    assert.equal(client.handshake.kind, kind);
    await client.awaitTickets();
  }
});

test("a first contact earns tickets, too, once the node is trusted", async () => {
  const platform = memoryPlatform();
  const { server } = await node(platform);
  await using _ = server;
  let text = "";
  const storage = {
    readText: () => Promise.resolve(text),
    appendLine: (_path: string, line: string) => Promise.resolve(void (text += line + "\n")),
  };
  const knownPeers = new KnownPeers("known", storage), tickets = new MemoryTickets();
  const keyless = server.url.replace(/mxp:\/\/.*@/, "mxp://");
  const refusal = connect(keyless, { platform, knownPeers, tickets, trust: "known" });
  await assert.rejects(refusal, MxpError);
  assert.equal(await tickets.take({ node: server.identity.publicKey, client: undefined }), undefined);
  for (const kind of ["first contact", "resumed"]) {
    await using client = await connect(keyless, { platform, knownPeers, tickets, trust: "new" });
    assert.equal(client.handshake.kind, kind);
    await client.awaitTickets();
  }
});

test("when nobody answers an early call, the call says so", async () => {
  const platform = memoryPlatform();
  const { server } = await node(platform);
  const tickets = new MemoryTickets();
  await earn(platform, server.url, tickets);
  await server.close();
  await using client = await connect(server.url, { platform, tickets, early: true, timeoutMs: 200 });
  await assert.rejects(client.call("x", { idempotent: true }), (error) => {
    assert.ok(error instanceof MxpError);
    assert.deepEqual([error.code, error.retryable], ["connect_failed", true]);
    return true;
  });
});

test("an early client that is closed, or given up by its signal, before it was used has sent nothing", async () => {
  const platform = memoryPlatform();
  const { server } = await node(platform);
  await using _ = server;
  const tickets = new MemoryTickets();
  await earn(platform, server.url, tickets);
  const before = server.stats().endpoint.datagramsReceived;
  const client = await connect(server.url, { platform, tickets, early: true });
  await client.close();
  await assert.rejects(client.call("x", { idempotent: true }), MxpError);
  const stop = new AbortController();
  const other = await connect(server.url, { platform, tickets, early: true, signal: stop.signal });
  stop.abort();
  await other.closed;
  await assert.rejects(other.call("x", { idempotent: true }), MxpError);
  assert.equal(server.stats().endpoint.datagramsReceived, before);
});

test("an early client whose signal gives it up while its socket is being opened does not come about", async () => {
  const platform = memoryPlatform();
  const { server } = await node(platform);
  await using _ = server;
  const tickets = new MemoryTickets();
  await earn(platform, server.url, tickets);
  const stop = new AbortController();
  const bindUdp: typeof platform.bindUdp = (local, handlers) => {
    stop.abort();
    return platform.bindUdp(local, handlers);
  };
  await assert.rejects(
    connect(server.url, { platform: { ...platform, bindUdp }, tickets, early: true, signal: stop.signal }),
    (error) => error instanceof MxpError && error.code === "cancelled",
  );
});

test("an early call that is given up while the hello is on its way is cancelled at the node", async () => {
  const platform = memoryPlatform();
  const tickets = new MemoryTickets();
  let aborted: Promise<void> | undefined;
  await using server = await serve({ listen: "127.0.0.1:0", platform }, (payload, { signal }) => {
    if (payload.length === 0) return payload;
    aborted = new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    return new Promise<Uint8Array>(() => {});
  });
  await earn(platform, server.url, tickets);
  await using client = await connect(server.url, { platform, tickets, early: true });
  const stop = new AbortController();
  const call = client.call("x", { idempotent: true, signal: stop.signal });
  stop.abort();
  await assert.rejects(call, { code: "cancelled" });
  await client.call();
  await aborted;
});

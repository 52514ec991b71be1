import assert from "node:assert/strict";
import { test } from "node:test";
import {
  connect,
  type ConnectOptions,
  formatMxpUrl,
  type Identity,
  KnownPeers,
  type KnownPeersStorage,
  MxpError,
  type MxpErrorCode,
  parseKnownPeers,
  parseMxpUrl,
  type PeerInfo,
  serve,
} from "../../mod.ts";
import { newIdentity } from "../../lib/agent/identity.ts";
import { memoryPlatform, platforms } from "./support/platform.ts";

type TestPlatform = ReturnType<typeof memoryPlatform>;

class OneFile implements KnownPeersStorage {
  text: string | undefined;

  readText(): Promise<string | undefined> {
    return Promise.resolve(this.text);
  }

  appendLine(_path: string, line: string): Promise<void> {
    this.text = (this.text ?? "") + line + "\n";
    return Promise.resolve();
  }
}

function failsWith(code: MxpErrorCode, pattern: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof MxpError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, pattern);
    return true;
  };
}

const identityOf = (platform: TestPlatform): Identity => newIdentity(platform.crypto, platform.random);
const echo = (payload: Uint8Array): Uint8Array => payload;

/** The URL without its key. */
function withoutKey(url: string): string {
  const { host, port } = parseMxpUrl(url);
  return formatMxpUrl({ host, port });
}

for (const [name, makePlatform] of platforms) {
  test(`with the key in the URL the handshake is full and the peers know each other, ${name}`, async () => {
    const platform = makePlatform();
    const seen: PeerInfo[] = [];
    await using server = await serve(
      { listen: "127.0.0.1:0", platform, onConnection: (peer) => seen.push(peer) },
      echo,
    );
    await using client = await connect(server.url, { platform });
    assert.deepEqual([client.handshake.kind, client.handshake.pattern], ["full", "IK"]);
    assert.ok(client.handshake.ms > 0 && client.handshake.ms < 10_000);
    assert.match(client.handshake.suite, /^(ChaCha20-Poly1305|AES-256-GCM)$/);
    assert.equal(client.peer.publicKeyText, server.identity.publicKeyText);
    assert.equal(client.peer.fingerprint, server.identity.fingerprint);
    assert.equal(client.url, server.url);
    await client.call("x");
    assert.equal(seen.length, 1);
    assert.equal(seen[0].address.split(":")[1], client.local.split(":")[1]);
  });

  test(`a first contact asks for trust before a call can be made, ${name}`, async () => {
    const platform = makePlatform();
    await using server = await serve({ listen: "127.0.0.1:0", platform }, echo);
    const url = withoutKey(server.url);
    const asked: PeerInfo[] = [];
    await using client = await connect(url, {
      platform,
      trust: (peer) => {
        asked.push(peer);
        return Promise.resolve(true);
      },
    });
    assert.equal(asked.length, 1);
    assert.equal(asked[0].fingerprint, server.identity.fingerprint);
    assert.deepEqual([client.handshake.kind, client.handshake.pattern], ["first contact", "XX"]);
    assert.equal(client.url, server.url);
    assert.equal((await client.call("hi")).text(), "hi");
  });
}

test("a node that nothing vouches for is refused, and the error shows its key", async () => {
  const platform = memoryPlatform();
  await using server = await serve({ listen: "127.0.0.1:0", platform }, echo);
  const url = withoutKey(server.url);
  for (const options of [{}, { trust: "known" as const }, { trust: () => false }]) {
    await assert.rejects(connect(url, { platform, ...options }), (error) => {
      assert.ok(failsWith("key_mismatch", /is not known|was not trusted/)(error));
      assert.ok((error as MxpError).message.includes(server.identity.publicKeyText));
      assert.ok((error as MxpError).message.includes(server.identity.fingerprint));
      return true;
    });
  }
  assert.equal(server.stats().calls.total, 0);
  await assert.rejects(
    connect(url, { platform, trust: () => Promise.reject(new Error("no terminal")) }),
    /no terminal/,
  );
});

test("a trusted new key is remembered and makes the next handshake a full one", async () => {
  const platform = memoryPlatform();
  const file = new OneFile();
  const knownPeers = new KnownPeers("/cfg/known_peers", file);
  await using server = await serve({ listen: "127.0.0.1:0", platform }, echo);
  const url = withoutKey(server.url);
  await using first = await connect(url, { platform, knownPeers, trust: "new" });
  assert.equal(first.handshake.kind, "first contact");
  assert.equal(parseKnownPeers(file.text!).peers.length, 1);
  await using second = await connect(url, { platform, knownPeers });
  assert.equal(second.handshake.kind, "full");
});

test("a node that does not hold the key in the URL is a key mismatch, without a call being sent", async () => {
  const platform = memoryPlatform();
  await using server = await serve({ listen: "127.0.0.1:0", platform }, echo);
  const url = formatMxpUrl({ ...parseMxpUrl(server.url), publicKey: identityOf(platform).publicKey });
  await assert.rejects(connect(url, { platform }), failsWith("key_mismatch", /does not hold the key in the URL/));
  assert.equal(server.stats().calls.total, 0);
});

test("a known node whose key has changed is a key mismatch that names the line", async () => {
  const platform = memoryPlatform();
  const file = new OneFile();
  const knownPeers = new KnownPeers("/cfg/known_peers", file);
  await using server = await serve({ listen: "127.0.0.1:0", platform }, echo);
  const { host, port } = parseMxpUrl(server.url);
  await knownPeers.add(host, port, identityOf(platform).publicKey);
  for (const trust of ["known", "new"] as const) {
    await assert.rejects(
      connect(withoutKey(server.url), { platform, knownPeers, trust }),
      failsWith("key_mismatch", /had before.*\/cfg\/known_peers line 1.*changed.*delete that line/),
    );
  }
});

test("nobody listening is a failed connection that says what to check", async () => {
  const platform = memoryPlatform();
  const started = performance.now();
  await assert.rejects(
    connect("mxp://127.0.0.1:4444", { platform, trust: "new", timeoutMs: 100 }),
    failsWith("connect_failed", /no answer from 127\.0\.0\.1:4444 within 0\.1 s: is a node listening there\?/),
  );
  assert.ok(performance.now() - started < 5_000);
});

test("an address to which the system does not send is told apart from a node that does not answer", async () => {
  const platform = memoryPlatform();
  let refused = 0;
  const bindUdp: typeof platform.bindUdp = async (...args) => {
    const socket = await platform.bindUdp(...args);
    return Object.defineProperties(socket, {
      send: { value: () => void refused++ },
      sendErrors: { get: () => refused },
    });
  };
  await assert.rejects(
    connect("mxp://127.0.0.1:4444", { platform: { ...platform, bindUdp }, trust: "new", timeoutMs: 100 }),
    failsWith(
      "connect_failed",
      /within 0\.1 s: the operating system refused to send \d+ datagrams?; check the address/,
    ),
  );
  assert.ok(refused > 0);
});

test("connecting can be cancelled before and while it goes on", async () => {
  const platform = memoryPlatform();
  const options: ConnectOptions = { platform, trust: "new" };
  await assert.rejects(
    connect("mxp://127.0.0.1:4444", { ...options, signal: AbortSignal.abort() }),
    failsWith("cancelled", /127\.0\.0\.1:4444/),
  );
  await assert.rejects(
    connect("mxp://127.0.0.1:4444", { ...options, signal: AbortSignal.timeout(20) }),
    failsWith("cancelled", /127\.0\.0\.1:4444/),
  );
});

test("a malformed URL, an impossible time-out and impossible settings are refused at once", async () => {
  const platform = memoryPlatform();
  await assert.rejects(connect("http://x", { platform }), failsWith("usage", /unknown scheme/));
  await assert.rejects(connect("mxp://h", { platform, timeoutMs: 0 }), failsWith("usage", /timeoutMs/));
  await assert.rejects(
    connect("mxp://127.0.0.1", { platform, settings: { udpPayload: 5 } }),
    failsWith("usage", /udpPayload/),
  );
  await assert.rejects(connect("mxp://no.such.host", { platform }), failsWith("connect_failed", /no\.such\.host/));
});

test("only peers on the allow list get in", async () => {
  const platform = memoryPlatform();
  const [friend, stranger] = [identityOf(platform), identityOf(platform)];
  const lists = [
    [friend.publicKeyText],
    [friend.publicKey],
    (key: Uint8Array) => key[0] === friend.publicKey[0] && key[1] === friend.publicKey[1],
  ];
  for (const allow of lists) {
    await using server = await serve({ listen: "127.0.0.1:0", platform, allow }, echo);
    await using client = await connect(server.url, { platform, identity: friend });
    assert.equal((await client.call("in")).text(), "in");
    const refused = connect(server.url, { platform, identity: stranger }).then(async (client) => {
      try {
        await client.call("in");
      } finally {
        await client.close();
      }
    });
    await assert.rejects(refused, failsWith("refused", /does not allow this key/));
    assert.equal(server.stats().calls.total, 1);
  }
  await using strict = await serve({
    listen: "127.0.0.1:0",
    platform,
    allow: () => {
      throw new Error("the decision failed");
    },
  }, echo);
  await assert.rejects(
    connect(strict.url, { platform }).then((client) => client.call("in")),
    failsWith("refused", /./),
  );
});

test("a host with several addresses is reached at the one that answers", async () => {
  const base = memoryPlatform();
  const platform = { ...base, resolveHost: () => Promise.resolve([{ host: "127.0.0.9" }, { host: "127.0.0.1" }]) };
  await using server = await serve({ listen: "127.0.0.1:0", platform }, echo);
  await using client = await connect(formatMxpUrl({ ...parseMxpUrl(server.url), host: "node.example" }), { platform });
  assert.equal(client.peer.address, `127.0.0.1:${server.address.port}`);
  assert.equal(client.peer.host, "node.example");
  assert.equal((await client.call("found")).text(), "found");
  await assert.rejects(
    connect("mxp://node.example:4444", { platform, trust: "new", timeoutMs: 50 }),
    failsWith("connect_failed", /node\.example:4444/),
  );
});

test("a handshake survives losing any of its packets", async () => {
  for (let lost = 0; lost < 6; lost++) {
    let count = 0;
    const platform = memoryPlatform({ fault: () => count++ === lost ? [] : [0] });
    await using server = await serve({ listen: "127.0.0.1:0", platform }, echo);
    await using client = await connect(server.url, { platform });
    assert.equal((await client.call("x")).text(), "x", `packet ${lost} lost`);
  }
});

test("a node can be named by a URL object as well", async () => {
  const platform = memoryPlatform();
  await using server = await serve({ listen: "127.0.0.1:0", platform }, { agents: { "a b": echo } });
  await using client = await connect(new URL(`${server.url}/a%20b`), { platform });
  assert.equal((await client.call("x")).text(), "x");
  await assert.rejects(connect(new URL("http://127.0.0.1/")), failsWith("usage", /unknown scheme/));
});

test("what is no URL and no parts of one is wrong usage", async () => {
  for (const target of [5, null, undefined, {}, { host: 5, port: 1 }]) {
    await assert.rejects(connect(target as never), (error) => {
      assert.ok(error instanceof MxpError, String(error));
      assert.equal(error.code, "usage");
      return true;
    });
  }
});

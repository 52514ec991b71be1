import assert from "node:assert/strict";
import { test } from "node:test";
import { MxpError } from "../../lib/base/errors.ts";
import { toBase64Url } from "../../lib/base/bytes.ts";
import { formatKnownPeer, KnownPeers, type KnownPeersStorage, parseKnownPeers } from "../../lib/agent/known_peers.ts";

const KEY_A = new Uint8Array(32).fill(1);
const KEY_B = new Uint8Array(32).fill(2);
const A = toBase64Url(KEY_A);
const B = toBase64Url(KEY_B);

/** One file in memory. */
class OneFile implements KnownPeersStorage {
  text: string | undefined;
  reads = 0;

  constructor(text?: string) {
    this.text = text;
  }

  readText(): Promise<string | undefined> {
    this.reads++;
    return Promise.resolve(this.text);
  }

  appendLine(_path: string, line: string): Promise<void> {
    this.text = (this.text ?? "") + line + "\n";
    return Promise.resolve();
  }
}

test("lines are read with their host in canonical form, comments and blank lines skipped", () => {
  const { peers, problems } = parseKnownPeers(
    `# my nodes\n\n  Example.ORG:9001\t${A}   first contact  2026 \r\n[0::1]:7 ${B}\nhost ${A}\n`,
  );
  assert.deepEqual(problems, []);
  assert.deepEqual(peers, [
    { host: "example.org", port: 9001, publicKey: KEY_A, comment: "first contact 2026", line: 3 },
    { host: "::1", port: 7, publicKey: KEY_B, comment: "", line: 4 },
    { host: "host", port: 9000, publicKey: KEY_A, comment: "", line: 5 },
  ]);
});

test("a malformed line is reported with its number and costs nothing but itself", () => {
  const { peers, problems } = parseKnownPeers(
    [`a:1 ${A}`, "rubbish", `b:0 ${A}`, `c:99999 ${A}`, `d:1 ${A.slice(1)}`, `a:1 ${B}`, `a:1 ${A}`, `e:1 ${B}`].join(
      "\n",
    ),
  );
  assert.deepEqual(peers.map((peer) => peer.host), ["a", "e"]);
  assert.deepEqual(problems.map((problem) => problem.line), [2, 3, 4, 5, 6]);
  assert.match(problems[0].message, /line 2: "rubbish" is not HOST:PORT KEY/);
  assert.match(problems[2].message, /not a port/);
  assert.match(problems[3].message, /42 characters/);
  assert.match(problems[4].message, /another key for a:1 than in line 1/);
});

test("what was added is found, and adding it again writes nothing", async () => {
  const file = new OneFile();
  const known = new KnownPeers("known_peers", file);
  assert.equal(await known.lookup("h", 1), undefined);
  await known.add("h", 1, KEY_A, "first contact\nh:1 forged");
  assert.equal(file.text, `h:1 ${A} first contact h:1 forged\n`);
  await known.add("h", 1, KEY_A);
  assert.equal(file.text!.split("\n").length, 2);
  assert.deepEqual((await known.lookup("h", 1))?.publicKey, KEY_A);
  assert.equal(await known.lookup("h", 2), undefined);
});

test("another key for a known host is a key mismatch that names the line", async () => {
  const file = new OneFile(`x:1 ${B}\nh:1 ${A}\n`);
  const known = new KnownPeers("/cfg/known_peers", file);
  await assert.rejects(known.add("h", 1, KEY_B), (error) => {
    assert.ok(error instanceof MxpError);
    assert.equal(error.code, "key_mismatch");
    assert.match(error.message, /\/cfg\/known_peers line 2 holds another key for h:1/);
    return true;
  });
});

test("a file whose last line has no end is not damaged by an addition", async () => {
  const file = new OneFile(`h:1 ${A}`);
  await new KnownPeers("f", file).add("i", 2, KEY_B);
  assert.deepEqual(parseKnownPeers(file.text!).peers.map((peer) => peer.host), ["h", "i"]);
});

test("additions at the same moment leave whole lines", async () => {
  const file = new OneFile();
  const known = new KnownPeers("f", file);
  await Promise.all(Array.from({ length: 50 }, (_, i) => known.add(`host${i}`, 9000, KEY_A)));
  const { peers, problems } = parseKnownPeers(file.text!);
  assert.equal(peers.length, 50);
  assert.deepEqual(problems, []);
});

test("a file that cannot be read or written is a configuration error", async () => {
  const broken: KnownPeersStorage = {
    readText: () => Promise.reject(new Error("permission denied")),
    appendLine: () => Promise.reject(new Error("disk full")),
  };
  await assert.rejects(
    new KnownPeers("f", broken).lookup("h", 1),
    /cannot read the known-peers file f: permission denied/,
  );
  const full = new KnownPeers("f", { ...broken, readText: () => Promise.resolve(undefined) });
  await assert.rejects(full.add("h", 1, KEY_A), /cannot write the known-peers file f: disk full/);
});

test("problems of the file reach whoever looks up", async () => {
  const seen: string[] = [];
  const known = new KnownPeers("f", new OneFile(`rubbish\nh:1 ${A}\n`), (message) => seen.push(message));
  assert.notEqual(await known.lookup("h", 1), undefined);
  assert.deepEqual(seen, ['f: line 1: "rubbish" is not HOST:PORT KEY [comment]']);
});

test("a written line has no room for control characters", () => {
  assert.equal(formatKnownPeer("::1", 9, KEY_A, "a\u001b[31m\u0000 b"), `[::1]:9 ${A} a [31m b`);
});

test("a private key file is not taken for known peers, nor added to", async () => {
  const text = `# mxp private key\nmxp-private-key-v1 ${A}\n`;
  const file = new OneFile(text);
  const known = new KnownPeers("f", file);
  await assert.rejects(known.lookup("h", 1), /f is a private key file/);
  await assert.rejects(known.add("h", 1, KEY_A), (error: Error) => {
    assert.match(error.message, /f is a private key file/);
    assert.ok(!error.message.includes(A), "the key is not in the error");
    return true;
  });
  assert.equal(file.text, text);
});

test("a file of mostly unreadable lines is one error, and stays as it is", async () => {
  const text = `some\nother file\nh:1 ${A}\n`;
  const file = new OneFile(text);
  const seen: string[] = [];
  const known = new KnownPeers("f", file, (message) => seen.push(message));
  await assert.rejects(known.lookup("h", 1), /f does not look like a known-peers file: .*line 1/);
  await assert.rejects(known.add("i", 1, KEY_A), /f does not look like a known-peers file/);
  assert.deepEqual(seen, []);
  assert.equal(file.text, text);
});

test("lines that contradict each other do not make another file of it", async () => {
  const known = new KnownPeers("f", new OneFile(`h:1 ${A}\nh:1 ${B}\nh:1 ${B}\n`));
  assert.equal((await known.lookup("h", 1))?.line, 1);
});

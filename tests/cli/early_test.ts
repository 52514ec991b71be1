import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { assertFails, assertWorks, type Scratch, scratch, type TestNode } from "./nodes.ts";

const TICKETS = "mxp/known_peers.tickets";

/** A node that writes a line for each call that it executes, under the same key every time, on any port or a certain one. */
async function countingNode(here: Scratch, port = 0): Promise<TestNode> {
  const log = here.path("log");
  return await here.node(["--exec", `echo ran >> ${log}; cat`, "--listen", `127.0.0.1:${port}`]);
}

async function executions(here: Scratch): Promise<number> {
  return (await readFile(here.path("log"), "utf8").catch(() => "")).split("\n").length - 1;
}

async function early(here: Scratch, url: string, data: string): Promise<boolean> {
  const result = await here.mxp(["call", url, data, "--early", "--json"]);
  assertWorks(result);
  const answer = JSON.parse(result.stdout);
  assert.equal(answer.text, data);
  return answer.early;
}

async function copyTickets(here: Scratch): Promise<void> {
  await rm(here.path("copy"), { recursive: true, force: true });
  await cp(here.path(TICKETS), here.path("copy"), { recursive: true });
}

/** Puts tickets that were used back into the store. */
async function restoreTickets(here: Scratch): Promise<void> {
  await rm(here.path(TICKETS), { recursive: true, force: true });
  await cp(here.path("copy"), here.path(TICKETS), { recursive: true });
}

/** Passes datagrams on to a node, and keeps a copy of those that clients send. */
class Tap implements Disposable {
  readonly sent: Uint8Array[] = [];
  readonly #front: Socket = createSocket("udp4");
  readonly #back: Socket = createSocket("udp4");
  readonly #to: number;
  #client = 0;

  constructor(to: number) {
    this.#to = to;
    this.#front.on("message", (bytes, from) => {
      this.#client = from.port;
      this.sent.push(new Uint8Array(bytes));
      this.#back.send(bytes, to, "127.0.0.1");
    });
    this.#back.on("message", (bytes) => this.#front.send(bytes, this.#client, "127.0.0.1"));
  }

  /** Its port. */
  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#back.bind(0, "127.0.0.1", resolve));
    await new Promise<void>((resolve) => this.#front.bind(0, "127.0.0.1", resolve));
    return this.#front.address().port;
  }

  /** Sends what clients sent once more, from the address from which it came to the node, and from another one. */
  async replay(): Promise<void> {
    const other = createSocket("udp4");
    for (const socket of [this.#back, other]) {
      for (const bytes of this.sent) {
        await new Promise<void>((resolve) => socket.send(bytes, this.#to, "127.0.0.1", () => resolve()));
      }
    }
    other.close();
  }

  [Symbol.dispose](): void {
    this.#front.close();
    this.#back.close();
  }
}

function portOf(url: string): number {
  return Number(url.slice(url.lastIndexOf(":") + 1));
}

test("--early keeps tickets beside the known peers, and the second call is sent along with the first packet", async () => {
  await using here = await scratch();
  await using node = await countingNode(here);
  assert.equal(await early(here, node.url, "one"), false, "there was no ticket");
  assert.ok((await readdir(here.path(TICKETS))).length > 0);
  assert.equal(await early(here, node.url, "two"), true);
  assert.equal(await early(here, node.url, "three"), true);
  assert.equal(await executions(here), 3);
  const timing = await here.mxp(["call", node.url, "four", "--early", "--timing"]);
  assert.match(timing.stderr, /handshake .*\(resumed, NNpsk0, /);
  assert.equal(timing.stdout, "four");
});

test("without --early no tickets are kept or used", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo"]);
  for (let i = 0; i < 2; i++) {
    const result = await here.mxp(["call", node.url, "x", "--timing"]);
    assert.match(result.stderr, /\(full, IK, /);
  }
  await assert.rejects(readdir(here.path(TICKETS)));
});

test("a ticket that is used a second time executes nothing twice, also after kill -9 of the node", async () => {
  await using here = await scratch();
  let node = await countingNode(here);
  const port = portOf(node.url);
  try {
    await early(here, node.url, "one");
    await copyTickets(here);
    assert.equal(await early(here, node.url, "two"), true);
    await restoreTickets(here);
    assert.equal(await early(here, node.url, "three"), false, "the ticket was used");
    assert.equal(await executions(here), 3);
    node.cli.child.kill("SIGKILL");
    await node.cli.done.catch(() => {});
    node = await countingNode(here, port);
    await restoreTickets(here);
    assert.equal(await early(here, node.url, "four"), false, "the ticket is unknown");
    assert.equal(await executions(here), 4);
    assert.equal(await early(here, node.url, "five"), true, "with a ticket of the new process");
  } finally {
    await node[Symbol.asyncDispose]();
  }
});

test("recorded packets with an early call execute nothing: at once, and after kill -9 of the node", async () => {
  await using here = await scratch();
  let node = await countingNode(here);
  const port = portOf(node.url);
  using tap = new Tap(port);
  const url = node.url.replace(/:\d+$/, `:${await tap.listen()}`);
  try {
    await early(here, url, "one");
    tap.sent.length = 0;
    assert.equal(await early(here, url, "two"), true);
    const hellos = tap.sent.filter((bytes) => bytes.length === 1200 && bytes[32] === 1 && bytes[67] === 3);
    assert.equal(hellos.length >= 1, true, "the hello was recorded");
    for (let i = 0; i < 3; i++) await tap.replay();
    // What is answered after them was handled after them.
    await early(here, node.url, "three");
    assert.equal(await executions(here), 3);
    node.cli.child.kill("SIGKILL");
    await node.cli.done.catch(() => {});
    node = await countingNode(here, port);
    for (let i = 0; i < 3; i++) await tap.replay();
    await early(here, node.url, "four");
    assert.equal(await executions(here), 4);
  } finally {
    await node[Symbol.asyncDispose]();
  }
});

test("a node with --no-early executes the call after the handshake", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo", "--no-early"]);
  for (let i = 0; i < 2; i++) assert.equal(await early(here, node.url, "x"), false);
  const timing = await here.mxp(["call", node.url, "x", "--early", "--timing"]);
  assert.match(timing.stderr, /resumed/);
});

test("tickets that are damaged are a warning, and the call works", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo"]);
  await early(here, node.url, "one");
  for (const name of await readdir(here.path(TICKETS))) await writeFile(here.path(`${TICKETS}/${name}`), "nonsense");
  const result = await here.mxp(["call", node.url, "two", "--early"]);
  assertWorks(result);
  assert.equal(result.stdout, "two");
  assert.match(result.stderr, /is no ticket/);
});

test("an early call that nobody answers exits as any other that cannot connect", async () => {
  await using here = await scratch();
  const node = await here.node(["--echo"]);
  await early(here, node.url, "one");
  await node[Symbol.asyncDispose]();
  assertFails(await here.mxp(["call", node.url, "two", "--early", "--timeout", "2500ms"]), 4, /no answer/);
});

test("ping --resume shows that the handshake was resumed", async () => {
  await using here = await scratch();
  await using node = await here.node(["--echo"]);
  for (const kind of ["full", "resumed"]) {
    const result = await here.mxp(["ping", node.url, "--resume", "-c", "1", "--json"]);
    assertWorks(result);
    assert.equal(JSON.parse(result.stdout).handshake.kind, kind);
  }
});

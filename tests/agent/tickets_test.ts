import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { TicketFiles, ticketFiles, ticketsBeside } from "../../mod.ts";
import { type KeptTicket, MemoryTickets, type TicketOwner, type TicketStore } from "../../lib/agent/tickets/tickets.ts";

const NODE: TicketOwner = { node: new Uint8Array(32).fill(1), client: undefined };
const NAMED: TicketOwner = { node: new Uint8Array(32).fill(1), client: new Uint8Array(32).fill(2) };
const OTHER: TicketOwner = { node: new Uint8Array(32).fill(3), client: undefined };
const HOUR = 3_600_000;
const START = Date.now();

function ticket(number: number, expiresAt = START + HOUR + number): KeptTicket {
  return {
    ticket: new Uint8Array(108).fill(number),
    psk: new Uint8Array(32).fill(number),
    address: "127.0.0.1",
    expiresAt,
  };
}

/** A folder that is taken away at the end. */
async function folder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "mxp-tickets-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

async function numbers(store: TicketStore, owner: TicketOwner): Promise<(number | undefined)[]> {
  const found: (number | undefined)[] = [];
  for (let i = 0; i < 10; i++) {
    const taken = await store.take(owner);
    if (taken === undefined) break;
    found.push(taken.ticket[0]);
  }
  return found;
}

for (const kind of ["memory", "files"] as const) {
  const make = (path: string): TicketStore =>
    kind === "memory" ? new MemoryTickets() : ticketFiles(join(path, "tickets"));

  test(`a ticket comes out as it went in, once, and for its owner alone (${kind})`, async () => {
    await using here = await folder();
    const store = make(here.path);
    const kept = ticket(7);
    await store.put(NODE, kept);
    assert.equal(await store.take(NAMED), undefined, "another client");
    assert.equal(await store.take(OTHER), undefined, "another node");
    assert.deepEqual(await store.take(NODE), { ...kept, left: 0 });
    assert.equal(await store.take(NODE), undefined);
  });

  test(`the newest ticket goes first, four of them are kept, and a node's can be forgotten (${kind})`, async () => {
    await using here = await folder();
    const store = make(here.path);
    for (const number of [3, 1, 6, 2, 5, 4]) await store.put(NODE, ticket(number));
    await store.put(OTHER, ticket(9));
    assert.equal((await store.take(NODE))?.left, 3);
    assert.deepEqual(await numbers(store, NODE), [5, 4, 3]);
    await store.put(NODE, ticket(1));
    await store.forget(NODE);
    assert.deepEqual([await numbers(store, NODE), await numbers(store, OTHER)], [[], [9]]);
  });

  test(`a ticket whose time is over is not given (${kind})`, async () => {
    await using here = await folder();
    const store = make(here.path);
    await store.put(NODE, ticket(1, Date.now() - 1));
    assert.equal(await store.take(NODE), undefined);
  });
}

test("of many processes that want the same tickets, each ticket goes to one", async () => {
  await using here = await folder();
  const stores = Array.from({ length: 8 }, () => ticketFiles(here.path));
  for (let number = 1; number <= 4; number++) await stores[0].put(NODE, ticket(number));
  const taken = await Promise.all(stores.flatMap((store) => [store.take(NODE), store.take(NODE)]));
  const found = taken.filter((each) => each !== undefined).map((each) => each.ticket[0]);
  assert.deepEqual(found.sort(), [1, 2, 3, 4]);
  assert.deepEqual(await readdir(here.path), []);
});

test("tickets are in files that only their owner can read, in a folder that only their owner can enter", async () => {
  if (process.platform === "win32") return;
  await using here = await folder();
  const store = ticketFiles(ticketsBeside(join(here.path, "known_peers")));
  await store.put(NODE, ticket(1));
  const [name] = await readdir(store.folder);
  assert.equal((await stat(join(store.folder, name))).mode & 0o777, 0o600);
  assert.equal((await stat(store.folder)).mode & 0o777, 0o700);
  assert.equal((await readFile(join(store.folder, name), "utf8")).split(" ").length, 4);
});

test("what is no ticket is passed over with a warning, and the good one behind it is found", async () => {
  await using here = await folder();
  const problems: string[] = [];
  const store = ticketFiles(here.path, (problem) => problems.push(problem));
  await store.put(NODE, ticket(1));
  const [good] = await readdir(here.path);
  const [node, client] = good.split(".");
  const text = await readFile(join(here.path, good), "utf8");
  const [tag, sealed, psk, address] = text.trim().split(" ");
  const bad = [
    "",
    "mxp-ticket-v2" + text.slice(tag.length),
    `${tag} ${sealed} ${psk}`,
    `${tag} ${sealed} ${psk.slice(4)} ${address}`,
    `${tag} ${sealed} ${psk} example.com`,
    `${tag} ${"A".repeat(400)} ${psk} ${address}`,
    `${tag} ?? ${psk} ${address}`,
  ];
  for (const [i, content] of bad.entries()) {
    const name = `${node}.${client}.${Date.now() + 2 * HOUR + i}.${String(i).padStart(16, "0")}`;
    await writeFile(join(here.path, name), content, { mode: 0o600 });
  }
  await writeFile(join(here.path, "something else"), "of somebody else", { mode: 0o600 });
  assert.equal((await store.take(NODE))?.ticket[0], 1);
  assert.equal(problems.length, bad.length, problems.join("\n"));
  assert.ok(problems.every((problem) => !problem.includes(psk)), "no secrets in warnings");
  assert.deepEqual(await readdir(here.path), ["something else"]);
});

test("a ticket that others can read is not used", async () => {
  if (process.platform === "win32") return;
  await using here = await folder();
  const problems: string[] = [];
  const store = ticketFiles(here.path, (problem) => problems.push(problem));
  await store.put(NODE, ticket(1));
  const path = join(here.path, (await readdir(here.path))[0]);
  const text = await readFile(path, "utf8");
  await rm(path);
  await writeFile(path, text, { mode: 0o644 });
  assert.equal(await store.take(NODE), undefined);
  assert.match(problems.join(), /no ticket that only you can read/);
});

test("a store that cannot be read or written is one warning in words, and no more", async () => {
  await using here = await folder();
  const problems: string[] = [];
  await writeFile(join(here.path, "tickets"), "a file where the folder should be");
  const store = ticketFiles(join(here.path, "tickets"), (problem) => problems.push(problem));
  await store.put(NODE, ticket(1));
  assert.equal(await store.take(NODE), undefined);
  await store.forget(NODE);
  assert.deepEqual(problems, [`cannot keep a ticket in ${join(here.path, "tickets")}: it is no folder`]);
});

test("a folder holds a bounded number of tickets", async () => {
  const files = new Map<string, string>();
  const storage = {
    list: () => Promise.resolve([...files.keys()]),
    read: (path: string) => Promise.resolve(files.get(path.slice(2))),
    write: (path: string, text: string) => Promise.resolve(void files.set(path.slice(2), text)),
    remove: (path: string) => Promise.resolve(files.delete(path.slice(2))),
  };
  let counter = 0;
  const store = new TicketFiles("f", storage, (out) => new DataView(out.buffer).setUint32(0, counter++));
  for (let i = 0; i < 1100; i++) {
    const node = new Uint8Array(32);
    new DataView(node.buffer).setUint32(0, i);
    await store.put({ node, client: undefined }, ticket(1));
  }
  assert.equal(files.size, 1024);
});

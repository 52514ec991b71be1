import assert from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "../../lib/base/bytes.ts";
import { micros, seconds } from "../../lib/base/time.ts";
import { selectProvider } from "../../lib/crypto/select.ts";
import { SeededRandom } from "../../lib/testing/seeded_random.ts";
import {
  type OpenedTicket,
  TICKET_LENGTH,
  type TicketContents,
  TicketVault,
} from "../../lib/transport/ticket_vault.ts";

const crypto = selectProvider();
const LIFETIME = seconds(3600);
const START = micros(5_000_000);
const CONTENTS: TicketContents = {
  psk: new Uint8Array(32).fill(7),
  peerKey: new Uint8Array(32).fill(9),
  authenticatedAt: micros(1234),
};

function makeVault(seed = 1): TicketVault {
  return new TicketVault(crypto, new SeededRandom(seed), LIFETIME);
}

function opened(result: OpenedTicket | string): OpenedTicket {
  assert.ok(typeof result !== "string", `refused: ${result}`);
  return result;
}

test("a ticket says what was put into it, and works once", () => {
  const vault = makeVault();
  const ticket = vault.issue(START, CONTENTS);
  assert.equal(ticket.length, TICKET_LENGTH);
  const first = opened(vault.open(START, ticket)), second = opened(vault.open(START, ticket));
  const { spend: _, ...contents } = first;
  assert.deepEqual(contents, CONTENTS);
  assert.equal(first.spend(), true);
  assert.equal(second.spend(), false, "opened before the other was spent, spent after it");
  assert.equal(vault.open(START, ticket), "used");
});

test("a ticket with any byte changed is refused, and the real one still works", () => {
  const vault = makeVault();
  const ticket = vault.issue(START, CONTENTS);
  vault.issue(START, CONTENTS);
  for (let at = 0; at < ticket.length; at++) {
    const changed = ticket.slice();
    changed[at] ^= 1;
    assert.match(String(vault.open(START, changed)), at < 8 ? /^unknown_key$/ : /^malformed$/, `byte ${at}`);
  }
  for (const length of [0, 1, TICKET_LENGTH - 1]) assert.equal(vault.open(START, ticket.slice(0, length)), "malformed");
  assert.equal(opened(vault.open(START, ticket)).spend(), true);
});

test("a ticket is good until its lifetime is over, across a change of the key", () => {
  const vault = makeVault();
  const late = micros(START + LIFETIME - 1);
  vault.issue(START, CONTENTS);
  const ticket = vault.issue(late, CONTENTS);
  const next = vault.issue(micros(START + LIFETIME), CONTENTS);
  assert.notDeepEqual(next.slice(0, 8), ticket.slice(0, 8), "another key");
  assert.equal(typeof vault.open(micros(late + LIFETIME - 1), ticket), "object");
  assert.equal(vault.open(micros(late + LIFETIME), ticket), "expired");
});

test("a key that was replaced twice is forgotten with all of its tickets", () => {
  const vault = makeVault();
  const ticket = vault.issue(START, CONTENTS);
  for (let i = 1; i <= 2; i++) vault.issue(micros(START + i * LIFETIME), CONTENTS);
  assert.equal(vault.open(START, ticket), "unknown_key");
});

test("another vault, as after a restart, knows none of the tickets", () => {
  const ticket = makeVault(1).issue(START, CONTENTS);
  const restarted = makeVault(2);
  restarted.issue(START, CONTENTS);
  assert.equal(restarted.open(START, ticket), "unknown_key");
});

test("tickets tell neither how many there were nor which came after which", () => {
  const vault = makeVault();
  const tickets = Array.from({ length: 200 }, () => vault.issue(START, CONTENTS));
  assert.equal(new Set(tickets.map((ticket) => toHex(ticket.subarray(8)))).size, 200);
  const numbers = tickets.map((ticket) => ticket[8]);
  const steps = numbers.slice(1).filter((number, i) => number === (numbers[i] + 1) % 256).length;
  assert.ok(steps < 20, `${steps} of 199 count up by one`);
  for (const ticket of tickets) assert.equal(opened(vault.open(START, ticket)).spend(), true);
});

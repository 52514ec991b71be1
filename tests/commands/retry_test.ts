import assert from "node:assert/strict";
import { test } from "node:test";
import type { Console } from "../../commands/console.ts";
import { Deadline } from "../../commands/deadline.ts";
import { CliError } from "../../commands/errors.ts";
import { Attempts, checkRetryFlags, type RetryFlags } from "../../commands/retry.ts";
import { type Client, MxpError } from "../../mod.ts";

const client = {} as Client;
const nobody = new MxpError("connect_failed", "no answer from there", { retryable: true });

function attempts(flags: RetryFlags): { attempts: Attempts; notes: string[] } {
  const notes: string[] = [];
  const console = { debug: (text: string) => notes.push(text) } as unknown as Console;
  return { attempts: new Attempts(flags, console), notes };
}

const { signal } = new AbortController();

test("with --retry, connecting is tried again where it may help, and shares the attempts with the call", async () => {
  const { attempts: some, notes } = attempts({ retry: 3 });
  const deadlines: Deadline[] = [];
  const found = await some.connect(new Deadline(60_000), signal, (deadline) => {
    deadlines.push(deadline);
    return deadlines.length < 3 ? Promise.reject(nobody) : Promise.resolve(client);
  });
  assert.equal(found, client);
  assert.equal(some.failed, 2);
  assert.deepEqual(notes.map((note) => note.replace(/ in .*/, "")), [
    "no answer from there; attempt 2",
    "no answer from there; attempt 3",
  ]);
  assert.deepEqual(deadlines.map(({ forConnecting }) => forConnecting), [2_000, 2_000, 2_000], "while some are left");
  // Each is rounded up to a millisecond.
  assert.ok(deadlines[2].left <= deadlines[0].left + 2, "what is left of the time, no more");
  const { retry, hedge, idempotent } = await some.options(false);
  assert.deepEqual([typeof retry === "object" && retry.attempts, hedge, idempotent], [1, undefined, false]);
});

test("an attempt at connecting that nobody answers leaves time for the others, and the last one has all of it", async () => {
  const limits = async (deadline: Deadline): Promise<number[]> => {
    const seen: number[] = [];
    await assert.rejects(
      attempts({ retry: 1 }).attempts.connect(deadline, signal, ({ forConnecting }) => {
        seen.push(forConnecting);
        return Promise.reject(nobody);
      }),
    );
    return seen;
  };
  assert.deepEqual(await limits(new Deadline(undefined)), [2_000, 10_000]);
  assert.deepEqual(await limits(new Deadline(0)), [2_000, 10_000]);
  const [first, last] = await limits(new Deadline(3_000));
  assert.ok(first <= 1_500 && last <= 3_000 && last > first, `${first} ${last}`);
  // As for events, where each attempt may take --timeout.
  assert.deepEqual(await limits(new Deadline(0, 300)), [300, 300]);
});

test("without --retry, after enough attempts, and where it cannot help, the first failure counts", async () => {
  const count = async (flags: RetryFlags, error: unknown): Promise<number> => {
    let made = 0;
    const { attempts: some } = attempts(flags);
    const failing = some.connect(new Deadline(60_000), signal, () => {
      made++;
      return Promise.reject(error);
    });
    await assert.rejects(failing, (caught) => caught === error);
    return made;
  };
  assert.equal(await count({}, nobody), 1);
  assert.equal(await count({ retry: 2 }, nobody), 3);
  assert.equal(await count({ retry: 2 }, new MxpError("key_mismatch", "another key")), 1);
  assert.equal(await count({ retry: 2 }, new CliError("unknown_key", "never met")), 1);
});

test("a call without repetitions is made as ever, and the options become those of the library", async () => {
  assert.deepEqual(await attempts({}).attempts.options(false), { idempotent: false });
  assert.deepEqual(await attempts({ idempotencyKey: "k" }).attempts.options(true), {
    idempotent: true,
    idempotencyKey: "k",
  });
  const { hedge, idempotent } = await attempts({ hedge: 50, idempotent: true }).attempts.options(false);
  assert.deepEqual([hedge, idempotent], [{ afterMs: 50 }, true]);
  checkRetryFlags({ hedge: 50 }, true);
  assert.throws(() => checkRetryFlags({ hedge: 50 }, false), /say --idempotent/);
});

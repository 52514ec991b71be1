import assert from "node:assert/strict";
import { once } from "node:events";
import process from "node:process";
import test from "node:test";
import { CAN_RUN_CHILDREN, endOf, startChild, textOf } from "./children.ts";

const testWithChild = CAN_RUN_CHILDREN ? test : skipped;
if (!CAN_RUN_CHILDREN) console.error("skipped: standard streams (bundled, the child process's source is not at hand)");

function skipped(_name: string, _body: () => Promise<void>): void {}

testWithChild("standard input comes whole, and standard output leaves whole", async () => {
  const bytes = new Uint8Array(3_000_000);
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 31 + (i >> 8)) & 255;
  const child = startChild("copy");
  child.stdin!.end(bytes);
  const { code, stdout, stderr } = await endOf(child);
  assert.equal(stderr, "");
  assert.equal(code, 0);
  assert.equal(stdout.length, bytes.length);
  assert.ok(stdout.every((byte, i) => byte === bytes[i]));
});

testWithChild("a reader that takes its time does not stop the program", async () => {
  const child = startChild("patient");
  child.stdin!.end();
  // Nobody reads standard output before the child has said that it goes on, or has had the time to.
  let timer: ReturnType<typeof setTimeout> | undefined;
  const said = await Promise.race([
    once(child.stderr!, "data").then(([text]) => textOf(text)),
    new Promise((resolve) => timer = setTimeout(() => resolve("nothing"), 10_000)),
  ]);
  clearTimeout(timer);
  const { code, stdout } = await endOf(child);
  assert.deepEqual([said, code, stdout.length], ["meanwhile\n", 0, 1_000_000]);
});

testWithChild("an empty standard input is empty", async () => {
  const child = startChild("count");
  child.stdin!.end();
  const { code, stdout } = await endOf(child);
  assert.equal(textOf(stdout), "0\n");
  assert.equal(code, 0);
});

testWithChild("standard input above the limit is refused without waiting for its end", async () => {
  const child = startChild("limit");
  child.stdin!.on("error", () => {});
  child.stdin!.write(new Uint8Array(5000));
  const { code, stdout } = await endOf(child);
  child.stdin!.destroy();
  assert.equal(textOf(stdout), "too_large: standard input is longer than the maximum of 1000 bytes\n");
  assert.equal(code, 0);
});

testWithChild("a reader that goes away is a result, not an error", async () => {
  const child = startChild("write");
  child.stdout!.once("data", () => child.stdout!.destroy());
  const { code, stderr } = await endOf(child);
  assert.equal(stderr, "closed, and then closed\n");
  assert.equal(code, 0);
});

testWithChild("a pipe is no terminal", async () => {
  const child = startChild("terminal");
  assert.equal(textOf((await endOf(child)).stdout), "false false false\n");
});

testWithChild("signals call back for as long as somebody listens, and the process ends by itself", async () => {
  const child = startChild("signal");
  child.stdout!.on("data", (chunk: Uint8Array) => {
    // Not child.kill(), which works only once in Deno.
    if (/ready|signal 1/.test(textOf(chunk))) process.kill(child.pid!, "SIGTERM");
  });
  const { code, stdout } = await endOf(child);
  assert.equal(textOf(stdout), "ready\nsignal 1\nsignal 2\n");
  assert.equal(code, 0);
});

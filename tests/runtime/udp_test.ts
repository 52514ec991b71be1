import assert from "node:assert/strict";
import test from "node:test";
import {
  bindBunUdp,
  bindDenoUdp,
  bindNodeUdp,
  defaultBindUdp,
  detectRuntime,
  hasBunUdp,
  hasDenoUdp,
  MemoryNetwork,
  runtimeVersion,
} from "../../lib/runtime/mod.ts";
import { udpContract } from "./udp_contract.ts";
import { CAN_RUN_CHILDREN, endOf, startChild, textOf } from "./children.ts";
import { Recorder } from "./udp_harness.ts";

const runtime = detectRuntime();
if (hasDenoUdp()) udpContract("deno", bindDenoUdp);
if (hasBunUdp()) udpContract("bun", bindBunUdp);
udpContract(`node:dgram on ${runtime}`, bindNodeUdp, { losesOneAfterRefusal: runtime === "bun" });
udpContract("memory", new MemoryNetwork().bind);
if (runtime === "deno" && !hasDenoUdp()) console.error("skipped: the deno adapter (start with --unstable-net)");

test("the runtime's own adapter is taken where there is one", async () => {
  using recorder = await Recorder.bind(defaultBindUdp());
  assert.equal(recorder.socket.adapter, hasDenoUdp() ? "deno" : hasBunUdp() ? "bun" : "node");
});

test("the runtime is known with its version", () => {
  assert.match(runtimeVersion(), new RegExp(`^${runtime} \\d+\\.\\d+`));
});

test("adapters of other runtimes refuse with the code ENOSYS", async () => {
  if (!hasDenoUdp()) await assert.rejects(Recorder.bind(bindDenoUdp), { code: "ENOSYS" });
  if (!hasBunUdp()) await assert.rejects(Recorder.bind(bindBunUdp), { code: "ENOSYS" });
});

test("adapters of one runtime understand each other", async () => {
  using own = await Recorder.bind(defaultBindUdp());
  using node = await Recorder.bind(bindNodeUdp);
  const echoed = new Promise<Uint8Array>((resolve) => own.onDatagram = (bytes) => resolve(bytes.slice()));
  node.onDatagram = (bytes, remote) => {
    node.socket.send(bytes.slice(), remote);
    void node.socket.flush();
  };
  own.socket.send(new Uint8Array([1, 2, 3]), node.socket.local);
  await own.socket.flush();
  assert.deepEqual(await echoed, new Uint8Array([1, 2, 3]));
});

test("a process ends by itself when its sockets are closed and its wake-ups cancelled", async () => {
  if (!CAN_RUN_CHILDREN) return console.error("skipped: the child process's source is not at hand");
  const child = startChild("sockets");
  child.stdin!.end();
  const { code, stdout, stderr } = await endOf(child);
  assert.equal(stderr, "");
  assert.equal(textOf(stdout), "done\n");
  assert.equal(code, 0);
});

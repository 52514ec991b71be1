import assert from "node:assert/strict";
import { test } from "node:test";
import { type CallContext, connect, generateIdentity, MxpError, type Priority, serve } from "../../mod.ts";
import { StreamCommands } from "../../lib/transport/stream_commands.ts";
import { Scheduler, StreamClass } from "../../lib/transport/scheduler.ts";
import { VirtualTime } from "./support/virtual_time.ts";

/** The classes of the streams that anybody opens while something is done, and those in which anybody sends on streams. */
async function classesOf(work: () => Promise<unknown>): Promise<{ opened: number[]; sent: number[] }> {
  const opened: number[] = [], sent = new Set<number>();
  const { openStream } = StreamCommands.prototype, { charge } = Scheduler.prototype;
  Scheduler.prototype.charge = function (streamClass, bytes) {
    sent.add(streamClass);
    charge.call(this, streamClass, bytes);
  };
  StreamCommands.prototype.openStream = function (unidirectional, streamClass) {
    opened.push(streamClass);
    return openStream.call(this, unidirectional, streamClass);
  };
  try {
    await work();
  } finally {
    StreamCommands.prototype.openStream = openStream;
    Scheduler.prototype.charge = charge;
  }
  return { opened, sent: [...sent] };
}

test("how urgent a request is decides the class of its stream, of the answer, and of both at the node that passes them on; its handler is told", async () => {
  // So that nothing is sent twice because this machine was busy.
  const time = new VirtualTime();
  const { platform } = time;
  let seen: CallContext | undefined;
  let taken = (): void => {};
  const call = (_payload: Uint8Array, context: CallContext): string => {
    seen = context;
    return "";
  };
  const handleStream = (_stream: unknown, context: CallContext): void => void (seen = context);
  const server = await time.until(serve({ listen: "127.0.0.1:0", platform, registry: true }, {
    call,
    stream: handleStream,
    event: (_topic, _data, context) => {
      seen = context;
      taken();
    },
  }));
  const agent = await time.until(connect(server.url, { platform, identity: generateIdentity() }));
  await time.until(agent.register({ name: "agent" }, { handlers: { call, stream: handleStream } }));
  const client = await time.until(connect(server.url, { platform }));
  const { INTERACTIVE, BULK } = StreamClass;
  const whenTaken = (emitted: Promise<void>): Promise<unknown> =>
    Promise.all([emitted, new Promise<void>((resolve) => taken = resolve)]);
  const stream = async (priority?: Priority, agent?: string): Promise<void> => {
    const stream = client.stream({ priority, agent });
    await stream.close();
    await stream.bytes();
  };
  const cases: [string, Priority | undefined, number[], (priority?: Priority) => Promise<unknown>][] = [
    ["call", undefined, [INTERACTIVE], (priority) => client.call("", { priority })],
    ["call", "bulk", [BULK], (priority) => client.call("", { priority })],
    ["relayed", undefined, [INTERACTIVE, INTERACTIVE], (priority) => client.call("", { agent: "agent", priority })],
    ["relayed", "bulk", [BULK, BULK], (priority) => client.call("", { agent: "agent", priority })],
    ["stream", undefined, [INTERACTIVE], stream],
    ["stream", "bulk", [BULK], stream],
    ["relayed stream", undefined, [INTERACTIVE, INTERACTIVE], (priority) => stream(priority, "agent")],
    ["relayed stream", "bulk", [BULK, BULK], (priority) => stream(priority, "agent")],
    ["event", undefined, [BULK], (priority) => whenTaken(client.emit("t", "", { priority }))],
    ["event", "interactive", [INTERACTIVE], (priority) => whenTaken(client.emit("t", "", { priority }))],
    ["event", undefined, [INTERACTIVE], (priority) => client.emit("t", "", { priority, ack: true })],
    ["event", "bulk", [BULK], (priority) => client.emit("t", "", { priority, ack: true })],
  ];
  for (const [what, priority, expected, work] of cases) {
    seen = undefined;
    const { opened, sent } = await classesOf(() => time.until(work(priority)));
    assert.deepEqual(opened, expected, `${what} ${priority}`);
    assert.deepEqual(sent, [expected[0]], `${what} ${priority}, the answer included`);
    assert.equal(seen!.priority, priority, what);
  }
  await assert.rejects(
    client.call("", { priority: "high" as Priority }),
    (error) =>
      error instanceof MxpError && error.code === "usage" && /interactive or bulk, not "high"/.test(error.message),
  );
  for (const closing of [client.close(), agent.close(), server.close()]) await time.until(closing);
});

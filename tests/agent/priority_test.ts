import assert from "node:assert/strict";
import { test } from "node:test";
import { type CallContext, connect, generateIdentity, MxpError, type Priority, serve } from "../../mod.ts";
import { StreamCommands } from "../../lib/transport/stream_commands.ts";
import { StreamClass } from "../../lib/transport/scheduler.ts";
import { memoryPlatform } from "./support/platform.ts";

/** The classes of the streams that anybody opens while something is done. */
async function classesOf(work: () => Promise<unknown>): Promise<number[]> {
  const classes: number[] = [];
  const { openStream } = StreamCommands.prototype;
  StreamCommands.prototype.openStream = function (unidirectional, streamClass) {
    classes.push(streamClass);
    return openStream.call(this, unidirectional, streamClass);
  };
  try {
    await work();
  } finally {
    StreamCommands.prototype.openStream = openStream;
  }
  return classes;
}

test("how urgent a request is decides the class of its stream, at the node that passes it on, too, and its handler is told", async () => {
  const platform = memoryPlatform();
  let seen: CallContext | undefined;
  let taken = (): void => {};
  const call = (_payload: Uint8Array, context: CallContext): string => {
    seen = context;
    return "";
  };
  await using server = await serve({ listen: "127.0.0.1:0", platform, registry: true }, {
    call,
    stream: (_stream, context) => void (seen = context),
    event: (_topic, _data, context) => {
      seen = context;
      taken();
    },
  });
  await using agent = await connect(server.url, { platform, identity: generateIdentity() });
  await using _registration = await agent.register({ name: "agent" }, { handlers: { call } });
  await using client = await connect(server.url, { platform });
  const { INTERACTIVE, BULK } = StreamClass;
  const whenTaken = (emitted: Promise<void>): Promise<unknown> =>
    Promise.all([emitted, new Promise<void>((resolve) => taken = resolve)]);
  const stream = async (priority?: Priority): Promise<void> => {
    const stream = client.stream({ priority });
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
    ["event", undefined, [BULK], (priority) => whenTaken(client.emit("t", "", { priority }))],
    ["event", "interactive", [INTERACTIVE], (priority) => whenTaken(client.emit("t", "", { priority }))],
    ["event", undefined, [INTERACTIVE], (priority) => client.emit("t", "", { priority, ack: true })],
    ["event", "bulk", [BULK], (priority) => client.emit("t", "", { priority, ack: true })],
  ];
  for (const [what, priority, expected, work] of cases) {
    seen = undefined;
    assert.deepEqual(await classesOf(() => work(priority)), expected, `${what} ${priority}`);
    assert.equal(seen!.priority, priority, what);
  }
  await assert.rejects(
    client.call("", { priority: "high" as Priority }),
    (error) =>
      error instanceof MxpError && error.code === "usage" && /interactive or bulk, not "high"/.test(error.message),
  );
});

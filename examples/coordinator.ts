// A coordinator: one call comes in, three agents are asked at the same time, one answer goes back. It waits for all of
// them, but not for longer than its caller does: two of three are an answer, too.
// deno run -A examples/coordinator.ts, or bun examples/coordinator.ts

import { type CallHandler, connect, serve } from "@mxp/mxp";
import { aggregator } from "@mxp/mxp/adapters";

const text = (payload: Uint8Array): string => new TextDecoder().decode(payload);

await using node = await serve({ listen: "127.0.0.1:0", registry: true }, () => "");

/** An agent at the node, over a connection of its own. */
async function start(name: string, capability: string, call: CallHandler): Promise<AsyncDisposable> {
  const client = await connect(node.url);
  await client.register({ name, capabilities: [capability] }, { handlers: { call } });
  return client;
}

await using _words = await start("words", "text.count", (payload) => `${text(payload).split(" ").length} words`);
await using _length = await start("length", "text.measure", (payload) => `${text(payload).length} characters`);
// This one takes longer than anybody waits. It is told when it is given up.
await using _mood = await start("mood", "text.mood", (_, context) => {
  return new Promise<never>((_, reject) => {
    context.signal.addEventListener("abort", () => reject(context.signal.reason));
  });
});

// The coordinator is an agent like the others. Deadline and trace of its caller go along to all three.
const review = aggregator(["words", { capability: "text.measure" }, "mood"], {
  atLeast: 2,
  timeoutMs: 300,
  combine: (answers) =>
    answers.map((answer) => `${answer.from}: ${answer.ok ? answer.text() : answer.error.message}`).join("\n"),
});
await using _coordinator = await start("coordinator", "text.review", review.call);

await using client = await connect(`${node.url}/coordinator`);
const reply = await client.call("to be or not to be", { timeoutMs: 5_000 });
console.log(reply.text());

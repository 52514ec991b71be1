// A stream of tokens, as a language model makes them: each is on its way as soon as it is written, through the node to
// whoever asked, and nothing is made that nobody takes.
// deno run -A examples/tokens.ts, or bun examples/tokens.ts

import process from "node:process";
import { connect, type MxpStream, serve } from "@mxp/mxp";

/** Stands in for the model: always the same words, one every few milliseconds. */
async function* tokens(prompt: string): AsyncGenerator<string> {
  const answer = `You asked about ${prompt}. A stream has two directions, and each ends when its writer closes it.`;
  for (const token of answer.split(/(?<= )/)) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    yield token;
  }
}

await using node = await serve({ listen: "127.0.0.1:0", registry: true }, () => "");
await using model = await connect(node.url);
await using _registration = await model.register({ name: "model", capabilities: ["text.generate"] }, {
  handlers: {
    // What a handler yields are the chunks of its answer.
    stream: async function* (stream: MxpStream) {
      yield* tokens(await stream.text());
    },
  },
});

await using client = await connect(node.url);
const stream = client.stream({ agent: "model", timeoutMs: 10_000 });
await stream.write("streams");
await stream.close(); // Our direction ends, the answer goes on.

const decoder = new TextDecoder();
let count = 0;
for await (const chunk of stream) {
  process.stdout.write(decoder.decode(chunk, { stream: true }));
  count++;
}
console.log(`\n${count} tokens, trace ${stream.traceId}`);

// An agent: it registers at a node, under a name and with what it can do, and answers the calls that the node passes on.
// deno run -A examples/agent.ts, or bun examples/agent.ts

import { connect, serve } from "@mxp/mxp";

await using node = await serve({ listen: "127.0.0.1:0", registry: true }, () => "this is the node");

await using agent = await connect(node.url);
await using _registration = await agent.register(
  { name: "greeter", capabilities: ["text.greet"] },
  { handlers: { call: (payload) => `hello, ${new TextDecoder().decode(payload)}!` } },
);

// Somebody else, who knows what is to be done, and not who does it.
await using client = await connect(node.url);
const reply = await client.call("mesh", { capability: "text.greet", timeoutMs: 5_000 });
console.log(reply.text()); // hello, mesh!

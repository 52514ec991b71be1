/**
 * One process of `deno task mesh`: a node, or some agents. It says that it is ready with a line on standard output, answers
 * each line on standard input, and ends with it.
 *
 * @module
 */

import process from "node:process";
import { connect, generateIdentity, serve } from "../mod.ts";
import { answerQuestions, say } from "./party.ts";

/** What the agents of a run can do. */
export const CAPABILITY = "mesh.work";

/** What a call asks of an agent. */
export interface Work {
  /** Which call it is; the answer repeats it. */
  readonly id: number;
  /** How long to take. */
  readonly delayMs: number;
  /** Bytes of the answer behind its first line. */
  readonly bytes: number;
}

async function main([role, ...args]: readonly string[]): Promise<void> {
  const answer = role === "node" ? await node() : await agents(args[0], Number(args[1]), args.slice(2));
  await answerQuestions(answer);
}

async function node(): Promise<(line: string) => void> {
  const server = await serve({ listen: "127.0.0.1:0", registry: true }, () => "the node");
  say({ url: server.url });
  return () => say(server.stats());
}

async function agents(url: string, leaseMs: number, names: readonly string[]): Promise<() => void> {
  for (const name of names) {
    const client = await connect(url, { identity: generateIdentity() });
    const call = async (payload: Uint8Array): Promise<Uint8Array> => {
      const { id, delayMs, bytes } = JSON.parse(new TextDecoder().decode(payload)) as Work;
      if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
      const head = new TextEncoder().encode(`${id} ${name}\n`);
      const answer = new Uint8Array(head.length + bytes).fill(id & 0xff);
      answer.set(head);
      return answer;
    };
    await client.register({ name, capabilities: [CAPABILITY], leaseMs }, { handlers: { call } });
  }
  say({ ready: names.length });
  return () => {};
}

if (import.meta.main) await main(process.argv.slice(2));

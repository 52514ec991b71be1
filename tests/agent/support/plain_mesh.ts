/**
 * A node with a plain port, and whoever talks to it.
 *
 * @module
 */

import assert from "node:assert/strict";
import { parseUuid } from "../../../lib/base/uuid.ts";
import {
  type CallContext,
  type Client,
  connect,
  generateIdentity,
  type Handlers,
  type Identity,
  type PlainOptions,
  type RegistryOptions,
  serve,
  type Server,
} from "../../../mod.ts";
import { message, PlainPeer, type Received } from "./plain_peer.ts";
import { memoryPlatform } from "./platform.ts";

/** Message types as the published protocol numbers them. */
export const Type = {
  REGISTER: 0x01,
  DISCOVER: 0x02,
  HEARTBEAT: 0x03,
  CALL: 0x10,
  RESPONSE: 0x11,
  EVENT: 0x12,
  ACK: 0xf0,
  ERROR: 0xf1,
} as const;

/** A node with a plain port, and whoever talks to it. */
export class Mesh implements AsyncDisposable {
  readonly platform: ReturnType<typeof memoryPlatform>;
  server!: Server;
  readonly seen: CallContext[] = [];
  readonly #closing: { close(): unknown }[] = [];

  constructor(platform = memoryPlatform()) {
    this.platform = platform;
  }

  static async start(
    plain: Partial<PlainOptions> = {},
    registry: RegistryOptions | false = {},
    platform?: ReturnType<typeof memoryPlatform>,
    handlers: Handlers = {},
  ): Promise<Mesh> {
    const mesh = new Mesh(platform);
    mesh.server = await serve({
      listen: "127.0.0.1:0",
      platform: mesh.platform,
      registry,
      plain: { listen: "127.0.0.1:0", ...plain },
      onInternalError: (error) => assert.fail(String(error)),
    }, {
      call: (payload, context) => {
        mesh.seen.push(context);
        return `the node got ${new TextDecoder().decode(payload)}`;
      },
      agents: { local: () => "the node's own agent" },
      ...handlers,
    });
    return mesh;
  }

  async peer(local: { readonly host?: string; readonly port?: number } = {}): Promise<PlainPeer> {
    const peer = await PlainPeer.bind(this.platform, this.server.plainAddress!, local);
    this.#closing.push(peer);
    return peer;
  }

  async client(identity: Identity = generateIdentity()): Promise<Client> {
    const client = await connect(this.server.url, { platform: this.platform, identity });
    this.#closing.push(client);
    return client;
  }

  get stats() {
    return this.server.stats().plain!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const closing of this.#closing.splice(0)) await closing.close();
    await this.server.close();
  }
}

/** What the agent's side of a call looks like; it answers with `payload` under the same ids unless told otherwise. */
export async function answer(
  agent: PlainPeer,
  payload: string,
  id?: bigint,
  type: number = Type.RESPONSE,
): Promise<Received> {
  const call = await agent.next("a call");
  assert.equal(call.type, Type.CALL);
  agent.send(message(type, 0, id ?? call.id, call.trace, payload), call.from);
  return call;
}

/** A registration in the runtime's spelling. */
export function registerJson(id: string, port: number, name = "reviewer", capabilities = ["code.review"]): string {
  return JSON.stringify({ id, name, capabilities, address: `127.0.0.1:${port}`, metadata: { version: "0.1.0" } });
}

/** A Call with its target in front. */
export function callTo(target: string | undefined, seconds: number, data: string, id = 77n): Uint8Array {
  const payload = new Uint8Array(20 + data.length);
  if (target !== undefined) payload.set(parseUuid(target)!);
  new DataView(payload.buffer).setUint32(16, seconds, true);
  payload.set(new TextEncoder().encode(data), 20);
  return message(Type.CALL, 0, id, 5n, payload);
}

/** Code and text of an Error in JSON. */
export function errorOf(received: Received): [string, string] {
  assert.equal(received.type, Type.ERROR, received.text);
  return [received.json.code, received.json.error];
}

/** Waits for something that happens by itself. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(`timed out waiting until ${what}`);
}

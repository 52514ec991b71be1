/**
 * A node, an agent behind it and a caller, and a view of everything that their connections carry.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Connection } from "../../../lib/transport/connection.ts";
import {
  type CallContext,
  type Client,
  connect,
  generateIdentity,
  type Handlers,
  MxpError,
  serve,
  type Server,
} from "../../../mod.ts";
import { memoryPlatform } from "./platform.ts";

export type TestPlatform = ReturnType<typeof memoryPlatform>;
/** Whether this runtime has zstd. */
export const HAS_ZSTD = memoryPlatform().compressor !== undefined;
/** What must not be seen on the way. */
export const SECRET = "the plaintext that nobody on the way may see";
/** Much of it. */
export const TEXT = `${SECRET}, `.repeat(200);
/** Bytes as characters, one each. */
export const decode = (bytes: Uint8Array): string => new TextDecoder("latin1").decode(bytes);

/** Checks an error for `assert.rejects`. */
export function failsWith(code: string, message: RegExp, more: Partial<MxpError> = {}): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof MxpError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    for (const [name, value] of Object.entries(more)) assert.equal(error[name as keyof MxpError], value, name);
    return true;
  };
}

/** A node, an agent behind it, and a caller, each with a key of its own. */
export class Mesh implements AsyncDisposable {
  readonly agent = generateIdentity();
  readonly caller = generateIdentity();
  readonly contexts: CallContext[] = [];
  readonly platform = memoryPlatform();
  server!: Server;
  agentClient!: Client;
  client!: Client;

  static async start(
    handlers: Omit<Handlers, "agents"> = {},
    agentPlatform?: (platform: TestPlatform) => Partial<TestPlatform>,
  ): Promise<Mesh> {
    const mesh = new Mesh();
    const { platform } = mesh;
    mesh.server = await serve({ listen: "127.0.0.1:0", platform, registry: true, pubsub: true }, {
      call: (payload) => payload,
    });
    mesh.agentClient = await connect(mesh.server.url, {
      platform: { ...platform, ...agentPlatform?.(platform) },
      identity: mesh.agent,
    });
    await mesh.agentClient.register({ name: "vault", capabilities: ["secret.keep"] }, {
      handlers: {
        call: (payload, context) => {
          mesh.contexts.push(context);
          return decode(payload).toUpperCase();
        },
        ...handlers,
      },
    });
    mesh.client = await connect(`${mesh.server.url}/vault`, { platform, identity: mesh.caller });
    return mesh;
  }

  get e2e(): string {
    return this.agent.publicKeyText;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const party of [this.client, this.agentClient, this.server]) await party.close();
  }
}

/** Shows every piece that the streams of all connections carry, in the clear, while `run` runs. */
export async function watchStreams(run: () => Promise<void>): Promise<string[]> {
  const seen: string[] = [];
  const { read, write } = Connection.prototype;
  Connection.prototype.read = function (id) {
    const chunk = read.call(this, id);
    if (chunk !== undefined) seen.push(decode(chunk));
    return chunk;
  };
  Connection.prototype.write = function (id, data, fin) {
    seen.push(decode(data));
    return write.call(this, id, data, fin);
  };
  try {
    await run();
  } finally {
    Connection.prototype.read = read;
    Connection.prototype.write = write;
  }
  return seen;
}

/**
 * A node with agents behind it, for tests of what it passes on.
 *
 * @module
 */

import assert from "node:assert/strict";
import {
  type CallHandler,
  type Client,
  connect,
  generateIdentity,
  type Handlers,
  type Identity,
  MxpError,
  type Registration,
  type RegistryOptions,
  serve,
  type ServeOptions,
  type Server,
} from "../../../mod.ts";
import { memoryPlatform } from "./platform.ts";
import { sleep, until } from "./wait.ts";

export { sleep, until };

/** Checks an error. */
export function failsWith(code: string, retryable: boolean, message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof MxpError, String(error));
    assert.deepEqual([error.code, error.retryable], [code, retryable], error.message);
    assert.match(error.message, message);
    return true;
  };
}

/** An agent with a connection of its own. */
export interface TestAgent {
  readonly client: Client;
  readonly registration: Registration;
  readonly identity: Identity;
}

/** A node with agents behind it. */
export class Mesh implements AsyncDisposable {
  readonly platform: ReturnType<typeof memoryPlatform>;
  readonly identity = generateIdentity();
  server!: Server;
  readonly #agents: TestAgent[] = [];
  readonly #clients: Client[] = [];
  /** Of every connection, on both sides. */
  readonly settings: NonNullable<ServeOptions["settings"]>;
  #listen = "127.0.0.1:0";

  constructor(platform = memoryPlatform(), settings: ServeOptions["settings"] = {}) {
    this.platform = platform;
    this.settings = settings;
  }

  static async start(
    platform?: ReturnType<typeof memoryPlatform>,
    settings?: ServeOptions["settings"],
  ): Promise<Mesh> {
    const mesh = new Mesh(platform, settings);
    await mesh.serve();
    return mesh;
  }

  async serve(registry: RegistryOptions = {}, options: Partial<ServeOptions> = {}): Promise<void> {
    const { platform, identity, settings } = this;
    this.server = await serve({ listen: this.#listen, platform, identity, registry, settings, ...options }, {
      call: () => "the node",
      agents: { local: () => "the node's own agent" },
    });
    this.#listen = `127.0.0.1:${this.server.address.port}`;
  }

  async client(): Promise<Client> {
    const client = await connect(this.server.url, { platform: this.platform, settings: this.settings });
    this.#clients.push(client);
    return client;
  }

  async agent(
    name: string,
    capabilities: string[],
    call: CallHandler | undefined,
    more: Handlers = {},
    identity: Identity = generateIdentity(),
  ): Promise<TestAgent> {
    const { platform, settings } = this;
    const client = await connect(this.server.url, { platform, settings, identity });
    const registration = await client.register({ name, capabilities }, {
      handlers: { ...(call && { call }), ...more },
    });
    const agent = { client, registration, identity };
    this.#agents.push(agent);
    return agent;
  }

  get relayed() {
    return this.server.stats().registry!.relayed;
  }

  get relayedStreams() {
    return this.server.stats().registry!.relayedStreams;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) await client.close();
    await Promise.all(this.#agents.map(async ({ client, registration }) => {
      await registration.close();
      await client.close();
    }));
    await this.server.close();
  }
}

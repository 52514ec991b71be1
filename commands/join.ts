/**
 * `mxp serve --join`: the node is an agent of another node.
 *
 * @module
 */

import type { Logger } from "@logtape/logtape";
import type { Client, Handlers, Identity, Registration } from "../mod.ts";
import { openConnection } from "./connection.ts";
import type { Console } from "./console.ts";
import { Deadline } from "./deadline.ts";
import { CliError } from "./errors.ts";
import type { Settings } from "./settings.ts";

/** What {@link join} needs. */
export interface JoinRequest {
  readonly url: string;
  readonly name: string | undefined;
  readonly capabilities: readonly string[];
  readonly handlers: Handlers;
  readonly identity: Identity;
  readonly trustNew: boolean;
  readonly settings: Settings;
  readonly console: Console;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** A node that has joined another one. */
export interface Joined {
  readonly registration: Registration;
  /** Rejects when the other node does not have the agent any more, and will not. */
  readonly lost: Promise<never>;
  /** Deregisters, lets the last calls end, and goes. */
  leave(timeoutMs: number): Promise<void>;
}

/** Registers at another node, whose calls the handlers answer from then on. */
export async function join(request: JoinRequest): Promise<Joined> {
  const { name, capabilities, handlers, identity, trustNew, settings, console, log, signal } = request;
  const { parseMxpUrl } = await import("../mod.ts");
  const url = parseMxpUrl(request.url);
  if (url.agent !== undefined) {
    throw new CliError("usage", `serve: nodes are joined as they are; leave /${url.agent} out of the URL of --join`);
  }
  const deadline = new Deadline(undefined);
  const client = await openConnection({ url, settings, console, deadline, signal, trustNew, identity });
  let registration: Registration;
  try {
    const card = { name: name ?? `agent-${identity.publicKeyText.slice(0, 8)}`, capabilities };
    registration = await client.register(card, {
      handlers: { call: handlers.call, stream: handlers.stream },
      signal,
      onState: (state, error) => log.info("joined node", { state, node: client.url, error: error?.message }),
    });
  } catch (error) {
    await client.close();
    throw error;
  }
  log.info("joined node", { state: "registered", node: client.url, id: registration.id });
  const lost = registration.closed.then((): never => {
    const why = registration.failure?.message ?? "it was closed";
    throw new CliError("refused", `the node at ${client.peer.address} has no place for this agent any more: ${why}`);
  });
  lost.catch(() => {});
  return { registration, lost, leave: (timeoutMs) => leave(registration, client, timeoutMs) };
}

async function leave(registration: Registration, first: Client, timeoutMs: number): Promise<void> {
  const { client } = registration;
  // Whoever still calls is told to go elsewhere; what runs may end.
  await registration.close();
  if (client === first) await client.drain({ timeoutMs });
  else await first.close();
}

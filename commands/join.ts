/**
 * `mxp serve --join`: the node is an agent of another node.
 *
 * @module
 */

import type { Logger } from "@logtape/logtape";
import type { Client, Handlers, Identity, MxpUrl, Registration } from "../mod.ts";
import { openConnection } from "./connection.ts";
import type { Console } from "./console.ts";
import { Deadline } from "./deadline.ts";
import { CliError, codeOf, messageOf } from "./errors.ts";
import type { Settings } from "./settings.ts";
import { show } from "./values.ts";

/** Silence that is worth a word: a node that is there answers sooner. */
const SILENCE_MS = 1_000;
/** The pause before the second attempt; it doubles up to the longest. */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;

/** What {@link join} needs. */
export interface JoinRequest {
  readonly url: MxpUrl;
  readonly name: string;
  /** `IP:PORT` where others can reach it without the node. */
  readonly endpoint: string | undefined;
  readonly capabilities: readonly string[];
  readonly handlers: Handlers;
  readonly identity: Identity;
  readonly trustNew: boolean;
  readonly settings: Settings;
  readonly console: Console;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** A node that joins another one, or has. */
export interface Joined {
  /** Rejects when the other node will not have the agent, now or any more. */
  readonly lost: Promise<never>;
  /** Deregisters, lets the last calls end, and goes. Only once the signal has come, which ends all attempts. */
  leave(timeoutMs: number): Promise<void>;
  /** Goes at once. */
  close(): Promise<void>;
}

/** What stands once the other node has the agent. */
interface Membership {
  readonly registration: Registration;
  /** The connection that it was made on. */
  readonly first: Client;
}

/** The node that `--join` names. */
export async function joinTarget(text: string): Promise<MxpUrl> {
  const { parseMxpUrl } = await import("../mod.ts");
  const url = parseMxpUrl(text);
  if (url.agent === undefined) return url;
  throw new CliError("usage", `serve: nodes are joined as they are; leave /${url.agent} out of the URL of --join`);
}

/** What an agent is called whose user has not said. */
export function agentName(name: string | undefined, identity: Identity): string {
  return name ?? `agent-${identity.publicKeyText.slice(0, 8)}`;
}

/**
 * What `--advertise` says: where others can reach the agent without the node, or `none`.
 *
 * @throws {CliError} `usage` for what is no address that a machine can be reached at.
 */
export async function advertisement(text: string): Promise<string> {
  const { DEFAULT_PORT, mayBeDialled } = await import("../mod.ts");
  // A loopback address is of use with a node on this machine, and the user has said so.
  if (text === "none" || mayBeDialled(withPort(text, DEFAULT_PORT), { allowLocal: true })) return text;
  throw new CliError(
    "usage",
    `--advertise: ${show(text)} is not IP:PORT of a machine, such as 192.0.2.7:9000, or none`,
  );
}

/** The endpoint to register: as the user says, else where the agent listens, if that means this machine to others. */
export async function endpointFor(
  advertised: string | undefined,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<string | undefined> {
  if (advertised !== undefined) return advertised === "none" ? undefined : withPort(advertised, port);
  const { mayBeDialled } = await import("../mod.ts");
  const own = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  return mayBeDialled(own) ? own : undefined;
}

/** Port 0 is whichever the agent listens at. */
function withPort(endpoint: string, port: number): string {
  return endpoint.replace(/:0$/, `:${port}`);
}

/**
 * Registers at another node, whose calls the handlers answer from then on. Does not wait for it: a node that cannot be
 * reached yet is tried again until it can, and only what it will say again ends the attempts.
 */
export function join(request: JoinRequest): Joined {
  let membership: Membership | undefined;
  const joining = keepTrying(request).then((made) => membership = made);
  const lost = joining.then(async (made): Promise<never> => {
    // Nothing to lose: it was asked to end before it had joined.
    if (made === undefined) return await new Promise<never>(() => {});
    const { registration, first } = made;
    await registration.closed;
    const why = registration.failure?.message ?? "it was closed";
    throw new CliError("refused", `the node at ${first.peer.address} has no place for this agent any more: ${why}`);
  });
  lost.catch(() => {});
  return {
    lost,
    leave: async (timeoutMs) => {
      const made = await joining.catch(() => undefined);
      if (made !== undefined) await leave(made, timeoutMs);
    },
    close: async () => {
      if (membership !== undefined) {
        await Promise.all([membership.registration.client.close(), membership.first.close()]);
      }
    },
  };
}

/** Tries until it works, cannot work, or the signal comes (undefined). */
async function keepTrying(request: JoinRequest): Promise<Membership | undefined> {
  const { url, console, log, signal } = request;
  const { formatMxpUrl } = await import("../mod.ts");
  const target = formatMxpUrl(url);
  let told = "";
  const warn = (why: string): void => {
    if (why !== told) console.note(`cannot join ${target} yet: ${why}; trying again`);
    told = why;
  };
  for (let attempt = 0; !signal.aborted; attempt++) {
    // A question on the terminal may take its time.
    const isAsking = url.publicKey === undefined && console.canAsk;
    const silence = attempt > 0 || isAsking ? undefined : setTimeout(() => warn("no answer so far"), SILENCE_MS);
    try {
      const made = await enter(request);
      log.info("joined node", { state: "registered", node: target, id: made.registration.id });
      if (console.json) await console.value({ event: "joined", url: target, agent: made.registration.id });
      else console.note(`joined ${target}`);
      return made;
    } catch (error) {
      if (signal.aborted) return undefined;
      if (!mayWorkLater(error)) throw error;
      log.info("cannot join node yet", { node: target, attempt: attempt + 1, error: messageOf(error) });
      warn(messageOf(error));
    } finally {
      clearTimeout(silence);
    }
    await pause(Math.min(FIRST_PAUSE_MS * 2 ** attempt, LONGEST_PAUSE_MS), signal);
  }
  return undefined;
}

/** One attempt. */
async function enter(request: JoinRequest): Promise<Membership> {
  const { url, name, endpoint, capabilities, handlers, identity, trustNew, settings, console, log, signal } = request;
  const deadline = new Deadline(undefined);
  const first = await openConnection({ url, settings, console, deadline, signal, trustNew, identity });
  try {
    const card = { name, capabilities, ...(endpoint !== undefined && { endpoint }) };
    const registration = await first.register(card, {
      handlers: { call: handlers.call, stream: handlers.stream, event: handlers.event },
      signal,
      onState: (state, error) => {
        log.info("joined node", { state, node: first.url, error: error?.message });
        if (state === "reconnecting") {
          console.note(`the node at ${first.peer.address} has lost this agent; joining it again`);
        } else if (state === "registered") console.note(`joined the node at ${first.peer.address} again`);
      },
    });
    return { registration, first };
  } catch (error) {
    await first.close();
    throw error;
  }
}

/** Whether another attempt may go better: the node was not there, had no room, or was lost on the way. */
function mayWorkLater(error: unknown): boolean {
  if ((error as { retryable?: unknown }).retryable === true) return true;
  return ["connect_failed", "connection_lost", "closed", "deadline"].includes(codeOf(error));
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", done, { once: true });
    if (signal.aborted) done();
  });
}

async function leave({ registration, first }: Membership, timeoutMs: number): Promise<void> {
  const { client } = registration;
  // Whoever still calls is told to go elsewhere; what runs may end.
  await registration.close();
  if (client === first) await client.drain({ timeoutMs });
  else await first.close();
}

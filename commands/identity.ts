/**
 * Which key file a command uses.
 *
 * @module
 */

import type { Identity } from "../mod.ts";
import type { Console } from "./console.ts";
import type { Settings } from "./settings.ts";

/** Path of the key file that the settings name, or of the default one. */
export async function identityPath(settings: Settings): Promise<string> {
  if (settings.identity !== undefined) return settings.identity;
  const { defaultIdentityPath } = await import("../mod.ts");
  return defaultIdentityPath();
}

/**
 * Who we are when we call: the key file of the settings, which must be there; else the default one if there is one;
 * else undefined, for a key that is made for one connection.
 *
 * @throws {MxpError} `config` for a key file that cannot be used.
 */
export async function callerIdentity(settings: Settings): Promise<Identity | undefined> {
  const { defaultIdentityPath, host, loadIdentity } = await import("../mod.ts");
  if (settings.identity !== undefined) return await loadIdentity(settings.identity);
  const path = defaultIdentityPath();
  return await host.exists(path) ? await loadIdentity(path) : undefined;
}

/**
 * Who a node is: the key file of the settings, which must be there; else the default one, made at the first use.
 *
 * @throws {MxpError} `config` for a key file that cannot be used.
 */
export function nodeIdentity(settings: Settings, console: Console): Promise<Identity> {
  return madeIdentity(settings, console, "keep it: the node's address contains its public key");
}

/**
 * The same for a caller that is known again by its key, as what it repeats is: with a key for each run, the same call
 * would be somebody else's.
 *
 * @throws {MxpError} `config` for a key file that cannot be used.
 */
export function lastingIdentity(settings: Settings, console: Console): Promise<Identity> {
  return madeIdentity(settings, console, "keep it: nodes know calls and events with an --idempotency-key again by it");
}

async function madeIdentity(settings: Settings, console: Console, why: string): Promise<Identity> {
  const { defaultIdentityPath, generateIdentity, host, loadIdentity, saveIdentity } = await import("../mod.ts");
  if (settings.identity !== undefined) return await loadIdentity(settings.identity);
  const path = defaultIdentityPath();
  if (await host.exists(path)) return await loadIdentity(path);
  const identity = generateIdentity();
  try {
    await saveIdentity(path, identity);
  } catch (error) {
    // Another process may have made it a moment ago.
    if (await host.exists(path)) return await loadIdentity(path);
    throw error;
  }
  console.note(`made a new identity: ${path} (${why})`);
  return identity;
}

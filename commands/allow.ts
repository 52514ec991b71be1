/**
 * `--allow`: the public keys that may connect to a node, given one by one or in files.
 *
 * @module
 */

import { reasonOf } from "./data.ts";
import { CliError } from "./errors.ts";

/** 43 characters of base64url: a key, whatever files there are. */
const KEY_SHAPE = /^[A-Za-z0-9_-]{43}$/;

/**
 * The keys that `--allow` names: a key itself, or a file with `KEY [comment]` on each line.
 *
 * @throws {CliError} `usage` for what is neither, `config` for a file that cannot be read or holds something else.
 */
export async function allowedKeys(values: readonly string[]): Promise<Uint8Array[]> {
  const { host, parsePublicKey } = await import("../mod.ts");
  const keys: Uint8Array[] = [];
  for (const value of values) {
    if (KEY_SHAPE.test(value)) keys.push(parsePublicKey(value, "the key behind --allow"));
    else keys.push(...await keysInFile(value, host.readText, parsePublicKey));
  }
  return keys;
}

async function keysInFile(
  path: string,
  readText: (path: string) => Promise<string>,
  parsePublicKey: (text: string) => Uint8Array,
): Promise<Uint8Array[]> {
  let text: string;
  try {
    text = await readText(path);
  } catch (error) {
    const hint = (error as { code?: unknown }).code === "ENOENT" ? ", and it is not a key (43 characters)" : "";
    throw new CliError("config", `cannot read the file ${path} behind --allow: ${reasonOf(error)}${hint}`);
  }
  const keys: Uint8Array[] = [];
  const lines = text.split(/\r?\n/);
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i].trim();
    if (line === "" || line.startsWith("#")) continue;
    if (line.startsWith("mxp-private-key")) {
      throw new CliError("config", `${path} is a private key file; --allow takes public keys: mxp pubkey ${path}`);
    }
    try {
      keys.push(parsePublicKey(line.split(/\s+/)[0]));
    } catch (error) {
      throw new CliError("config", `${path} line ${i + 1}: ${(error as Error).message}`);
    }
  }
  if (keys.length === 0) throw new CliError("config", `${path} behind --allow has no keys in it; nobody could connect`);
  return keys;
}

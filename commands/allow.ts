/**
 * `--allow`: which public keys may connect to a node, and what each may do there; given one by one or in files.
 *
 * @module
 */

import type { AccessList, AccessRule } from "../mod.ts";
import { reasonOf } from "./data.ts";
import { CliError } from "./errors.ts";

/** 43 characters of base64url: a key, whatever files there are. */
const KEY_SHAPE = /^[A-Za-z0-9_-]{43}$/;

/**
 * The rules that `--allow` names: a key itself, which may do everything but administrate, or a file with rules.
 *
 * @throws {CliError} `usage` for what is neither, `config` for a file that cannot be read or holds something else.
 */
export async function accessList(values: readonly string[]): Promise<AccessList> {
  const { AccessList, parsePublicKey } = await import("../mod.ts");
  const rules: AccessRule[] = [];
  for (const value of values) {
    if (KEY_SHAPE.test(value)) rules.push({ key: parsePublicKey(value, "the key behind --allow") });
    else rules.push(...await rulesInFile(value));
  }
  try {
    return new AccessList(rules);
  } catch (error) {
    // Each rule is good by itself; two of them are for the same key.
    throw new CliError("config", `--allow: ${(error as Error).message}`);
  }
}

async function rulesInFile(path: string): Promise<AccessRule[]> {
  const { host, parseAccessRules } = await import("../mod.ts");
  let text: string;
  try {
    text = await host.readText(path);
  } catch (error) {
    const hint = (error as { code?: unknown }).code === "ENOENT" ? ", and it is not a key (43 characters)" : "";
    throw new CliError("config", `cannot read the file ${path} behind --allow: ${reasonOf(error)}${hint}`);
  }
  if (/^\s*mxp-private-key/m.test(text)) {
    throw new CliError("config", `${path} is a private key file; --allow takes public keys: mxp pubkey ${path}`);
  }
  const rules = parseAccessRules(text, path);
  if (rules.length === 0) {
    throw new CliError("config", `${path} behind --allow has no keys in it; nobody could connect`);
  }
  return rules;
}

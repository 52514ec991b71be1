/**
 * `mxp pubkey`: the public half of a key file.
 *
 * @module
 */

import { CliError } from "./errors.ts";
import { identityPath } from "./identity.ts";
import type { CommandSpec } from "./spec.ts";

/** A key file has three lines; whatever is longer than this is none. */
const MAX_KEY_FILE = 1 << 16;

/** The command. */
export const pubkey: CommandSpec = {
  name: "pubkey",
  summary: "print a key file's public key",
  arguments: [
    {
      name: "[FILE]",
      description: "the key file; - for standard input (default: --identity, or the default identity)",
    },
  ],
  details: [
    "Prints the 43 characters that stand in URLs before the @, and that mxp serve --allow takes.",
    'With --json: {"public_key", "fingerprint", "file"}.',
  ],
  examples: [
    ["mxp pubkey", "the public key of the default identity"],
    ['mxp serve --echo --allow "$(mxp pubkey client.key)"', "a node that only one client may call"],
  ],
  async run({ args, settings, console }) {
    if (args[0] === "") throw new CliError("usage", "FILE is empty");
    const { host, loadIdentity, parseKeyFile } = await import("../mod.ts");
    const path = args[0] ?? await identityPath(settings);
    const identity = path === "-"
      ? parseKeyFile(new TextDecoder().decode(await host.readAllStdin(MAX_KEY_FILE)), "standard input")
      : await loadIdentity(path);
    const { publicKeyText, fingerprint } = identity;
    if (settings.json) await console.value({ public_key: publicKeyText, fingerprint, file: path });
    else await console.line(publicKeyText);
  },
};

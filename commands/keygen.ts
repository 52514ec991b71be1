/**
 * `mxp keygen`: a new identity.
 *
 * @module
 */

import { CliError } from "./errors.ts";
import { checkFolder } from "./folder.ts";
import { identityPath } from "./identity.ts";
import type { CommandSpec } from "./spec.ts";
import { notEmpty } from "./values.ts";

interface Flags {
  readonly output?: string;
  readonly force?: boolean;
}

/** The command. */
export const keygen: CommandSpec<Flags> = {
  name: "keygen",
  summary: "make a new identity",
  options: [
    {
      flags: "-o, --output <FILE>",
      description: "where to write the key file; - prints it (default: --identity, or the default identity)",
      parse: notEmpty,
    },
    { flags: "-f, --force", description: "replace a key file that exists; its key is lost" },
  ],
  details: [
    "Writes the private key to a file that only its owner can read (mode 0600) and prints the public key and its " +
    "fingerprint. Private keys never appear on screen, unless -o - asks for it.",
    'With --json: {"public_key", "fingerprint", "file"}.',
  ],
  examples: [
    ["mxp keygen", "a new default identity, in ~/.config/mxp/identity"],
    ["mxp keygen -o node.key", "a new identity for a node, see mxp serve --identity"],
    ["mxp keygen -o - | ssh host 'umask 077; cat > node.key'", "a new identity for another machine"],
  ],
  async run({ flags, settings, console }) {
    const { formatKeyFile, generateIdentity, saveIdentity } = await import("../mod.ts");
    const path = flags.output ?? await identityPath(settings);
    if (path === "-" && settings.json) {
      throw new CliError("usage", "keygen: -o - prints a key file, which --json cannot; choose one of them");
    }
    // The default identity's folder is made along with it.
    if (path !== "-" && (flags.output ?? settings.identity) !== undefined) {
      await checkFolder(path, flags.output === undefined ? "--identity" : "--output");
    }
    const identity = generateIdentity();
    const { publicKeyText, fingerprint } = identity;
    if (path === "-") {
      await console.write(formatKeyFile(identity));
      console.note(`public key ${publicKeyText}, fingerprint ${fingerprint}`);
      return;
    }
    await saveIdentity(path, identity, { overwrite: flags.force === true });
    if (settings.json) {
      await console.value({ public_key: publicKeyText, fingerprint, file: path });
      return;
    }
    const { dim } = console.colors.stdout;
    await console.write(
      `${dim("public key ")} ${publicKeyText}\n${dim("fingerprint")} ${fingerprint}\n${dim("key file   ")} ${path}\n`,
    );
  },
};

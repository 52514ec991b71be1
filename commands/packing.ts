/**
 * The options of requests that are compressed or sealed.
 *
 * @module
 */

import type { OptionSpec } from "./spec.ts";
import { notEmpty } from "./values.ts";

/** `--compress`. */
export const COMPRESS: OptionSpec = {
  flags: "--compress",
  description: "compress what is sent where that makes it smaller, and take compressed answers",
};

/** `--e2e KEY`. */
export const E2E: OptionSpec = {
  flags: "--e2e <KEY>",
  description:
    "seal what is sent and answered end to end to the agent with this public key: no node on the way can read it",
  parse: notEmpty,
};

/** What there is to know about it. */
export const E2E_HELP: readonly string[] = [
  "With --e2e, what is sent, --method and --meta are sealed to the agent's public key (43 characters, what mxp pubkey prints where the agent " +
  "runs), with the key of --identity as their sender, and so is what is answered, which has to be the agent's own. A node sees who calls whom, " +
  "when, the time allowed, and how much. Get KEY from the agent's owner and not from the node, which could name a key of its own. The " +
  "clocks of both sides may be two minutes apart.",
];

/**
 * The plain carrier of `mxp serve`: what its flags ask for, and what is said about it loudly.
 *
 * @module
 */

import type { PlainOptions, Server } from "../mod.ts";
import type { Console } from "./console.ts";
import { CliError } from "./errors.ts";
import type { OptionSpec } from "./spec.ts";
import { notEmpty } from "./values.ts";

/** The flags. */
export interface PlainFlags {
  readonly plain?: string;
  readonly plainCallTarget?: string;
  readonly plainForce?: boolean;
}

/** As `serve` lists them. No environment variables: what opens such a port ought to stand on the command line. */
export const PLAIN_OPTIONS: readonly OptionSpec[] = [
  {
    flags: "--plain <HOST:PORT>",
    description: "also serve programs of the published Rust runtime there: in clear, so only on this machine",
    parse: notEmpty,
  },
  {
    flags: "--plain-call-target <AGENT>",
    description: "the one agent with a key, by name or UUID, that may be called from there; with --plain",
    parse: notEmpty,
  },
  { flags: "--plain-force", description: "allow an address for --plain that other machines can reach" },
];

/** For the help text. */
export const PLAIN_HELP =
  "With --plain, programs of the published Rust runtime (crates mxp, agent-kernel) can register there, be found, call the node " +
  "and each other, and be called from anywhere through the node. Nothing on that port is encrypted, and nobody there has to prove " +
  "anything: whoever can send to it may do all of that, and --allow does not concern it. Agents with a key cannot be called " +
  "from there, but for the one that --plain-call-target names, which gets the calls that name nobody.";

/** What `serve` of the library is told. */
export function plainOptions({ plain, plainCallTarget, plainForce }: PlainFlags): PlainOptions | undefined {
  if (plain !== undefined) {
    return {
      listen: plain,
      ...(plainForce && { force: true }),
      ...(plainCallTarget !== undefined && { callTarget: plainCallTarget }),
    };
  }
  if (plainCallTarget === undefined && !plainForce) return undefined;
  const flag = plainForce ? "--plain-force" : "--plain-call-target";
  throw new CliError("usage", `serve: ${flag} is about the plain carrier; add --plain HOST:PORT`);
}

/** Nobody should have such a port open without knowing. */
export function warnOfPlain({ plainAddress }: Server, { plainForce }: PlainFlags, console: Console): void {
  if (plainAddress === undefined) return;
  const who = plainForce ? "whoever can reach it" : "every program on this machine";
  console.note(
    `WARNING: plain carrier at ${plainAddress}: no encryption, no authentication; ${who} can register agents and call there`,
  );
}

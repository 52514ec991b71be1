/**
 * All subcommands, in the order in which help lists them.
 *
 * @module
 */

import { bench } from "./bench.ts";
import { call } from "./call.ts";
import { completion } from "./completion.ts";
import { discover } from "./discover.ts";
import { event } from "./event.ts";
import { keygen } from "./keygen.ts";
import { ping } from "./ping.ts";
import { pubkey } from "./pubkey.ts";
import { serve } from "./serve.ts";
import type { CommandSpec } from "./spec.ts";
import { stream } from "./stream.ts";
import { subscribe } from "./subscribe.ts";

const commands: CommandSpec<never>[] = [keygen, pubkey, serve, call, stream, event, subscribe, discover, ping, bench];

/** The table. Each command takes the flags that its own options make; only the parser, which made them, runs it. */
export const COMMANDS: readonly CommandSpec[] = [
  ...commands as unknown as CommandSpec[],
  completion(() => COMMANDS),
];

/**
 * The same work for a long time: `deno task soak -- --minutes 60`.
 *
 * @module
 */

import process from "node:process";
import { type OptionSpec, readOptions, UsageError } from "./options.ts";
import { soakSockets } from "./scenarios/soak.ts";

const HELP =
  `Calls through the impairment proxy for a long time, over real sockets, while keys are updated and the client's port
changes, and says whether memory and descriptors stayed as they were and both sides counted the same.

  deno task soak -- [options]

  --minutes N       how long (10)
  --keys SECONDS    between key updates (60)
  --rebind SECONDS  between changes of the client's port (300)
  --seed N          what is random in the proxy follows from it (1)
  --json
  --help

A version in virtual time is a scenario of the simulator: deno task sim -- --scenario A18 --cell hours.`;

const OPTIONS = {
  minutes: { type: "number", default: 10, least: 0.2 },
  keys: { type: "number", default: 60, least: 1 },
  rebind: { type: "number", default: 300, least: 1 },
  seed: { type: "integer", default: 1 },
  json: { type: "flag" },
  help: { type: "flag" },
} as const satisfies Record<string, OptionSpec>;

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(OPTIONS, args);
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  const { ok, figures, asked } = await soakSockets({
    seed: options.seed,
    minutes: options.minutes,
    keyUpdateSeconds: options.keys,
    rebindSeconds: options.rebind,
    ...(options.json ? {} : { onProgress: (line: string) => console.log(line) }),
  });
  if (options.json) console.log(JSON.stringify({ ok, asked, figures, seed: options.seed }));
  else {
    console.log(
      `${ok ? "ok" : "FAILED"}  ${Object.entries(figures).map(([name, value]) => `${name} ${value}`).join(", ")}`,
    );
    console.log(`asked: ${asked}`);
  }
  return ok ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`soak: ${error.message}`);
  process.exitCode = 2;
}

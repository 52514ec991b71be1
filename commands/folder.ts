/**
 * Folders of files that are named: where one is missing, the name is more likely wrong than the folder wanted.
 *
 * @module
 */

import { dirname } from "node:path";
import { CliError } from "./errors.ts";
import { show } from "./values.ts";

/** @throws {CliError} `config` if the folder of a file that somebody has named is not there. */
export async function checkFolder(path: string, option: string): Promise<void> {
  const { host } = await import("../mod.ts");
  const folder = dirname(path);
  if (await host.exists(folder)) return;
  throw new CliError("config", `${option} ${show(path)}: there is no folder ${show(folder)}; make it first`);
}

/**
 * The file of `mxp serve --db`: opening it, or saying what is in the way.
 *
 * @module
 */

import { access, constants, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { AgentStore } from "../mod.ts";
import { CliError, codeOf } from "./errors.ts";

/** Opens the registry's file. SQLite knows that it could not; the file system often knows why. */
export async function openDatabase(path: string): Promise<AgentStore> {
  const { openSqliteStore } = await import("../mod.ts");
  try {
    return await openSqliteStore(path);
  } catch (cause) {
    // Only afterwards, since looking first would refuse what works where a runtime judges permissions by the mode alone.
    const problem = codeOf(cause) === "config" ? await fileProblem(path) : undefined;
    throw problem === undefined ? cause : new CliError("config", `cannot open ${path}: ${problem}`, { cause });
  }
}

/** Why a file cannot be read and written, and what to do; undefined if nothing is in the way. */
async function fileProblem(path: string): Promise<string | undefined> {
  const folder = dirname(resolve(path));
  const place = await look(folder);
  if (place === "ENOENT") return `there is no folder ${folder}; make it`;
  if (place === "ENOTDIR" || (typeof place !== "string" && !place.isDirectory())) return `${folder} is no folder`;
  const file = await look(path);
  if (file === "EACCES") return `no permission to look into ${folder}; use another folder, or change its permissions`;
  if (typeof file !== "string") {
    if (file.isDirectory()) return "it is a folder; name a file in it";
    if (!file.isFile()) return "it is no regular file; name one that is, or that does not exist yet";
    const why = await denied(path, constants.R_OK | constants.W_OK);
    if (why !== undefined) return `${why} to read and write it; use another file, or change its permissions`;
  }
  // Also beside a file that is there: its log has to be made.
  const why = await denied(folder, constants.W_OK | constants.X_OK);
  return why && `${why} to make files in ${folder}; use another folder, or change its permissions`;
}

async function look(path: string): Promise<Awaited<ReturnType<typeof stat>> | string> {
  return await stat(path).catch((error) => String(error.code));
}

async function denied(path: string, mode: number): Promise<string | undefined> {
  try {
    await access(path, mode);
    return undefined;
  } catch (error) {
    return (error as { code?: unknown }).code === "EROFS" ? "the file system does not allow" : "no permission";
  }
}

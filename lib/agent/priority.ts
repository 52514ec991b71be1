/**
 * How urgent a request is: what it says in Metadata, and what becomes of that in the transport's scheduler (SPEC §2.5.15).
 *
 * @module
 */

import { MxpError } from "../base/errors.ts";
import type { Priority } from "../codec/payloads/metadata.ts";
import { StreamClass } from "../transport/scheduler.ts";
import { quote } from "./quote.ts";

export type { Priority } from "../codec/payloads/metadata.ts";

/** The class of the stream on which a request travels, and its answer back; `unsaid` for one that does not say how urgent it is. */
export function streamClassOf(priority: Priority | undefined, unsaid: StreamClass): StreamClass {
  if (priority === undefined) return unsaid;
  return priority === "bulk" ? StreamClass.BULK : StreamClass.INTERACTIVE;
}

/** @throws {MxpError} `usage` for what is no priority. */
export function checkPriority(priority: Priority | undefined): void {
  if (priority === undefined || priority === "interactive" || priority === "bulk") return;
  throw new MxpError("usage", `a priority is interactive or bulk, not ${quote(String(priority))}`);
}

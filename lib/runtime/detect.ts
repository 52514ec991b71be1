/**
 * Which runtime this is. The only place that asks.
 *
 * @module
 */

/** The runtimes that are supported. */
export type Runtime = "deno" | "bun" | "node";

/** Which runtime this is. Anything unknown counts as Node: its modules are what is used then. */
export function detectRuntime(): Runtime {
  const globals = globalThis as { Deno?: { version?: { deno?: unknown } }; Bun?: { version?: unknown } };
  if (typeof globals.Deno?.version?.deno === "string") return "deno";
  if (typeof globals.Bun?.version === "string") return "bun";
  return "node";
}

/** Name and version of the runtime, such as `deno 2.9.6`. */
export function runtimeVersion(): string {
  const globals = globalThis as {
    Deno?: { version: { deno: string } };
    Bun?: { version: string };
    process?: { versions?: { node?: string } };
  };
  const runtime = detectRuntime();
  switch (runtime) {
    case "deno":
      return `deno ${globals.Deno!.version.deno}`;
    case "bun":
      return `bun ${globals.Bun!.version}`;
    case "node":
      return `node ${globals.process?.versions?.node ?? "unknown"}`;
  }
}

/**
 * What the runtimes' own socket errors have in common.
 *
 * @module
 */

/** Error classes of Deno that older versions raise without a `code`. */
const CODE_OF_CLASS: Readonly<Record<string, string>> = {
  AddrInUse: "EADDRINUSE",
  AddrNotAvailable: "EADDRNOTAVAIL",
  PermissionDenied: "EACCES",
  NotCapable: "EACCES",
};

/** The runtime's own error, with a POSIX name such as `EADDRINUSE` in `code` whatever the runtime. */
export function bindError(thrown: unknown): Error & { code: string } {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const code = (error as { code?: unknown }).code;
  if (typeof code !== "string" || code === "") {
    Object.defineProperty(error, "code", {
      value: CODE_OF_CLASS[error.name] ?? "EUNKNOWN",
      configurable: true,
      enumerable: true,
      writable: true,
    });
  }
  return error as Error & { code: string };
}

/** Whether a send failed because the datagram does not fit through the way out in one piece. */
export function isTooLarge(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === "EMSGSIZE";
}

/** Refuses what can never be bound, before the runtime turns it into something else (−1 wraps, 70000 truncates). */
export function checkPort(port: number): void {
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new RangeError(`port must be a whole number from 0 to 65535, got ${port}`);
  }
}

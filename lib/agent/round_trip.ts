/**
 * Measures a round trip on a connection.
 *
 * @module
 */

import type { Session } from "./session.ts";

/** A lost PING is not repeated by the transport: one more goes out every second. */
const INTERVAL_MS = 1_000;

/** A round trip in microseconds, or why there is none; undefined if the connection ended. */
export function roundTrip(
  session: Session,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<number | "deadline" | "aborted" | undefined> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve("aborted");
    let takeBack = (): void => {};
    const finish = (result: number | "deadline" | "aborted" | undefined): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      takeBack();
      resolve(result);
    };
    const onAbort = (): void => finish("aborted");
    const attempt = (left: number): void => {
      if (left <= 0) return finish("deadline");
      const before = takeBack;
      const current = session.ping(finish);
      takeBack = () => {
        before();
        current();
      };
      timer = setTimeout(() => attempt(left - INTERVAL_MS), Math.min(left, INTERVAL_MS));
    };
    let timer: ReturnType<typeof setTimeout> | undefined;
    signal?.addEventListener("abort", onAbort, { once: true });
    attempt(timeoutMs);
  });
}

/**
 * What is said of a node that was never heard of.
 *
 * @module
 */

import { MxpError } from "../base/errors.ts";

/** A node that was never heard of; `refused`: datagrams that the operating system did not even send. */
export function noAnswer(where: string, timeoutMs: number, refused: number): MxpError {
  const why = refused === 0
    ? "is a node listening there?"
    : `the operating system refused to send ${refused} datagram${
      refused === 1 ? "" : "s"
    }; check the address, routes and firewall`;
  return new MxpError("connect_failed", `no answer from ${where} within ${timeoutMs / 1000} s: ${why}`, {
    retryable: true,
    nothingDone: true,
  });
}

/**
 * What of a request's options travels in its Metadata message.
 *
 * @module
 */

import { MxpError } from "../base/errors.ts";
import type { AttemptInfo, Metadata } from "../codec/payloads/metadata.ts";
import { isTraceparent } from "../codec/traceparent.ts";
import type { RequestOptions } from "./client_types.ts";
import { checkPriority } from "./priority.ts";
import { quote } from "./quote.ts";

/** Longest time-out in milliseconds that travels as such. */
export const MAX_DEADLINE_MS = 0xffff_ffff;

/** Metadata for a request; undefined if it needs none. @throws {MxpError} `usage` for fields that cannot be sent. */
export function metadataOf(
  options: RequestOptions & { readonly capability?: string },
  method: string | undefined,
  timeoutMs: number,
  attempt?: AttemptInfo,
): Metadata | undefined {
  const { traceparent, idempotencyKey, contentType, metadata, capability, priority, hopLimit } = options;
  checkPriority(priority);
  if (hopLimit !== undefined && !(Number.isInteger(hopLimit) && hopLimit >= 0 && hopLimit <= 255)) {
    throw new MxpError("usage", `a hop limit is a whole number from 0 to 255, got ${hopLimit}`);
  }
  if (traceparent !== undefined && !isTraceparent(traceparent)) {
    throw new MxpError("usage", `${quote(traceparent)} is not a traceparent; expected 00-<32 hex>-<16 hex>-<2 hex>`);
  }
  if (idempotencyKey === "") throw new MxpError("usage", "an idempotency key has at least one character");
  const needed = method ?? traceparent ?? idempotencyKey ?? contentType ?? metadata ?? capability ?? priority ??
    hopLimit;
  const exact = timeoutMs > 0 && timeoutMs <= MAX_DEADLINE_MS;
  if (needed === undefined && attempt === undefined && timeoutMs % 1000 === 0) return undefined;
  return {
    ...(method !== undefined && { method }),
    ...(exact && { deadlineMillis: Math.ceil(timeoutMs) }),
    ...(traceparent !== undefined && { traceparent }),
    ...(contentType !== undefined && { contentType }),
    ...(idempotencyKey !== undefined && { idempotencyKey }),
    ...(capability !== undefined && { capability }),
    ...(metadata !== undefined && { application: Object.entries(metadata) }),
    ...(priority !== undefined && { priority }),
    ...(hopLimit !== undefined && { hopLimit }),
    ...(attempt !== undefined && { attempt }),
  };
}

/**
 * An upload whose receiver hashes what it gets.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { Pattern } from "../../lib/testing/pattern.ts";
import { patternOf } from "../../lib/testing/pattern_traffic.ts";
import { runUpload, type UploadOptions, type UploadResult } from "../../lib/testing/upload_run.ts";
import { makeStreamId, StreamKind, StreamRole } from "../../lib/wire/stream_id.ts";

/** How it went. */
export interface HashedUploadResult extends UploadResult {
  /** SHA-256 of what arrived equals that of what was sent. */
  readonly isHashEqual: boolean;
  /** Complete, equal, over one connection. */
  readonly isExact: boolean;
}

const expectedHashes = new Map<number, string>();

/** Runs an upload; see {@link runUpload}. */
export function hashedUpload(options: UploadOptions): HashedUploadResult {
  const hash = createHash("sha256");
  const result = runUpload({ ...options, onDelivered: (bytes) => void hash.update(bytes) });
  const isHashEqual = hash.digest("hex") === sha256OfPattern(options.bytes);
  return { ...result, isHashEqual, isExact: isHashEqual && result.complete && result.connections === 1 };
}

/** What the first stream of an initiator, one-way, should deliver. */
function sha256OfPattern(bytes: number): string {
  const known = expectedHashes.get(bytes);
  if (known !== undefined) return known;
  const pattern = new Pattern();
  const stream = patternOf(makeStreamId(0, StreamRole.INITIATOR, StreamKind.UNIDIRECTIONAL), StreamRole.INITIATOR);
  const hash = createHash("sha256");
  for (let at = 0; at < bytes;) {
    const piece = pattern.piece(stream, at, bytes - at);
    hash.update(piece);
    at += piece.length;
  }
  const expected = hash.digest("hex");
  expectedHashes.set(bytes, expected);
  return expected;
}

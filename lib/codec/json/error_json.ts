/**
 * Error as JSON (SPEC §2.6).
 *
 * @module
 */

import { CodecError } from "../codec_error.ts";
import { ErrorCode, errorCodeByName, errorCodeInfo, errorCodeName } from "../error_codes.ts";
import type { ErrorPayload } from "../payloads/error.ts";
import { parseJsonObject, toJsonBytes } from "./json_object.ts";

/** An error and the code as it was spelt. */
export interface ErrorJson {
  /** `UNSPECIFIED` if the code is none of ours. */
  readonly error: ErrorPayload;
  /** The code as the peer wrote it. */
  readonly codeText: string;
}

/** An error as JSON: `{error, code}`, the code by name. Whether a retry makes sense has no place in it. */
export function encodeErrorJson(error: ErrorPayload): Uint8Array {
  return toJsonBytes({ error: error.text, code: errorCodeName(error.code) });
}

/** Decodes `bytes[at, end)`. Names are compared without regard to case. */
export function decodeErrorJson(bytes: Uint8Array, at = 0, end: number = bytes.length): ErrorJson | CodecError {
  const json = parseJsonObject(bytes, at, end);
  if (json instanceof CodecError) return json;
  const text = json.text("error");
  const codeText = json.text("code");
  const code = errorCodeByName(codeText.toUpperCase()) ?? ErrorCode.UNSPECIFIED;
  const retryable = errorCodeInfo(code)?.retryable ?? false;
  return json.error ?? { error: { code, retryable, text }, codeText };
}

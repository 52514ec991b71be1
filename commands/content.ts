/**
 * What a peer sent, as it stands in JSON.
 *
 * @module
 */

import { Buffer } from "node:buffer";

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** As text if it is UTF-8, else in base64. */
export function content(bytes: Uint8Array): { text: string } | { base64: string } {
  try {
    return { text: utf8.decode(bytes) };
  } catch {
    return { base64: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64") };
  }
}

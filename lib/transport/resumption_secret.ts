/**
 * The secrets that tickets stand for (SPEC §5.1): both sides derive them from a finished handshake, so that none of them ever travels in
 * clear, and the session's own keys do not follow from them.
 *
 * @module
 */

import { concatBytes, writeU32 } from "../base/bytes.ts";
import { hkdf, hkdfExpand } from "../crypto/hkdf.ts";
import type { CryptoProvider } from "../crypto/types.ts";
import type { HandshakeResult } from "./handshake.ts";

const RESUMPTION_LABEL = "mxp1 resumption";
const PSK_LABEL = new TextEncoder().encode("mxp1 psk");
const SECRET_LENGTH = 32;

/** The secret of a connection that its tickets' secrets come from. */
export function resumptionSecret(
  crypto: CryptoProvider,
  role: "initiator" | "responder",
  result: HandshakeResult,
): Uint8Array {
  const { sendSecret, receiveSecret, handshakeHash } = result;
  const both = role === "initiator" ? concatBytes(sendSecret, receiveSecret) : concatBytes(receiveSecret, sendSecret);
  const secret = hkdf(crypto.sha256, handshakeHash, both, RESUMPTION_LABEL, SECRET_LENGTH);
  both.fill(0);
  return secret;
}

/** The secret of the ticket with this number, which the resumed handshake is made with. */
export function ticketPsk(crypto: CryptoProvider, secret: Uint8Array, number: number): Uint8Array {
  const counter = new Uint8Array(4);
  writeU32(counter, 0, number);
  return hkdfExpand(crypto.sha256, secret, concatBytes(PSK_LABEL, counter), SECRET_LENGTH);
}

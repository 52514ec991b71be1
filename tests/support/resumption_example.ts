/**
 * The end of the worked example of docs/SPEC.md §10: what follows from its handshake for a ticket, and a hello with one.
 *
 * @module
 */

import { generateKeyPair } from "../../lib/crypto/key_pair.ts";
import type { CryptoProvider } from "../../lib/crypto/types.ts";
import type { HandshakeResult } from "../../lib/transport/handshake.ts";
import { ResumedInitiator } from "../../lib/transport/resumed_handshake.ts";
import { resumptionSecret, ticketPsk } from "../../lib/transport/resumption_secret.ts";
import { defaultSettings } from "../../lib/transport/settings.ts";
import { ConnectionId, ZERO_CONNECTION_ID } from "../../lib/wire/connection_id.ts";
import { WIRE_VERSION } from "../../lib/wire/constants.ts";
import { writeHandshakePacket } from "../../lib/wire/packet_header.ts";

/** Bytes that count up, as in the rest of the example. */
type Counting = (first: number, length: number) => Uint8Array;

/** Notes the values; `secrets` are the initiator's, `call` is its early data. */
export function noteResumption(
  note: (name: string, bytes: Uint8Array) => Uint8Array,
  counting: Counting,
  crypto: CryptoProvider,
  secrets: HandshakeResult,
  call: Uint8Array,
): void {
  note("handshake hash h", secrets.handshakeHash);
  const resumption = note("resumption secret of that connection", resumptionSecret(crypto, "initiator", secrets));
  const psk = note("psk of its ticket 0", ticketPsk(crypto, resumption, 0));
  const ticket = note("ticket 0 (any bytes, which only the responder understands)", counting(0xc0, 24));
  const ephemeral = note("second initiator ephemeral private key", counting(0xe0, 32));
  const localId = new ConnectionId(note("second initiator connection id", counting(0xa0, 8)));
  const random = { fillPublic: () => {}, fillSecret: (out: Uint8Array) => out.set(ephemeral) };
  const identity = generateKeyPair(crypto.dh, random);
  const context = { crypto, random, identity, localId, parameters: defaultSettings };
  const { hello } = new ResumedInitiator(context, secrets.peerKey, { ticket, psk }, call);
  const datagram = new Uint8Array(1200);
  writeHandshakePacket(datagram, 0, ZERO_CONNECTION_ID, 0, localId, WIRE_VERSION, hello);
  note("UDP datagram 5, InitiatorHello with ticket 0 and the Call message as early data", datagram);
}

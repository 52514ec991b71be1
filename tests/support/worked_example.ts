/**
 * The worked example of docs/SPEC.md §10: one IK handshake and the first packets, with every secret fixed.
 *
 * @module
 */

import { address } from "../../lib/base/address.ts";
import { toHex } from "../../lib/base/bytes.ts";
import type { Random } from "../../lib/base/random.ts";
import { type Micros, millis } from "../../lib/base/time.ts";
import { MessageCodec, messageLength } from "../../lib/codec/message.ts";
import { MessageType } from "../../lib/codec/message_type.ts";
import { hkdfExpand } from "../../lib/crypto/hkdf.ts";
import { nobleProvider } from "../../lib/crypto/noble.ts";
import type { CryptoProvider } from "../../lib/crypto/types.ts";
import { Endpoint } from "../../lib/transport/endpoint.ts";
import { type HandshakeResult, InitiatorHandshake } from "../../lib/transport/handshake.ts";
import { PacketKeys } from "../../lib/transport/packet_protection.ts";
import { defaultSettings } from "../../lib/transport/settings.ts";
import { ResetTokens } from "../../lib/transport/stateless_reset.ts";
import { ConnectionId } from "../../lib/wire/connection_id.ts";
import { decodeHandshakeMessage } from "../../lib/wire/handshake_message.ts";
import { PacketReader } from "../../lib/wire/packet_header.ts";
import { encodeTransportParameters } from "../../lib/wire/transport_parameters.ts";
import { noteResumption } from "./resumption_example.ts";

/** A value of the example: what it is, and its bytes in hex. */
export interface ExampleValue {
  readonly name: string;
  readonly hex: string;
}

const CHACHA_ONLY: CryptoProvider = { ...nobleProvider, suites: [1] };

/** Hands out fixed bytes, in order; there are exactly as many as the example needs. */
class ScriptedRandom implements Random {
  readonly #publics: Uint8Array[];
  readonly #secrets: Uint8Array[];

  constructor(publics: Uint8Array[], secrets: Uint8Array[]) {
    this.#publics = publics;
    this.#secrets = secrets;
  }

  fillPublic(out: Uint8Array): void {
    out.set(this.#publics.shift()!);
  }

  fillSecret(out: Uint8Array): void {
    out.set(this.#secrets.shift()!);
  }
}

/** `length` bytes that count up from `first`. */
function counting(first: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => first + i);
}

/** The secrets that the handshake arrives at: the initiator's part of it, done again. */
function exampleSecrets(
  responderPublic: Uint8Array,
  initiatorStatic: Uint8Array,
  initiatorEphemeral: Uint8Array,
  initiatorId: Uint8Array,
  hello: Uint8Array,
  answer: Uint8Array,
): HandshakeResult {
  const again = new InitiatorHandshake({
    crypto: CHACHA_ONLY,
    random: new ScriptedRandom([], [initiatorEphemeral]),
    identity: { privateKey: initiatorStatic, publicKey: CHACHA_ONLY.dh.publicKey(initiatorStatic) },
    localId: new ConnectionId(initiatorId),
    parameters: defaultSettings,
  }, responderPublic);
  const packets = new PacketReader();
  packets.reset(answer);
  packets.next();
  const message = decodeHandshakeMessage(answer, packets.bodyStart, packets.end)!;
  if (toHex(hello.subarray(32)) !== toHex(again.hello)) throw new Error("the example does not repeat itself");
  return again.onResponderHello(message, packets.senderId)!;
}

/** Runs the example. */
export function workedExample(): ExampleValue[] {
  const values: ExampleValue[] = [];
  const note = (name: string, bytes: Uint8Array): Uint8Array => {
    values.push({ name, hex: toHex(bytes) });
    return bytes;
  };
  const { dh } = CHACHA_ONLY;
  const initiatorStatic = note("initiator static private key", counting(0x00, 32));
  const initiatorPublic = note("initiator static public key", dh.publicKey(initiatorStatic));
  const responderStatic = note("responder static private key", counting(0x20, 32));
  const responderPublic = note("responder static public key", dh.publicKey(responderStatic));
  const initiatorEphemeral = note("initiator ephemeral private key", counting(0x40, 32));
  const responderEphemeral = note("responder ephemeral private key", counting(0x60, 32));
  const initiatorId = note("initiator connection id", counting(0x80, 8));
  const responderId = note("responder connection id", counting(0x90, 8));
  const secondId = note("responder's second connection id", counting(0xb0, 8));

  const parameters = { ...defaultSettings, suites: [1] };
  note(
    "initiator's parameters, in front of one PADDING that fills the UDP datagram",
    encodeTransportParameters({ ...parameters, connectionId: new ConnectionId(initiatorId) }),
  );
  note(
    "responder's parameters, whole (the last 16 bytes are the token of its connection id)",
    encodeTransportParameters({
      ...parameters,
      connectionId: new ConnectionId(responderId),
      resetToken: new ResetTokens(CHACHA_ONLY.sha256, responderStatic).of(new ConnectionId(responderId)),
    }),
  );

  const here = address("192.0.2.1", 40000), there = address("192.0.2.2", 9000);
  const client = new Endpoint({
    identity: { privateKey: initiatorStatic, publicKey: initiatorPublic },
    crypto: CHACHA_ONLY,
    random: new ScriptedRandom([initiatorId], [initiatorEphemeral]),
    accept: false,
  });
  const server = new Endpoint({
    identity: { privateKey: responderStatic, publicKey: responderPublic },
    crypto: CHACHA_ONLY,
    random: new ScriptedRandom([responderId, secondId], [responderEphemeral]),
    accept: true,
  });
  const out = new Uint8Array(1200);
  let now = 0 as Micros;
  const connection = client.connect(now, there, { peerKey: responderPublic });
  const hello = note("UDP datagram 1, InitiatorHello", out.slice(0, connection.pollTransmit(now, out)));
  now = millis(10);
  const accepted = server.handleDatagram(now, here, hello)!;
  const answer = note("UDP datagram 2, ResponderHello", out.slice(0, accepted.pollTransmit(now, out)));
  now = millis(20);
  client.handleDatagram(now, there, answer);
  connection.pollEvent();

  const call = new Uint8Array(messageLength(22));
  const payload = new Uint8Array(22);
  payload[16] = 5; // timeout, seconds; the target is the nil UUID, the node itself
  payload.set(new TextEncoder().encode("hi"), 20);
  const header = { type: MessageType.CALL, flags: 0, idLow: 1, idHigh: 0, traceLow: 0x0a0b0c0d, traceHigh: 0 };
  new MessageCodec().encode(call, 0, header, payload);
  note("Call message", call);
  const id = connection.openStream(false, 1);
  if (id === -1) throw new Error("the example's connection is not established");
  connection.write(id, call, true);
  const finish = note(
    "UDP datagram 3, InitiatorFinish and the first protected packet",
    out.slice(0, connection.pollTransmit(now, out)),
  );
  const secrets = exampleSecrets(responderPublic, initiatorStatic, initiatorEphemeral, initiatorId, hello, answer);
  note("initiator secret (first of Noise Split)", secrets.sendSecret);
  note("responder secret (second of Noise Split)", secrets.receiveSecret);
  const { sha256, chacha20poly1305 } = CHACHA_ONLY;
  note("initiator key", hkdfExpand(sha256, secrets.sendSecret, "mxp1 key", 32));
  note("initiator iv", hkdfExpand(sha256, secrets.sendSecret, "mxp1 iv", 12));
  note("initiator hp", hkdfExpand(sha256, secrets.sendSecret, "mxp1 hp", 32));
  const opened = (datagram: Uint8Array, secret: Uint8Array): Uint8Array => {
    const keys = new PacketKeys(chacha20poly1305, sha256, secret);
    const packets = new PacketReader(), plaintext = new Uint8Array(1200);
    packets.reset(datagram);
    while (packets.next()) {
      if (!packets.isHandshake && keys.open(datagram, packets.start, packets.end, plaintext)) {
        return plaintext.slice(keys.plaintextStart, keys.plaintextEnd);
      }
    }
    throw new Error("the example's packet does not open");
  };
  note("plaintext of that packet (one STREAM_DATA frame; flags 0x02)", opened(finish, secrets.sendSecret));
  now = millis(30);
  server.handleDatagram(now, here, finish.slice());
  const last = note(
    "UDP datagram 4, the responder's first protected packet",
    out.slice(0, accepted.pollTransmit(millis(55), out)),
  );
  note(
    "plaintext of that packet (ACK after 25 ms, HANDSHAKE_DONE, NEW_CONNECTION_ID; flags 0x06)",
    opened(last, secrets.receiveSecret),
  );
  noteResumption(note, counting, CHACHA_ONLY, secrets, call);
  return values;
}

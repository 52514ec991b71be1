/**
 * The example of a sealed call in docs/SPEC.md §8.14, made from fixed keys and a fixed time.
 *
 * @module
 */

import { toHex } from "../../lib/base/bytes.ts";
import { MessageFlag } from "../../lib/codec/message_header.ts";
import { MessageType } from "../../lib/codec/message_type.ts";
import { identityFromPrivateKey } from "../../lib/agent/identity.ts";
import { Sealer } from "../../lib/agent/packing/sealing.ts";
import { nobleProvider } from "../../lib/crypto/noble.ts";

/** Bytes that count up. */
const counting = (first: number, length: number): Uint8Array => new Uint8Array(length).map((_, i) => first + i);

/** What is noted in it, in order. */
export function sealExample(): { readonly name: string; readonly hex: string }[] {
  const noted: { name: string; hex: string }[] = [];
  const note = <T extends Uint8Array>(name: string, bytes: T): T => {
    noted.push({ name, hex: toHex(bytes) });
    return bytes;
  };
  const crypto = nobleProvider;
  const identity = (name: string, first: number) =>
    identityFromPrivateKey(note(`${name} static private key`, counting(first, 32)), crypto);
  const caller = identity("caller", 0x00);
  const agent = identity("agent", 0x20);
  const random = (name: string, first: number) => {
    const key = note(`${name} ephemeral private key`, counting(first, 32));
    return { fillSecret: (out: Uint8Array) => out.set(key), fillPublic: () => {} };
  };
  const asking = new Sealer(crypto, random("caller", 0x40), caller);
  const answering = new Sealer(crypto, random("agent", 0x60), agent);
  const trace = { traceHigh: 0x01020304, traceLow: 0x05060708 };
  const context = { type: MessageType.CALL, ...trace };
  const head = { timeMillis: 1_700_000_000_000, target: counting(0xa0, 16), metadata: { method: "keep" } };
  const body = new TextEncoder().encode("hello");
  const request = asking.request(agent.publicKey, context, MessageFlag.ENCRYPTED, head, body);
  const sealed = note('data of the Call: "hello", method "keep"', request.seal() as Uint8Array);
  note("handshake hash of the request", request.hash);
  const opened = answering.openRequest(context, MessageFlag.ENCRYPTED, sealed)!;
  const more = { type: MessageType.RESPONSE, ...trace, more: opened.hash };
  note(
    'payload of the Response: "kept"',
    answering.answer(opened.sender, more, MessageFlag.ENCRYPTED, new TextEncoder().encode("kept")) as Uint8Array,
  );
  return noted;
}

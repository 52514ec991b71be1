import assert from "node:assert/strict";
import { test } from "node:test";
import { blake2s } from "@noble/hashes/blake2.js";
import { toHex } from "../../lib/base/bytes.ts";
import { keyPairFrom } from "../../lib/crypto/key_pair.ts";
import { nobleHash, nobleProvider } from "../../lib/crypto/noble.ts";
import { selectProvider } from "../../lib/crypto/select.ts";
import type { Aead, CryptoProvider, Hash } from "../../lib/crypto/types.ts";
import { CipherState } from "../../lib/noise/cipher_state.ts";
import { HandshakeState } from "../../lib/noise/handshake_state.ts";
import { hex, readVectors } from "../crypto/vectors.ts";
import { findPattern } from "./more_patterns.ts";

interface Vector {
  readonly protocol_name: string;
  readonly source: string;
  readonly init_prologue: string;
  readonly init_ephemeral: string;
  readonly init_static?: string;
  readonly init_remote_static?: string;
  readonly init_psks?: string[];
  readonly resp_prologue: string;
  readonly resp_ephemeral?: string;
  readonly resp_static?: string;
  readonly resp_remote_static?: string;
  readonly resp_psks?: string[];
  readonly handshake_hash?: string;
  readonly messages: { readonly payload: string; readonly ciphertext: string }[];
}

const file = readVectors<{ vectors: Vector[] }>("noise_vectors.json");
const AEADS: Record<string, (provider: CryptoProvider) => Aead> = {
  ChaChaPoly: (provider) => provider.chacha20poly1305,
  AESGCM: (provider) => provider.aes256gcm,
};
const HASHES: Record<string, (provider: CryptoProvider) => Hash> = {
  SHA256: (provider) => provider.sha256,
  BLAKE2s: () => nobleHash("BLAKE2s", blake2s),
};

/** Runs one vector in both roles; throws at the first difference, says false when a part of its name is not known. */
function run(vector: Vector, provider: CryptoProvider): boolean {
  const [, patternName, dhName, aeadName, hashName] = vector.protocol_name.split("_");
  const pattern = findPattern(patternName);
  if (pattern === undefined || dhName !== "25519" || !(aeadName in AEADS) || !(hashName in HASHES)) return false;
  const { dh } = provider, aead = AEADS[aeadName](provider), hash = HASHES[hashName](provider);
  const side = (
    initiator: boolean,
    prologue: string,
    ephemeral: string | undefined,
    staticKey: string | undefined,
    remoteStatic: string | undefined,
    psks: string[] | undefined,
  ): HandshakeState =>
    new HandshakeState({
      pattern,
      initiator,
      prologue: hex(prologue),
      dh,
      aead,
      hash,
      random: { fillSecret: (out) => out.set(hex(ephemeral!)) },
      staticKey: staticKey === undefined ? undefined : keyPairFrom(dh, hex(staticKey)),
      remoteStatic: remoteStatic === undefined ? undefined : hex(remoteStatic),
      psks: (psks ?? []).map(hex),
    });
  const initiator = side(
    true,
    vector.init_prologue,
    vector.init_ephemeral,
    vector.init_static,
    vector.init_remote_static,
    vector.init_psks,
  );
  const responder = side(
    false,
    vector.resp_prologue,
    vector.resp_ephemeral,
    vector.resp_static,
    vector.resp_remote_static,
    vector.resp_psks,
  );

  const oneWay = pattern.messages.length === 1;
  const handshake = vector.messages.slice(0, pattern.messages.length);
  handshake.forEach(({ payload, ciphertext }, i) => {
    const [writer, reader] = i % 2 === 0 ? [initiator, responder] : [responder, initiator];
    assert.equal(toHex(writer.writeMessage(hex(payload))), ciphertext, `message ${i} written`);
    const read = reader.readMessage(hex(ciphertext));
    assert.equal(read && toHex(read), payload, `message ${i} read`);
  });
  assert.equal(toHex(initiator.handshakeHash), toHex(responder.handshakeHash));
  if (vector.handshake_hash !== undefined) assert.equal(toHex(initiator.handshakeHash), vector.handshake_hash);

  const [sendKey, receiveKey] = initiator.split();
  assert.deepEqual(responder.split(), [sendKey, receiveKey]);
  const keys = [sendKey, receiveKey].map((key) => ({
    out: new CipherState(aead, key),
    in: new CipherState(aead, key),
  }));
  const nothing = new Uint8Array(0);
  vector.messages.slice(handshake.length).forEach(({ payload, ciphertext }, i) => {
    const direction = keys[oneWay ? 0 : (handshake.length + i) % 2];
    const plain = hex(payload), sealed = new Uint8Array(plain.length + 16);
    assert.equal(direction.out.encryptWithAd(nothing, plain, sealed), sealed.length);
    assert.equal(toHex(sealed), ciphertext, `transport message ${i} sealed`);
    const opened = direction.in.decryptWithAd(nothing, sealed);
    assert.equal(opened && toHex(opened), payload, `transport message ${i} opened`);
  });
  return true;
}

const selected = selectProvider();
const providers: [string, CryptoProvider][] = [["noble", nobleProvider]];
if (selected.name !== "noble") providers.push([selected.name, selected]);

for (const [name, provider] of providers) {
  test(`all Noise vectors come out byte for byte over ${name}`, { skip: !file }, () => {
    const unknown: string[] = [];
    let passed = 0;
    for (const [index, vector] of file!.vectors.entries()) {
      try {
        if (run(vector, provider)) passed++;
        else unknown.push(vector.protocol_name);
      } catch (error) {
        throw new Error(`vector ${index}, ${vector.protocol_name} (${vector.source})`, { cause: error });
      }
    }
    console.error(`Noise vectors over ${name}: ${passed} of ${file!.vectors.length} passed`);
    assert.deepEqual(unknown, []);
  });
}

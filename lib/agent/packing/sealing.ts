/**
 * Messages sealed end to end (SPEC §8.14): what is bound to them, and what is inside.
 *
 * @module
 */

import { bytesEqual, concatBytes, writeU32 } from "../../base/bytes.ts";
import type { Random } from "../../base/random.ts";
import { CodecError } from "../../codec/codec_error.ts";
import { MessageFlag } from "../../codec/message_header.ts";
import { decodeError, encodeError, type ErrorPayload, sizeOfError } from "../../codec/payloads/error.ts";
import type { Metadata } from "../../codec/payloads/metadata.ts";
import {
  decodeSealedHead,
  encodeSealedHead,
  type SealedHead,
  sizeOfSealedHead,
} from "../../codec/payloads/sealed_head.ts";
import type { CryptoProvider } from "../../crypto/types.ts";
import type { CipherState } from "../../noise/cipher_state.ts";
import { SharedSecrets } from "../../noise/shared_secrets.ts";
import { EnvelopeOpener, type EnvelopeParts, EnvelopeSealer } from "../../noise/envelope.ts";
import { type Identity, keyPairOf, sealMemoryOf } from "../identity.ts";

const LABEL = new TextEncoder().encode("mxp1 seal");
const PACKED = MessageFlag.COMPRESSED | MessageFlag.ENCRYPTED;
/** Bytes of a body that are sealed or opened without a pause: some milliseconds where it is slow. */
const STEP_BYTES = 262_144;
const EMPTY = new Uint8Array(0);

/** The first byte in front of an answer. */
const AnswerKind = { RESPONSE: 0, ERROR: 1 } as const;

/** What survives a message's way through nodes, and is therefore bound to its seal. */
export interface SealContext {
  /** Of the message. */
  readonly type: number;
  readonly traceHigh: number;
  readonly traceLow: number;
  /** Of an event: its topic as UTF-8. Of an answer: the hash of what it answers. */
  readonly more?: Uint8Array;
}

/** A request that is about to be sealed. */
export interface SealedRequest {
  /** What names it, and what its answer is bound to. */
  readonly hash: Uint8Array;
  /** How long it is when it is sealed. */
  readonly length: number;
  /** Seals the body. */
  readonly seal: () => Uint8Array | Promise<Uint8Array>;
}

/** What is known of a sealed request whose head was opened. */
export interface OpenedRequest {
  /** The key of who sealed it, proven. */
  readonly sender: Uint8Array;
  /** What names it, and what its answer is bound to. */
  readonly hash: Uint8Array;
  readonly head: SealedHead;
  readonly bodyLength: number;
  /** The body; undefined if it is not authentic. */
  readonly body: () => Uint8Array | undefined | Promise<Uint8Array | undefined>;
  /** What opens the messages behind it; for what has no body. */
  readonly cipher: () => CipherState;
}

/** A sealed answer, opened. */
export type OpenedAnswer =
  | { readonly kind: "response"; readonly data: Uint8Array }
  | ({ readonly kind: "error" } & ErrorPayload);

/** Seals and opens for one identity. */
export class Sealer {
  readonly #parts: EnvelopeParts;

  constructor(crypto: CryptoProvider, random: Random, identity: Identity) {
    const secrets = sealMemoryOf(identity).secrets ??= new SharedSecrets(crypto.dh);
    this.#parts = { crypto, random, keyPair: keyPairOf(identity), secrets };
  }

  /** Prepares a request. @throws RangeError for metadata out of bounds and for a key that is none. */
  request(
    recipient: Uint8Array,
    context: SealContext,
    packed: number,
    head: SealedHead,
    body: Uint8Array,
  ): SealedRequest {
    const encoded = encodedHead(head);
    const sealer = new EnvelopeSealer(this.#parts, recipient, prologueOf(context, packed), encoded, body);
    encoded.fill(0);
    const { hash, bytes } = sealer;
    return { hash, length: bytes.length, seal: () => finish(sealer, body.length, () => bytes) };
  }

  /** Opens the head of a request; undefined if it is not one that was sealed to us. */
  openRequest(context: SealContext, packed: number, sealed: Uint8Array): OpenedRequest | undefined {
    const opener = EnvelopeOpener.open(this.#parts, prologueOf(context, packed), sealed);
    if (opener === undefined) return undefined;
    const head = decodeSealedHead(opener.head);
    if (head instanceof CodecError) return undefined;
    const { sender, hash, bodyLength } = opener;
    return {
      sender,
      hash,
      head,
      bodyLength,
      body: () => finish(opener, bodyLength, () => opener.body),
      cipher: () => opener.cipher,
    };
  }

  /** Seals an answer to whoever sealed the request with the hash in the context. */
  answer(
    recipient: Uint8Array,
    context: SealContext,
    packed: number,
    data: Uint8Array,
  ): Uint8Array | Promise<Uint8Array> {
    return this.#answer(recipient, context, packed, AnswerKind.RESPONSE, data);
  }

  /** The same for an answer that is an Error. */
  errorAnswer(recipient: Uint8Array, context: SealContext, error: ErrorPayload): Uint8Array {
    const body = new Uint8Array(sizeOfError(error));
    encodeError(body, 0, error);
    // Texts of errors are short enough for one step.
    return this.#answer(recipient, context, MessageFlag.ENCRYPTED, AnswerKind.ERROR, body) as Uint8Array;
  }

  /** Opens an answer; undefined if it was not sealed to us, by that sender, for that request. */
  openAnswer(
    sender: Uint8Array,
    context: SealContext,
    packed: number,
    sealed: Uint8Array,
  ): OpenedAnswer | undefined | Promise<OpenedAnswer | undefined> {
    const opener = EnvelopeOpener.open(this.#parts, prologueOf(context, packed), sealed);
    if (opener === undefined || !bytesEqual(opener.sender, sender) || opener.head.length !== 1) return undefined;
    const kind = opener.head[0];
    return finish(opener, opener.bodyLength, () => {
      const { body } = opener;
      if (body === undefined) return undefined;
      if (kind === AnswerKind.RESPONSE) return { kind: "response", data: body };
      if (kind !== AnswerKind.ERROR || (packed & MessageFlag.COMPRESSED) !== 0) return undefined;
      const error = decodeError(body, 0, body.length);
      return error instanceof CodecError ? undefined : { kind: "error", ...error };
    });
  }

  /** Begins the sealing of a direction of an agent stream: the envelope that goes ahead, and what seals the messages behind it. */
  beginStream(
    recipient: Uint8Array,
    context: SealContext,
    head: Uint8Array,
  ): { readonly payload: Uint8Array; readonly cipher: CipherState; readonly hash: Uint8Array } {
    const prologue = prologueOf(context, MessageFlag.ENCRYPTED);
    const { bytes, cipher, hash } = new EnvelopeSealer(this.#parts, recipient, prologue, head, EMPTY);
    return { payload: bytes, cipher, hash };
  }

  /** What opens the answers on an agent stream; undefined if they are not sealed to us, by that sender, for that stream. */
  openStream(sender: Uint8Array, context: SealContext, sealed: Uint8Array): CipherState | undefined {
    const opener = EnvelopeOpener.open(this.#parts, prologueOf(context, MessageFlag.ENCRYPTED), sealed);
    if (opener === undefined || opener.bodyLength > 0 || opener.head.length > 0) return undefined;
    return bytesEqual(opener.sender, sender) ? opener.cipher : undefined;
  }

  #answer(
    recipient: Uint8Array,
    context: SealContext,
    packed: number,
    kind: number,
    body: Uint8Array,
  ): Uint8Array | Promise<Uint8Array> {
    const prologue = prologueOf(context, packed);
    const sealer = new EnvelopeSealer(this.#parts, recipient, prologue, Uint8Array.of(kind), body);
    return finish(sealer, body.length, () => sealer.bytes);
  }
}

/** A sealed head as bytes. @throws RangeError for metadata out of bounds. */
export function encodedHead(head: SealedHead): Uint8Array {
  const encoded = new Uint8Array(sizeOfSealedHead(head));
  encodeSealedHead(encoded, 0, head);
  return encoded;
}

/** What of a request's metadata is for its recipient alone, and what nodes need on the way. */
export function splitMetadata(metadata: Metadata): { readonly inner: Metadata; readonly outer: Metadata } {
  const { method, contentType, idempotencyKey, application, accept, ...outer } = metadata;
  const { capability } = outer;
  const inner = {
    ...(method !== undefined && { method }),
    ...(contentType !== undefined && { contentType }),
    ...(idempotencyKey !== undefined && { idempotencyKey }),
    ...(application !== undefined && { application }),
    ...(accept !== undefined && { accept }),
    ...(capability !== undefined && { capability }),
  };
  return { inner, outer };
}

/** What both sides must agree on: see SPEC §8.14. The message id is not among it, because nodes change it. */
function prologueOf({ type, traceHigh, traceLow, more = EMPTY }: SealContext, packed: number): Uint8Array {
  const fixed = new Uint8Array(LABEL.length + 10);
  fixed.set(LABEL);
  fixed[LABEL.length] = type;
  fixed[LABEL.length + 1] = packed & PACKED;
  writeU32(fixed, LABEL.length + 2, traceLow);
  writeU32(fixed, LABEL.length + 6, traceHigh);
  return more.length === 0 ? fixed : concatBytes(fixed, more);
}

/** Does the work on a body: at once if it is small, else with pauses in which the event loop gets on. */
function finish<T>(
  work: { readonly isDone: boolean; advance(bytes: number): void },
  length: number,
  result: () => T,
): T | Promise<T> {
  work.advance(STEP_BYTES);
  return length <= STEP_BYTES ? result() : finishLater(work, result);
}

async function finishLater<T>(
  work: { readonly isDone: boolean; advance(bytes: number): void },
  result: () => T,
): Promise<T> {
  while (!work.isDone) {
    await new Promise((resolve) => setTimeout(resolve, 0));
    work.advance(STEP_BYTES);
  }
  return result();
}

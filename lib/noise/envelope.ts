/**
 * Something of any length sealed to a static key: one message of Noise pattern X, and transport messages behind it (SPEC
 * §8.14).
 *
 * ```
 * length u16 | X message: e, s, {body length u32, head} | transport messages: body in segments of 65 519 bytes
 * ```
 *
 * The head is for what says how the body is to be taken: it is authentic before a byte of the body is looked at. Both
 * directions go in steps, since a body of 16 MiB takes longer than an event loop may stand still.
 *
 * @module
 */

import { readU16, readU32, writeU16, writeU32 } from "../base/bytes.ts";
import type { Random } from "../base/random.ts";
import { type CryptoProvider, type KeyPair, TAG_LENGTH } from "../crypto/types.ts";
import { CipherState } from "./cipher_state.ts";
import { HandshakeState, MAX_NOISE_MESSAGE_LENGTH } from "./handshake_state.ts";
import type { SharedSecrets } from "./shared_secrets.ts";
import { PATTERN_X } from "./patterns.ts";

const LENGTH_BYTES = 2;
const BODY_LENGTH_BYTES = 4;
/** Ephemeral key, sealed static key, and the tag of the payload. */
const X_OVERHEAD = 32 + 32 + TAG_LENGTH + TAG_LENGTH;
/** Most bytes of the body in a transport message. */
const SEGMENT_BYTES = MAX_NOISE_MESSAGE_LENGTH - TAG_LENGTH;
const EMPTY = new Uint8Array(0);

/** Most bytes of the head. */
export const MAX_ENVELOPE_HEAD_BYTES: number = MAX_NOISE_MESSAGE_LENGTH - X_OVERHEAD - BODY_LENGTH_BYTES;

/** What sealing and opening work with. */
export interface EnvelopeParts {
  readonly crypto: Pick<CryptoProvider, "dh" | "sha256" | "chacha20poly1305">;
  readonly random: Pick<Random, "fillSecret">;
  /** Ours: the sender's who seals, the recipient's who opens. */
  readonly keyPair: KeyPair;
  /** What our key has in common with others, if that is to be remembered. */
  readonly secrets?: SharedSecrets;
}

/** How long an envelope is. */
export function envelopeLength(headLength: number, bodyLength: number): number {
  const segments = Math.ceil(bodyLength / SEGMENT_BYTES);
  return LENGTH_BYTES + X_OVERHEAD + BODY_LENGTH_BYTES + headLength + bodyLength + segments * TAG_LENGTH;
}

/** Work on the body of an envelope, in steps. */
interface BodyWork {
  /** Does a step of about so many bytes. */
  advance(bytes: number): void;
}

/** An envelope that is being sealed. */
export class EnvelopeSealer implements BodyWork {
  /** The envelope; complete once {@link isDone}. */
  readonly bytes: Uint8Array;
  /** The same on both sides, different for every envelope: what names it. */
  readonly hash: Uint8Array;
  readonly #cipher: CipherState;
  readonly #body: Uint8Array;
  #from = 0;
  #to: number;

  /**
   * Seals the head; the body is read by {@link advance}, and must not change until then.
   *
   * @param prologue what both sides know without it being sent.
   * @throws RangeError for a head that is too long, and for a recipient's key that is none.
   */
  constructor(
    parts: EnvelopeParts,
    recipient: Uint8Array,
    prologue: Uint8Array,
    head: Uint8Array,
    body: Uint8Array,
  ) {
    if (head.length > MAX_ENVELOPE_HEAD_BYTES) {
      throw new RangeError(`the head of an envelope has ${head.length} bytes, at most ${MAX_ENVELOPE_HEAD_BYTES}`);
    }
    const handshake = handshakeOf(parts, prologue, recipient);
    const payload = new Uint8Array(BODY_LENGTH_BYTES + head.length);
    writeU32(payload, 0, body.length);
    payload.set(head, BODY_LENGTH_BYTES);
    const message = handshake.writeMessage(payload);
    payload.fill(0);
    this.bytes = new Uint8Array(envelopeLength(head.length, body.length));
    writeU16(this.bytes, 0, message.length);
    this.bytes.set(message, LENGTH_BYTES);
    this.#to = LENGTH_BYTES + message.length;
    this.#body = body;
    this.hash = handshake.handshakeHash;
    this.#cipher = bodyCipher(parts, handshake);
  }

  /** What further transport messages are sealed with, behind an envelope without a body. @throws TypeError if it has one. */
  get cipher(): CipherState {
    return withoutBody(this.#cipher, this.#body.length);
  }

  /** Whether {@link bytes} is complete. */
  get isDone(): boolean {
    return this.#from === this.#body.length;
  }

  advance(bytes: number): void {
    for (const end = this.#from + bytes; !this.isDone && this.#from < end;) {
      const next = Math.min(this.#from + SEGMENT_BYTES, this.#body.length);
      this.#to += this.#cipher.encryptWithAd(
        EMPTY,
        this.#body.subarray(this.#from, next),
        this.bytes.subarray(this.#to),
      );
      this.#from = next;
    }
    if (this.isDone && this.#body.length > 0) this.#cipher.clear();
  }
}

/** An envelope whose head was authentic. */
export class EnvelopeOpener implements BodyWork {
  /** Who sealed it: 32 bytes, proven. */
  readonly sender: Uint8Array;
  readonly head: Uint8Array;
  /** How long the body is. */
  readonly bodyLength: number;
  /** See {@link EnvelopeSealer.hash}. */
  readonly hash: Uint8Array;
  readonly #cipher: CipherState;
  readonly #sealed: Uint8Array;
  #body: Uint8Array | undefined;
  #from: number;
  #to = 0;
  #isDamaged = false;

  private constructor(
    sealed: Uint8Array,
    from: number,
    payload: Uint8Array,
    handshake: HandshakeState,
    cipher: CipherState,
  ) {
    this.#sealed = sealed;
    this.#from = from;
    this.#cipher = cipher;
    this.sender = handshake.remoteStatic!;
    this.hash = handshake.handshakeHash;
    this.head = payload.slice(BODY_LENGTH_BYTES);
    this.bodyLength = readU32(payload, 0);
    payload.fill(0);
  }

  /**
   * Opens the head. Undefined if the bytes are not an envelope of exactly this length, sealed to our key with this prologue.
   * They must not change until {@link body} was taken.
   */
  static open(parts: EnvelopeParts, prologue: Uint8Array, sealed: Uint8Array): EnvelopeOpener | undefined {
    if (sealed.length < LENGTH_BYTES) return undefined;
    const from = LENGTH_BYTES + readU16(sealed, 0);
    if (from > sealed.length || from < LENGTH_BYTES + X_OVERHEAD + BODY_LENGTH_BYTES) return undefined;
    const handshake = handshakeOf(parts, prologue, undefined);
    const payload = handshake.readMessage(sealed.subarray(LENGTH_BYTES, from), (payload) => {
      const headLength = payload.length - BODY_LENGTH_BYTES;
      return headLength >= 0 && envelopeLength(headLength, readU32(payload, 0)) === sealed.length;
    });
    if (payload === undefined) return undefined;
    return new EnvelopeOpener(sealed, from, payload, handshake, bodyCipher(parts, handshake));
  }

  /** What further transport messages are opened with, behind an envelope without a body. @throws TypeError if it has one. */
  get cipher(): CipherState {
    return withoutBody(this.#cipher, this.bodyLength);
  }

  /** Whether there is nothing more to open: {@link body} says with what outcome. */
  get isDone(): boolean {
    return this.#isDamaged || this.#to === this.bodyLength;
  }

  advance(bytes: number): void {
    // Its length is that of what is there, and authentic.
    this.#body ??= new Uint8Array(this.bodyLength);
    for (const end = this.#to + bytes; !this.isDone && this.#to < end;) {
      const length = Math.min(SEGMENT_BYTES, this.bodyLength - this.#to);
      const segment = this.#sealed.subarray(this.#from, this.#from + length + TAG_LENGTH);
      const plain = this.#cipher.decryptWithAd(EMPTY, segment);
      if (plain === undefined) {
        this.#isDamaged = true;
        break;
      }
      this.#body.set(plain, this.#to);
      this.#to += length;
      this.#from += length + TAG_LENGTH;
    }
    if (this.isDone && this.bodyLength > 0) this.#cipher.clear();
  }

  /** The whole body once {@link isDone}; undefined if it did not authenticate. */
  get body(): Uint8Array | undefined {
    if (this.#isDamaged || !this.isDone) return undefined;
    return this.#body ?? EMPTY;
  }
}

/** A cipher whose nonces begin at 0. */
function withoutBody(cipher: CipherState, bodyLength: number): CipherState {
  if (bodyLength > 0) throw new TypeError("the keys of an envelope with a body are for that body alone");
  return cipher;
}

function handshakeOf(
  { crypto, random, keyPair, secrets }: EnvelopeParts,
  prologue: Uint8Array,
  recipient: Uint8Array | undefined,
): HandshakeState {
  return new HandshakeState({
    pattern: PATTERN_X,
    initiator: recipient !== undefined,
    prologue,
    dh: secrets?.forHandshake() ?? crypto.dh,
    aead: crypto.chacha20poly1305,
    hash: crypto.sha256,
    random,
    staticKey: keyPair,
    remoteStatic: recipient,
  });
}

/** The cipher of the sender's direction. A one-way pattern has no use for the other one (Noise §7.4). */
function bodyCipher({ crypto }: EnvelopeParts, handshake: HandshakeState): CipherState {
  const [forth, back] = handshake.split();
  const cipher = new CipherState(crypto.chacha20poly1305, forth);
  forth.fill(0);
  back.fill(0);
  return cipher;
}

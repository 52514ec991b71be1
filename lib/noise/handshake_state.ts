/**
 * The HandshakeState of the Noise framework (§5.3): one engine for every pattern.
 *
 * @module
 */

import type { Random } from "../base/random.ts";
import { generateKeyPair } from "../crypto/key_pair.ts";
import { type Aead, type Dh, type Hash, type KeyPair, TAG_LENGTH } from "../crypto/types.ts";
import { isAcceptablePublicKey, X25519_KEY_LENGTH } from "../crypto/x25519_public_key.ts";
import { type HandshakePattern, protocolName, pskCount, type Token } from "./patterns.ts";
import { SymmetricState } from "./symmetric_state.ts";

/** Most bytes in a Noise message (§3). */
export const MAX_NOISE_MESSAGE_LENGTH = 65535;

/** Length of a pre-shared key (§9). */
export const PSK_LENGTH = 32;

/** What a handshake starts from. */
export interface HandshakeOptions {
  readonly pattern: HandshakePattern;
  /** Whether this side sends the first message. */
  readonly initiator: boolean;
  /** What both sides must agree on without sending it. Copied. */
  readonly prologue: Uint8Array;
  readonly dh: Dh;
  readonly aead: Aead;
  readonly hash: Hash;
  /** Where ephemeral private keys come from. */
  readonly random: Pick<Random, "fillSecret">;
  /** This side's static key; needed when the pattern uses one. */
  readonly staticKey?: KeyPair | undefined;
  /** The peer's static key; given exactly when the pattern has it known beforehand. */
  readonly remoteStatic?: Uint8Array | undefined;
  /** One 32-byte key for each psk token, in their order. Copied. */
  readonly psks?: readonly Uint8Array[];
}

/** Everything that a message changes, so that it can be tried first and kept afterwards. */
interface Keys {
  readonly symmetric: SymmetricState;
  readonly ephemeral: KeyPair | undefined;
  readonly remoteEphemeral: Uint8Array | undefined;
  readonly remoteStatic: Uint8Array | undefined;
}
type Draft = { -readonly [Name in keyof Keys]: Keys[Name] };

/**
 * One handshake, seen from one side. Messages are written and read in turn; then {@link split} gives the secrets.
 *
 * What a peer sends never throws and never changes anything unless all of it authenticated: after `undefined` the state is
 * what it was, and another message may be tried. Misuse by the caller (out of turn, too large, keys missing) throws.
 *
 * @example
 * ```ts
 * import { generateKeyPair, nobleProvider } from "../crypto/mod.ts";
 * import { SeededRandom } from "../testing/seeded_random.ts";
 * import { HandshakeState } from "./handshake_state.ts";
 * import { PATTERN_XX } from "./patterns.ts";
 *
 * const random = new SeededRandom(1); // a secure source outside of examples
 * const { dh, chacha20poly1305: aead, sha256: hash } = nobleProvider;
 * const common = { pattern: PATTERN_XX, prologue: new Uint8Array(0), dh, aead, hash, random };
 * const initiator = new HandshakeState({ ...common, initiator: true, staticKey: generateKeyPair(dh, random) });
 * const responder = new HandshakeState({ ...common, initiator: false, staticKey: generateKeyPair(dh, random) });
 *
 * const nothing = new Uint8Array(0);
 * responder.readMessage(initiator.writeMessage(nothing));
 * initiator.readMessage(responder.writeMessage(nothing));
 * responder.readMessage(initiator.writeMessage(nothing));
 * const [initiatorSecret, responderSecret] = initiator.split();
 * ```
 */
export class HandshakeState {
  readonly #pattern: HandshakePattern;
  readonly #initiator: boolean;
  readonly #dh: Dh;
  readonly #random: Pick<Random, "fillSecret">;
  readonly #static: KeyPair | undefined;
  readonly #psks: readonly Uint8Array[];
  #keys: Keys;
  /** Index of the message whose turn it is. */
  #turn = 0;
  #wasSplit = false;

  /**
   * Throws a TypeError for keys that the pattern needs and were not given or the reverse, and a RangeError for a remote
   * static key that no handshake can succeed with (non-canonical or of low order).
   */
  constructor(options: HandshakeOptions) {
    const { pattern, initiator, dh, aead, hash, staticKey, remoteStatic, psks = [] } = options;
    checkKeys(pattern, initiator, staticKey, remoteStatic, psks);
    this.#pattern = pattern;
    this.#initiator = initiator;
    this.#dh = dh;
    this.#random = options.random;
    this.#static = staticKey;
    this.#psks = psks.map((psk) => psk.slice());

    const symmetric = SymmetricState.initialize(protocolName(pattern, dh, aead, hash), hash, aead);
    symmetric.mixHash(options.prologue);
    const initiatorStatic = initiator ? staticKey?.publicKey : remoteStatic;
    const responderStatic = initiator ? remoteStatic : staticKey?.publicKey;
    if (pattern.initiatorStaticKnown) symmetric.mixHash(initiatorStatic!);
    if (pattern.responderStaticKnown) symmetric.mixHash(responderStatic!);
    this.#keys = { symmetric, ephemeral: undefined, remoteEphemeral: undefined, remoteStatic: remoteStatic?.slice() };
  }

  /** Whether every message has been exchanged. */
  get isFinished(): boolean {
    return this.#turn === this.#pattern.messages.length;
  }

  /** Whether the next thing to do is {@link writeMessage}. */
  get canWrite(): boolean {
    return !this.isFinished && this.#writesNext();
  }

  /** Whether the next thing to do is {@link readMessage}. */
  get canRead(): boolean {
    return !this.isFinished && !this.#writesNext();
  }

  /** The peer's static key as soon as it is known and authenticated; on an IK responder, after the first message. */
  get remoteStatic(): Uint8Array | undefined {
    return this.#keys.remoteStatic;
  }

  /** The peer's ephemeral key, once a message that carried it has been accepted. */
  get remoteEphemeral(): Uint8Array | undefined {
    return this.#keys.remoteEphemeral;
  }

  /** A copy of the transcript hash; the same on both sides, and final, once the handshake is finished. */
  get handshakeHash(): Uint8Array {
    return this.#keys.symmetric.handshakeHash.slice();
  }

  /**
   * How many bytes the next message, of either side, has besides its payload. Throws a TypeError when the handshake is
   * finished.
   */
  get nextOverhead(): number {
    if (this.isFinished) throw new TypeError("the handshake is finished, no message follows");
    const mixesKeyWithE = this.#psks.length > 0;
    let hasKey = this.#keys.symmetric.overhead > 0;
    let length = 0;
    for (const token of this.#pattern.messages[this.#turn]) {
      if (token === "e") {
        length += X25519_KEY_LENGTH;
        hasKey ||= mixesKeyWithE;
      } else if (token === "s") {
        length += X25519_KEY_LENGTH + (hasKey ? TAG_LENGTH : 0);
      } else {
        hasKey = true;
      }
    }
    return length + (hasKey ? TAG_LENGTH : 0);
  }

  /**
   * The next message, with a payload that is sealed as far as the keys allow by then. Throws a TypeError out of turn, a
   * RangeError when the message would exceed 65 535 bytes.
   */
  writeMessage(payload: Uint8Array): Uint8Array {
    if (!this.canWrite) throw new TypeError(this.isFinished ? "the handshake is finished" : "it is the peer's turn");
    const length = this.nextOverhead + payload.length;
    if (length > MAX_NOISE_MESSAGE_LENGTH) {
      throw new RangeError(
        `a Noise message has at most ${MAX_NOISE_MESSAGE_LENGTH} bytes, this one would have ${length}`,
      );
    }
    const out = new Uint8Array(length);
    const draft = this.#draft();
    let at = 0, psk = this.#psksBefore(this.#turn);
    for (const token of this.#pattern.messages[this.#turn]) {
      if (token === "e") {
        draft.ephemeral = generateKeyPair(this.#dh, this.#random);
        out.set(draft.ephemeral.publicKey, at);
        at += X25519_KEY_LENGTH;
        this.#mixEphemeral(draft, draft.ephemeral.publicKey);
      } else if (token === "s") {
        at += draft.symmetric.encryptAndHash(this.#static!.publicKey, out.subarray(at));
      } else if (token === "psk") {
        draft.symmetric.mixKeyAndHash(this.#psks[psk++]);
      } else if (!this.#mixSharedSecret(draft, token)) {
        // Every key of the peer was checked when it came in, so this is a Dh that disagrees with isAcceptablePublicKey.
        throw new TypeError("the key agreement failed with an acceptable public key");
      }
    }
    draft.symmetric.encryptAndHash(payload, out.subarray(at));
    this.#commit(draft);
    return out;
  }

  /**
   * The payload of the peer's next message, in an array of its own. Undefined, and the state as it was, if the message is
   * too long or short, does not authenticate, brings an unacceptable public key, or is not accepted. Throws a TypeError
   * out of turn.
   *
   * @param accept looks at the authentic payload before anything is kept. What it refuses changes nothing, so whoever can
   * replay an authentic message in a wrong frame cannot use up its turn.
   */
  readMessage(message: Uint8Array, accept?: (payload: Uint8Array) => boolean): Uint8Array | undefined {
    if (!this.canRead) throw new TypeError(this.isFinished ? "the handshake is finished" : "it is our turn");
    if (message.length > MAX_NOISE_MESSAGE_LENGTH || message.length < this.nextOverhead) return undefined;
    const draft = this.#draft();
    let at = 0, psk = this.#psksBefore(this.#turn);
    for (const token of this.#pattern.messages[this.#turn]) {
      if (token === "e") {
        const key = message.slice(at, at += X25519_KEY_LENGTH);
        if (!isAcceptablePublicKey(key)) return undefined;
        draft.remoteEphemeral = key;
        this.#mixEphemeral(draft, key);
      } else if (token === "s") {
        const length = X25519_KEY_LENGTH + draft.symmetric.overhead;
        const key = draft.symmetric.decryptAndHash(message.subarray(at, at += length));
        if (key === undefined || !isAcceptablePublicKey(key)) return undefined;
        draft.remoteStatic = key;
      } else if (token === "psk") {
        draft.symmetric.mixKeyAndHash(this.#psks[psk++]);
      } else if (!this.#mixSharedSecret(draft, token)) {
        return undefined;
      }
    }
    const payload = draft.symmetric.decryptAndHash(message.subarray(at));
    if (payload === undefined || (accept !== undefined && !accept(payload))) return undefined;
    this.#commit(draft);
    return payload;
  }

  /**
   * The two 32-byte secrets: what the initiator sends with, then what the responder sends with. Once only; the keys that
   * they came from are wiped. Throws a TypeError before the handshake is finished and the second time.
   */
  split(): [Uint8Array, Uint8Array] {
    if (!this.isFinished) throw new TypeError("the handshake is not finished, there is nothing to split");
    if (this.#wasSplit) throw new TypeError("the handshake was split already");
    this.#wasSplit = true;
    this.#keys.ephemeral?.privateKey.fill(0);
    for (const psk of this.#psks) psk.fill(0);
    return this.#keys.symmetric.split();
  }

  #writesNext(): boolean {
    return (this.#turn % 2 === 0) === this.#initiator;
  }

  #psksBefore(turn: number): number {
    return this.#pattern.messages.slice(0, turn).flat().filter((token) => token === "psk").length;
  }

  #draft(): Draft {
    return { ...this.#keys, symmetric: this.#keys.symmetric.clone() };
  }

  #commit(draft: Draft): void {
    this.#keys = draft;
    this.#turn++;
  }

  #mixEphemeral(draft: Draft, publicKey: Uint8Array): void {
    draft.symmetric.mixHash(publicKey);
    // §9.2: with pre-shared keys the ephemeral key goes into the chaining key too, so that nonces never repeat under one.
    if (this.#psks.length > 0) draft.symmetric.mixKey(publicKey);
  }

  /** Mixes the shared secret that a token names: its first letter is the initiator's key, its second the responder's. */
  #mixSharedSecret(draft: Draft, token: Exclude<Token, "e" | "s" | "psk">): boolean {
    const ours = token[this.#initiator ? 0 : 1];
    const theirs = token[this.#initiator ? 1 : 0];
    const privateKey = (ours === "e" ? draft.ephemeral : this.#static)?.privateKey;
    const publicKey = theirs === "e" ? draft.remoteEphemeral : draft.remoteStatic;
    if (privateKey === undefined || publicKey === undefined) {
      throw new TypeError(`pattern ${this.#pattern.name} uses ${token} before its keys are there`);
    }
    const secret = this.#dh.shared(privateKey, publicKey);
    if (secret === undefined) return false;
    draft.symmetric.mixKey(secret);
    secret.fill(0);
    return true;
  }
}

function checkKeys(
  pattern: HandshakePattern,
  initiator: boolean,
  staticKey: KeyPair | undefined,
  remoteStatic: Uint8Array | undefined,
  psks: readonly Uint8Array[],
): void {
  const ownMessages = pattern.messages.filter((_, i) => (i % 2 === 0) === initiator);
  const ownKnown = initiator ? pattern.initiatorStaticKnown : pattern.responderStaticKnown;
  const remoteKnown = initiator ? pattern.responderStaticKnown : pattern.initiatorStaticKnown;
  if (staticKey === undefined && (ownKnown || ownMessages.flat().includes("s"))) {
    throw new TypeError(`pattern ${pattern.name} needs this side's static key`);
  }
  if ((remoteStatic !== undefined) !== remoteKnown) {
    throw new TypeError(
      `pattern ${pattern.name} ${remoteKnown ? "needs" : "takes no"} static key of the peer beforehand`,
    );
  }
  if (remoteStatic !== undefined && !isAcceptablePublicKey(remoteStatic)) {
    throw new RangeError("the peer's static key is no usable X25519 public key");
  }
  const wanted = pskCount(pattern);
  if (psks.length !== wanted || psks.some((psk) => psk.length !== PSK_LENGTH)) {
    throw new TypeError(`pattern ${pattern.name} needs ${wanted} pre-shared keys of ${PSK_LENGTH} bytes`);
  }
}

/**
 * The two roles of a handshake (SPEC §5): which Noise messages are exchanged, and what their payloads mean. No timers and no packets
 * here: retransmission is the connection's business.
 *
 * @module
 */

import { concatBytes, constantTimeEqual, writeU32 } from "../base/bytes.ts";
import type { Random } from "../base/random.ts";
import type { Micros } from "../base/time.ts";
import { hkdfExpand } from "../crypto/hkdf.ts";
import { chooseSuite } from "../crypto/select.ts";
import { type CryptoProvider, type KeyPair, TAG_LENGTH } from "../crypto/types.ts";
import { HandshakeState } from "../noise/handshake_state.ts";
import { PATTERN_IK, PATTERN_XX } from "../noise/patterns.ts";
import type { ConnectionId } from "../wire/connection_id.ts";
import {
  COOKIE_FLAG,
  HANDSHAKE_MESSAGE_OVERHEAD,
  HandshakeKind,
  HandshakePattern,
  MIN_INITIATOR_DATAGRAM_SIZE,
  PACKET_HEADER_SIZE,
  PUBLIC_KEY_SIZE,
  WIRE_VERSION,
} from "../wire/constants.ts";
import {
  type CookieAnswer,
  encodeCookieAnswer,
  encodeHandshakeMessage,
  type HandshakeMessage,
} from "../wire/handshake_message.ts";
import {
  arePaddingParameters,
  decodeTransportParameters,
  encodePaddingParameters,
  encodeTransportParameters,
  type TransportParameters,
} from "../wire/transport_parameters.ts";

const CONFIRMATION_LABEL = "mxp1 confirm";
const PROLOGUE_LABEL = Uint8Array.of(0x4d, 0x58, 0x50, 0x31); // "MXP1"
const CONFIRMATION_LENGTH = 32;
const NO_BYTES = new Uint8Array(0);

/** What both roles need. */
export interface HandshakeContext {
  readonly crypto: CryptoProvider;
  readonly random: Random;
  readonly identity: KeyPair;
  /** The connection id that this side receives with. */
  readonly localId: ConnectionId;
  /** Our limits and wishes, without the suites, which the handshake decides. */
  readonly parameters: Omit<TransportParameters, "connectionId" | "suites" | "resetToken">;
  /** The token of {@link localId}, on a side that sends stateless resets. */
  readonly resetToken?: Uint8Array | undefined;
}

/** What a finished handshake leaves behind. */
export interface HandshakeResult {
  /** The secret that protects what this side sends. */
  readonly sendSecret: Uint8Array;
  /** The secret that protects what this side receives. */
  readonly receiveSecret: Uint8Array;
  readonly suite: number;
  readonly peerKey: Uint8Array;
  readonly peerParameters: TransportParameters;
  /** The Noise transcript, which both sides agree on; what a resumption secret is bound to. */
  readonly handshakeHash: Uint8Array;
  /** Resumed, responder: when the peer's key was proven by a full handshake. Undefined if it was by this one. */
  readonly authenticatedAt?: Micros;
}

/**
 * Overwrites the secrets of a handshake that is over and whose keys were derived: from them would follow the keys of every epoch, so that whoever
 * learns what a process holds could open what it sent long before.
 */
export function forgetSecrets(result: HandshakeResult | undefined): void {
  result?.sendSecret.fill(0);
  result?.receiveSecret.fill(0);
}

/** One attempt of an initiator: its hello, and what it makes of the answer. */
export interface InitiatorRole {
  /** Pattern byte. */
  readonly pattern: number;
  /** The id that we receive with if this attempt succeeds. */
  readonly localId: ConnectionId;
  /** The InitiatorHello message. */
  readonly hello: Uint8Array;
  /** SHA-256 of {@link hello}. */
  readonly helloHash: Uint8Array;
  /** The InitiatorFinish message, once the responder's hello has been believed. */
  readonly finish: Uint8Array | undefined;
  /** Believes a ResponderHello, or says undefined and stays as it was. */
  onResponderHello(message: HandshakeMessage, senderId: ConnectionId): HandshakeResult | undefined;
}

/** A responder's answer to one hello. */
export interface ResponderRole {
  /** Pattern byte. */
  readonly pattern: number;
  /** The ResponderHello message. */
  readonly hello: Uint8Array;
  /** The keys, where they are there as soon as the hello is: in every pattern but XX. */
  readonly result: HandshakeResult | undefined;
  /** Whether a hello is the one that this handshake answered, seen again. */
  isSameHello(message: HandshakeMessage): boolean;
  /** Believes an InitiatorFinish, or says undefined and stays as it was. */
  onInitiatorFinish(message: HandshakeMessage, initiatorId: ConnectionId): HandshakeResult | undefined;
}

/** What both sides agree on without sending it; with a ticket, its hash stands at the end. */
export function prologue(pattern: number, initiatorId: ConnectionId, ticketHash: Uint8Array = NO_BYTES): Uint8Array {
  const version = new Uint8Array(4);
  writeU32(version, 0, WIRE_VERSION);
  return concatBytes(PROLOGUE_LABEL, version, Uint8Array.of(pattern), initiatorId.bytes, ticketHash);
}

/** What the InitiatorFinish holds where no Noise message is left for it. */
export function confirmation(
  crypto: CryptoProvider,
  initiatorSecret: Uint8Array,
  handshakeHash: Uint8Array,
): Uint8Array {
  const key = hkdfExpand(crypto.sha256, initiatorSecret, CONFIRMATION_LABEL, 32);
  return crypto.sha256.hmac(key, handshakeHash);
}

/** Whether an initiator's confirmation is right, for the responder's keys. */
export function confirms(crypto: CryptoProvider, result: HandshakeResult, proof: Uint8Array): boolean {
  return proof.length === CONFIRMATION_LENGTH &&
    constantTimeEqual(proof, confirmation(crypto, result.receiveSecret, result.handshakeHash));
}

/** Splits a Noise message that begins with `e` into the fields of a handshake message, whose payload begins with `head`. */
export function wrap(kind: HandshakeKind, head: Uint8Array, noiseMessage: Uint8Array): Uint8Array {
  return encodeHandshakeMessage(
    kind,
    noiseMessage.subarray(0, PUBLIC_KEY_SIZE),
    concatBytes(head, noiseMessage.subarray(PUBLIC_KEY_SIZE)),
  );
}

/** What a hello's payload begins with: the pattern, and the answer to a Retry. */
export function helloHead(pattern: number, answer: CookieAnswer | undefined): Uint8Array {
  if (answer === undefined) return Uint8Array.of(pattern);
  return concatBytes(Uint8Array.of(pattern | COOKIE_FLAG), encodeCookieAnswer(answer));
}

/** The Noise message inside a hello, whose `e` travels in the ephemeral field. */
function unwrap(message: HandshakeMessage): Uint8Array {
  return concatBytes(message.ephemeral, message.payload.subarray(1));
}

/** Parameters of a sealed payload; undefined when malformed or when their id is not the header's. */
export function sealedParameters(payload: Uint8Array, senderId: ConnectionId): TransportParameters | undefined {
  const decoded = decodeTransportParameters(payload, senderId);
  return decoded.ok ? decoded.parameters : undefined;
}

/** The one suite that the other side took, if it is one of ours. */
export function chosenSuite(suites: readonly number[], own: readonly number[]): number | undefined {
  return suites.length === 1 && own.includes(suites[0]) ? suites[0] : undefined;
}

/** The side that sends the first hello. */
export class InitiatorHandshake implements InitiatorRole {
  readonly pattern: number;
  readonly localId: ConnectionId;
  readonly #context: HandshakeContext;
  readonly #noise: HandshakeState;
  readonly #ephemeral: Uint8Array;
  readonly hello: Uint8Array;
  readonly helloHash: Uint8Array;
  finish: Uint8Array | undefined;

  /** With `peerKey` the pattern is IK, without it XX. `answer` is what a Retry has asked for. */
  constructor(context: HandshakeContext, peerKey: Uint8Array | undefined, answer?: CookieAnswer) {
    this.#context = context;
    const { crypto, random, identity, localId } = context;
    this.localId = localId;
    this.pattern = peerKey === undefined ? HandshakePattern.XX : HandshakePattern.IK;
    this.#noise = new HandshakeState({
      pattern: peerKey === undefined ? PATTERN_XX : PATTERN_IK,
      initiator: true,
      prologue: prologue(this.pattern, localId),
      dh: crypto.dh,
      aead: crypto.chacha20poly1305,
      hash: crypto.sha256,
      random,
      staticKey: identity,
      remoteStatic: peerKey,
    });
    const head = helloHead(this.pattern, answer);
    const noiseMessage = this.#noise.writeMessage(this.#helloPayload(peerKey !== undefined, head.length));
    this.#ephemeral = noiseMessage.slice(0, PUBLIC_KEY_SIZE);
    this.hello = wrap(HandshakeKind.INITIATOR_HELLO, head, noiseMessage);
    this.helloHash = crypto.sha256.hash(this.hello);
  }

  /** Padded so that the whole UDP datagram has the length that a responder insists on. */
  #helloPayload(sealed: boolean, headSize: number): Uint8Array {
    const { crypto, parameters, localId, resetToken } = this.#context;
    const room = MIN_INITIATOR_DATAGRAM_SIZE - PACKET_HEADER_SIZE - HANDSHAKE_MESSAGE_OVERHEAD - headSize;
    if (!sealed) return encodePaddingParameters(room);
    // IK adds the sealed static key (32 + 16) and the payload's tag.
    return encodeTransportParameters(
      { ...parameters, connectionId: localId, suites: crypto.suites, resetToken },
      room - PUBLIC_KEY_SIZE - 2 * TAG_LENGTH,
    );
  }

  onResponderHello(message: HandshakeMessage, senderId: ConnectionId): HandshakeResult | undefined {
    if (
      message.kind !== HandshakeKind.RESPONDER_HELLO || message.payload[0] !== this.pattern || this.finish !== undefined
    ) {
      return undefined;
    }
    let peerParameters: TransportParameters | undefined;
    let suite: number | undefined;
    this.#noise.readMessage(unwrap(message), (payload) => {
      peerParameters = sealedParameters(payload, senderId);
      suite = peerParameters === undefined ? undefined : this.#suite(peerParameters.suites);
      return suite !== undefined;
    });
    const peerKey = this.#noise.remoteStatic;
    if (peerParameters === undefined || suite === undefined || peerKey === undefined) return undefined;
    return this.#conclude(peerKey, peerParameters, suite);
  }

  /** In IK the responder has chosen, in XX we choose. */
  #suite(suites: readonly number[]): number | undefined {
    const own = this.#context.crypto.suites;
    return this.pattern === HandshakePattern.IK ? chosenSuite(suites, own) : chooseSuite(suites, own);
  }

  #conclude(peerKey: Uint8Array, peerParameters: TransportParameters, suite: number): HandshakeResult {
    const { crypto, parameters, localId, resetToken } = this.#context;
    // XX has a third Noise message, and the secrets come after it.
    const rest = this.pattern === HandshakePattern.XX
      ? this.#noise.writeMessage(
        encodeTransportParameters({ ...parameters, connectionId: localId, suites: [suite], resetToken }),
      )
      : undefined;
    const [sendSecret, receiveSecret] = this.#noise.split();
    const { handshakeHash } = this.#noise;
    const proof = rest ?? confirmation(crypto, sendSecret, handshakeHash);
    const payload = concatBytes(Uint8Array.of(this.pattern), proof);
    this.finish = encodeHandshakeMessage(HandshakeKind.INITIATOR_FINISH, this.#ephemeral, payload);
    return { sendSecret, receiveSecret, suite, peerKey, peerParameters, handshakeHash };
  }
}

/** The side that answers. */
export class ResponderHandshake implements ResponderRole {
  readonly pattern: number;
  readonly hello: Uint8Array;
  readonly result: HandshakeResult | undefined;
  readonly #context: HandshakeContext;
  readonly #noise: HandshakeState;
  readonly #initiatorEphemeral: Uint8Array;

  private constructor(
    context: HandshakeContext,
    noise: HandshakeState,
    pattern: number,
    initiatorEphemeral: Uint8Array,
    initiatorParameters: TransportParameters | undefined,
  ) {
    this.#context = context;
    this.#noise = noise;
    this.pattern = pattern;
    this.#initiatorEphemeral = initiatorEphemeral;
    const { crypto, parameters, localId, resetToken } = context;
    const offered = initiatorParameters?.suites;
    const suite = offered === undefined ? undefined : chooseSuite(offered, crypto.suites);
    const suites = suite === undefined ? crypto.suites : [suite];
    this.hello = wrap(
      HandshakeKind.RESPONDER_HELLO,
      Uint8Array.of(pattern),
      noise.writeMessage(encodeTransportParameters({ ...parameters, connectionId: localId, suites, resetToken })),
    );
    const peerKey = noise.remoteStatic;
    if (initiatorParameters !== undefined && suite !== undefined && peerKey !== undefined) {
      const [receiveSecret, sendSecret] = noise.split();
      const { handshakeHash } = noise;
      this.result = { sendSecret, receiveSecret, suite, peerKey, peerParameters: initiatorParameters, handshakeHash };
    }
  }

  /** Whether a hello names a pattern that is spoken here. */
  static knowsPattern(message: HandshakeMessage): boolean {
    return message.payload[0] === HandshakePattern.IK || message.payload[0] === HandshakePattern.XX;
  }

  /** Believes an InitiatorHello and prepares the answer; undefined if it does not authenticate or is malformed. */
  static accept(
    context: HandshakeContext,
    message: HandshakeMessage,
    initiatorId: ConnectionId,
  ): ResponderHandshake | undefined {
    const { crypto, random, identity } = context;
    const pattern = message.payload[0];
    if (message.kind !== HandshakeKind.INITIATOR_HELLO || !ResponderHandshake.knowsPattern(message)) return undefined;
    const noise = new HandshakeState({
      pattern: pattern === HandshakePattern.IK ? PATTERN_IK : PATTERN_XX,
      initiator: false,
      prologue: prologue(pattern, initiatorId),
      dh: crypto.dh,
      aead: crypto.chacha20poly1305,
      hash: crypto.sha256,
      random,
      staticKey: identity,
    });
    const payload = noise.readMessage(unwrap(message));
    if (payload === undefined) return undefined;
    const ephemeral = message.ephemeral.slice();
    if (pattern === HandshakePattern.XX) {
      if (!arePaddingParameters(payload)) return undefined;
      return new ResponderHandshake(context, noise, pattern, ephemeral, undefined);
    }
    const parameters = sealedParameters(payload, initiatorId);
    if (parameters === undefined || chooseSuite(parameters.suites, crypto.suites) === undefined) return undefined;
    return new ResponderHandshake(context, noise, pattern, ephemeral, parameters);
  }

  isSameHello(message: HandshakeMessage): boolean {
    return constantTimeEqual(message.ephemeral, this.#initiatorEphemeral);
  }

  onInitiatorFinish(message: HandshakeMessage, initiatorId: ConnectionId): HandshakeResult | undefined {
    if (
      message.kind !== HandshakeKind.INITIATOR_FINISH || message.payload[0] !== this.pattern ||
      !this.isSameHello(message)
    ) return undefined;
    const rest = message.payload.subarray(1);
    if (this.pattern === HandshakePattern.XX) return this.#readFinish(rest, initiatorId);
    const { result } = this;
    return result !== undefined && confirms(this.#context.crypto, result, rest) ? result : undefined;
  }

  #readFinish(noiseMessage: Uint8Array, initiatorId: ConnectionId): HandshakeResult | undefined {
    let peerParameters: TransportParameters | undefined;
    let suite: number | undefined;
    this.#noise.readMessage(noiseMessage, (payload) => {
      peerParameters = sealedParameters(payload, initiatorId);
      suite = peerParameters === undefined
        ? undefined
        : chosenSuite(peerParameters.suites, this.#context.crypto.suites);
      return suite !== undefined;
    });
    const peerKey = this.#noise.remoteStatic;
    if (peerParameters === undefined || suite === undefined || peerKey === undefined) return undefined;
    const [receiveSecret, sendSecret] = this.#noise.split();
    const { handshakeHash } = this.#noise;
    return { sendSecret, receiveSecret, suite, peerKey, peerParameters, handshakeHash };
  }
}

/**
 * The two roles of a resumed handshake (SPEC §5.1): NNpsk0 with the secret that a ticket stands for. Nobody's static key takes part: the
 * ticket says whose they are.
 *
 * @module
 */

import { concatBytes, constantTimeEqual, readU16, writeU16 } from "../base/bytes.ts";
import type { Micros } from "../base/time.ts";
import { chooseSuite } from "../crypto/select.ts";
import { type CryptoProvider, TAG_LENGTH } from "../crypto/types.ts";
import { HandshakeState } from "../noise/handshake_state.ts";
import { PATTERN_NNPSK0 } from "../noise/patterns.ts";
import type { ConnectionId } from "../wire/connection_id.ts";
import {
  HANDSHAKE_MESSAGE_OVERHEAD,
  HandshakeKind,
  HandshakePattern,
  MAX_COOKIE_SIZE,
  MAX_TICKET_SIZE,
  MIN_INITIATOR_DATAGRAM_SIZE,
  PACKET_HEADER_SIZE,
  PUBLIC_KEY_SIZE,
  WORK_NONCE_SIZE,
} from "../wire/constants.ts";
import { type CookieAnswer, encodeHandshakeMessage, type HandshakeMessage } from "../wire/handshake_message.ts";
import {
  encodeTransportParameters,
  type TransportParameters,
  transportParametersSize,
} from "../wire/transport_parameters.ts";
import {
  chosenSuite,
  confirmation,
  confirms,
  type HandshakeContext,
  type HandshakeResult,
  helloHead,
  type InitiatorRole,
  prologue,
  type ResponderRole,
  sealedParameters,
  wrap,
} from "./handshake.ts";
import type { OpenedTicket, TicketRefusal, TicketVault } from "./ticket_vault.ts";

/** What an initiator needs to resume: a ticket, its secret, and who gave it. Good for one handshake. */
export interface ResumptionTicket {
  /** What the responder gave; says nothing to anybody else. 1 to 256 bytes. */
  readonly ticket: Uint8Array;
  /** The secret that it stands for, 32 bytes. Whoever has both can be its owner once. */
  readonly psk: Uint8Array;
}

const TICKET_LENGTH_SIZE = 2;
/** Type and length of EARLY_DATA. */
const EARLY_OVERHEAD = 3;
/** Bytes of a hello's payload that are sealed, or stand before it in clear. */
const ROOM = MIN_INITIATOR_DATAGRAM_SIZE - PACKET_HEADER_SIZE - HANDSHAKE_MESSAGE_OVERHEAD - TAG_LENGTH;
/** What a Retry may ask to put into the next hello. */
const LARGEST_COOKIE_ANSWER = 1 + MAX_COOKIE_SIZE + WORK_NONCE_SIZE;

function noiseOf(
  context: HandshakeContext,
  initiator: boolean,
  initiatorId: ConnectionId,
  { ticket, psk }: ResumptionTicket,
): HandshakeState {
  const { crypto, random } = context;
  return new HandshakeState({
    pattern: PATTERN_NNPSK0,
    initiator,
    prologue: prologue(HandshakePattern.NNPSK0, initiatorId, crypto.sha256.hash(ticket)),
    dh: crypto.dh,
    aead: crypto.chacha20poly1305,
    hash: crypto.sha256,
    random,
    psks: [psk],
  });
}

/** The side that holds a ticket. */
export class ResumedInitiator implements InitiatorRole {
  readonly pattern: number = HandshakePattern.NNPSK0;
  readonly localId: ConnectionId;
  readonly hello: Uint8Array;
  readonly helloHash: Uint8Array;
  finish: Uint8Array | undefined;
  readonly #context: HandshakeContext;
  readonly #noise: HandshakeState;
  readonly #peerKey: Uint8Array;
  readonly #ephemeral: Uint8Array;
  readonly #sentEarly: boolean;

  /**
   * Makes the hello. Throws a RangeError for a ticket of an impossible length, or early data that does not fit, see
   * {@link earlyCapacity}.
   *
   * @param peerKey the static key of whoever gave the ticket
   * @param early everything on the first stream, to be acted upon before the handshake is over
   */
  constructor(
    context: HandshakeContext,
    peerKey: Uint8Array,
    ticket: ResumptionTicket,
    early?: Uint8Array,
    answer?: CookieAnswer,
  ) {
    const { crypto, parameters, localId, resetToken } = context;
    const capacity = earlyCapacity(context, ticket);
    if (early !== undefined && early.length > capacity) {
      throw new RangeError(`${early.length} bytes do not fit into a hello, which takes ${capacity}`);
    }
    this.#context = context;
    this.localId = localId;
    this.#peerKey = peerKey;
    this.#sentEarly = early !== undefined;
    this.#noise = noiseOf(context, true, localId, ticket);
    const length = new Uint8Array(TICKET_LENGTH_SIZE);
    writeU16(length, 0, ticket.ticket.length);
    const head = concatBytes(helloHead(this.pattern, answer), length, ticket.ticket);
    const payload = encodeTransportParameters(
      { ...parameters, connectionId: localId, suites: crypto.suites, earlyData: early, resetToken },
      ROOM - head.length,
    );
    const noiseMessage = this.#noise.writeMessage(payload);
    this.#ephemeral = noiseMessage.slice(0, PUBLIC_KEY_SIZE);
    this.hello = wrap(HandshakeKind.INITIATOR_HELLO, head, noiseMessage);
    this.helloHash = crypto.sha256.hash(this.hello);
  }

  onResponderHello(message: HandshakeMessage, senderId: ConnectionId): HandshakeResult | undefined {
    if (
      message.kind !== HandshakeKind.RESPONDER_HELLO || message.payload[0] !== this.pattern || this.finish !== undefined
    ) return undefined;
    const { crypto } = this.#context;
    let peerParameters: TransportParameters | undefined;
    let suite: number | undefined;
    this.#noise.readMessage(concatBytes(message.ephemeral, message.payload.subarray(1)), (payload) => {
      peerParameters = sealedParameters(payload, senderId);
      if (peerParameters?.earlyAccepted && !this.#sentEarly) return false;
      suite = peerParameters && chosenSuite(peerParameters.suites, crypto.suites);
      return suite !== undefined;
    });
    if (!this.#noise.isFinished || peerParameters === undefined || suite === undefined) return undefined;
    const [sendSecret, receiveSecret] = this.#noise.split();
    const { handshakeHash } = this.#noise;
    const payload = concatBytes(Uint8Array.of(this.pattern), confirmation(crypto, sendSecret, handshakeHash));
    this.finish = encodeHandshakeMessage(HandshakeKind.INITIATOR_FINISH, this.#ephemeral, payload);
    return { sendSecret, receiveSecret, suite, peerKey: this.#peerKey, peerParameters, handshakeHash };
  }
}

/** How many bytes of early data fit into a hello, which does not grow beyond what every path carries, not even with a cookie. */
export function earlyCapacity(context: HandshakeContext, { ticket }: ResumptionTicket): number {
  if (ticket.length < 1 || ticket.length > MAX_TICKET_SIZE) {
    throw new RangeError(`a ticket has 1 to ${MAX_TICKET_SIZE} bytes, got ${ticket.length}`);
  }
  const { crypto, parameters, localId, resetToken } = context;
  const others = transportParametersSize({ ...parameters, connectionId: localId, suites: crypto.suites, resetToken });
  return ROOM - 1 - LARGEST_COOKIE_ANSWER - TICKET_LENGTH_SIZE - ticket.length - others - EARLY_OVERHEAD;
}

/** What a responder needs to know besides its context. */
export interface ResumptionPolicy {
  readonly now: Micros;
  readonly vault: TicketVault;
  /** Decides about early data of a peer whose ticket is good. Asked once, when everything else is right. */
  acceptsEarly(peerKey: Uint8Array, early: Uint8Array): boolean;
}

/** Why a resumed hello is not believed: its ticket, or everything else about it. */
export type ResumptionRefusal = TicketRefusal | "unauthentic";

/** The side that gave the ticket. */
export class ResumedResponder implements ResponderRole {
  readonly pattern: number = HandshakePattern.NNPSK0;
  readonly hello: Uint8Array;
  readonly result: HandshakeResult;
  /** The early data that was accepted; undefined if there was none, or it was not. */
  readonly early: Uint8Array | undefined;
  readonly #crypto: CryptoProvider;
  readonly #initiatorEphemeral: Uint8Array;

  private constructor(
    context: HandshakeContext,
    noise: HandshakeState,
    ticket: OpenedTicket,
    initiatorEphemeral: Uint8Array,
    initiatorParameters: TransportParameters,
    suite: number,
    policy: ResumptionPolicy,
  ) {
    const { crypto, parameters, localId, resetToken } = context;
    const { peerKey, authenticatedAt } = ticket;
    const { earlyData } = initiatorParameters;
    this.#crypto = crypto;
    this.#initiatorEphemeral = initiatorEphemeral;
    this.early = earlyData !== undefined && policy.acceptsEarly(peerKey, earlyData) ? earlyData : undefined;
    const earlyAccepted = this.early !== undefined;
    const answer = { ...parameters, connectionId: localId, suites: [suite], earlyAccepted, resetToken };
    const noiseMessage = noise.writeMessage(encodeTransportParameters(answer));
    this.hello = wrap(HandshakeKind.RESPONDER_HELLO, Uint8Array.of(this.pattern), noiseMessage);
    const [receiveSecret, sendSecret] = noise.split();
    const { handshakeHash } = noise;
    const peerParameters = initiatorParameters;
    this.result = { sendSecret, receiveSecret, suite, peerKey, peerParameters, handshakeHash, authenticatedAt };
  }

  /**
   * Believes an InitiatorHello, uses its ticket up and prepares the answer; or says why not, with nothing changed. All of it in one step:
   * between the look whether a ticket was used and the note that it is now, nobody else has his turn.
   */
  static accept(
    context: HandshakeContext,
    message: HandshakeMessage,
    initiatorId: ConnectionId,
    policy: ResumptionPolicy,
  ): ResumedResponder | ResumptionRefusal {
    const { crypto } = context;
    const split = splitHello(message.payload);
    if (split === undefined) return "malformed";
    const opened = policy.vault.open(policy.now, split.ticket);
    if (typeof opened === "string") return opened;
    const { psk } = opened;
    const noise = noiseOf(context, false, initiatorId, { ticket: split.ticket, psk });
    psk.fill(0);
    let parameters: TransportParameters | undefined;
    let suite: number | undefined;
    noise.readMessage(concatBytes(message.ephemeral, split.noiseMessage), (payload) => {
      parameters = sealedParameters(payload, initiatorId);
      suite = parameters && chooseSuite(parameters.suites, crypto.suites);
      return suite !== undefined;
    });
    if (parameters === undefined || suite === undefined) return "unauthentic";
    // A copy of the hello whose sender does not have the secret must not cost the real one its ticket: so only now.
    if (!opened.spend()) return "used";
    return new ResumedResponder(context, noise, opened, message.ephemeral.slice(), parameters, suite, policy);
  }

  isSameHello(message: HandshakeMessage): boolean {
    return constantTimeEqual(message.ephemeral, this.#initiatorEphemeral);
  }

  onInitiatorFinish(message: HandshakeMessage): HandshakeResult | undefined {
    if (
      message.kind !== HandshakeKind.INITIATOR_FINISH || message.payload[0] !== this.pattern ||
      !this.isSameHello(message)
    ) return undefined;
    return confirms(this.#crypto, this.result, message.payload.subarray(1)) ? this.result : undefined;
  }
}

/** The ticket of a hello, and the Noise message behind it without its `e`. */
function splitHello(payload: Uint8Array): { ticket: Uint8Array; noiseMessage: Uint8Array } | undefined {
  const start = 1 + TICKET_LENGTH_SIZE;
  if (payload.length < start) return undefined;
  const length = readU16(payload, 1);
  if (length < 1 || length > MAX_TICKET_SIZE || payload.length < start + length) return undefined;
  return { ticket: payload.subarray(start, start + length), noiseMessage: payload.subarray(start + length) };
}

/**
 * How a connection is begun: what its owner may ask for, and the handshakes that follow from it.
 *
 * @module
 */

import { type HandshakeContext, InitiatorHandshake } from "./handshake.ts";
import type { InitiatorPlan } from "./handshake_flow.ts";
import { earlyCapacity, ResumedInitiator, type ResumptionTicket } from "./resumed_handshake.ts";

/** How a connection is to be begun. */
export interface ConnectOptions {
  /** The responder's static key. Without it the handshake is XX. */
  readonly peerKey?: Uint8Array | undefined;
  /** A ticket of that responder, to be used up. Should it not be taken, a full handshake follows by itself. */
  readonly ticket?: ResumptionTicket | undefined;
  /** With a ticket: send nothing before `connection.begin`, which takes early data. */
  readonly held?: boolean | undefined;
  /** How many tickets we would like for later connections, at most 255. */
  readonly tickets?: number | undefined;
}

/** Which handshakes to try; `anew` makes the context of a second one. */
export function planOf(
  context: HandshakeContext,
  { peerKey, ticket, held }: ConnectOptions,
  maxProofOfWork: number,
  anew: () => HandshakeContext,
): InitiatorPlan {
  const { localId } = context;
  const common = { hash: context.crypto.sha256, maxProofOfWork, localId };
  if (ticket === undefined || peerKey === undefined) {
    const first: InitiatorPlan["first"] = (_early, answer) => new InitiatorHandshake(context, peerKey, answer);
    return { ...common, first, earlyCapacity: 0, held: false };
  }
  let again: HandshakeContext | undefined;
  return {
    ...common,
    first: (early, answer) => new ResumedInitiator(context, peerKey, ticket, early, answer),
    fallback: (answer) => new InitiatorHandshake(again ??= anew(), peerKey, answer),
    earlyCapacity: earlyCapacity(context, ticket),
    held: held === true,
  };
}

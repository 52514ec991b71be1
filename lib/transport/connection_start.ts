/**
 * What a connection is made from: what is its own, and what it shares with the others of its endpoint.
 *
 * @module
 */

import type { Address } from "../base/address.ts";
import type { ConnectionId } from "../wire/connection_id.ts";
import type { FrameReader } from "../wire/frame_reader.ts";
import type { Connection } from "./connection.ts";
import type { EndpointCounters, EndpointOptions } from "./endpoint.ts";
import type { HandshakeResult } from "./handshake.ts";
import type { InitiatorFlow, ResponderFlow } from "./handshake_flow.ts";
import type { IdSource } from "./local_ids.ts";
import type { SentFrame } from "./sent_frame.ts";
import type { TransportSettings } from "./settings.ts";
import type { PeerResetTokens } from "./stateless_reset.ts";
import type { TicketVault } from "./ticket_vault.ts";

/** Where a connection stands. */
export type ConnectionState = "handshake" | "established" | "closing" | "draining" | "closed";

/** What all connections of an endpoint share: buffers that are only used within one call. */
export interface ConnectionShared {
  /** Receives opened packets; as long as the largest UDP payload. */
  readonly scratch: Uint8Array;
  readonly reader: FrameReader;
  readonly frames: SentFrame[];
  readonly options: EndpointOptions;
  readonly settings: TransportSettings;
  /** Tokens of stateless resets that peers have given. */
  readonly resets: PeerResetTokens<Connection>;
  /** Connections that were closed because the peer broke a rule, by the name of the code. */
  readonly violations: Record<string, number>;
  readonly vault: TicketVault;
  readonly counters: EndpointCounters;
}

/** What a connection begins with. */
export interface ConnectionStart {
  /** Where the peer is. */
  readonly remote: Address;
  /** The id that we receive with. */
  readonly localId: ConnectionId;
  /** Where more of them come from. */
  readonly idSource: (connection: Connection) => IdSource;
  /** The side that we take, with its first message. */
  readonly flow: InitiatorFlow | ResponderFlow;
  /** Responders only: the initiator's id. */
  readonly initiatorId?: ConnectionId;
  /** Responders only: what the endpoint matches a repeated hello with. */
  readonly helloKey?: string;
  /** Responders: the keys, where they are there at once. */
  readonly keys?: HandshakeResult | undefined;
  /** Responders: whether a cookie has come back from the address. */
  readonly validated?: boolean;
  /** Responders: data that came with a resumed hello, and that is to be acted upon. */
  readonly early?: Uint8Array | undefined;
  /** Responders: whether the peer is welcome, if that was asked already. */
  readonly isWelcome?: boolean | undefined;
  /** Initiators: how many tickets were asked for. */
  readonly tickets?: number | undefined;
}

/**
 * Where flow control stands, for graphs.
 *
 * @module
 */

/** A snapshot of a connection's flow control. Bytes, but for what says otherwise. */
export interface FlowStats {
  /** What the peer allows us: its limit, … */
  readonly sendLimit: number;
  /** … new stream bytes that were sent against it, … */
  readonly sendUsed: number;
  /** … and whether it is used up. */
  readonly sendBlocked: boolean;
  /** What we allow the peer: the announced limit, … */
  readonly receiveLimit: number;
  /** … new stream bytes that were received against it, … */
  readonly received: number;
  /** … those of them that the application has read or will never read, … */
  readonly consumed: number;
  /** … and how much may be under way or unread now. */
  readonly receiveWindow: number;
  /** Announcements of larger limits that were sent: of the connection and its streams, … */
  readonly updatesSent: number;
  /** … and received. */
  readonly updatesReceived: number;
  /** Times that we had data and no credit for it: of the connection, of a stream, and for one more stream. */
  readonly blocked: { readonly connection: number; readonly stream: number; readonly streams: number };
}

/** What is counted as it happens. */
export class FlowCounters {
  updatesSent = 0;
  updatesReceived = 0;
  blockedConnection = 0;
  blockedStream = 0;
  blockedStreams = 0;
}

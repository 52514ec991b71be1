/**
 * An agent stream as whoever uses it sees it, whether it ends with its connection or outlives it.
 *
 * @module
 */

import type { MxpError } from "../../base/errors.ts";

/** Both halves of a stream. */
export interface StreamBody {
  readonly role: "opener" | "answerer";
  /** False for the answerer of a unidirectional stream. */
  readonly mayWrite: boolean;
  /** Bytes of chunks that were handed out. */
  readonly bytesRead: number;
  /** Bytes of chunks that were taken for sending. */
  readonly bytesWritten: number;
  /** How often it went on over another connection. */
  readonly resumptions: number;
  /** The next chunk; undefined at a good end. */
  read(): Promise<Uint8Array | undefined>;
  /** Sends data, as one chunk if it is not too long for one. Settles when more may follow. */
  write(data: Uint8Array): Promise<void>;
  /** Ends our half. */
  end(code: number, reason: string): Promise<void>;
  /** Gives the whole stream up: both halves are reset with this code, whoever waits here gets the error. */
  cancel(code: number, error: MxpError): void;
  /** The handler has come back: our half ends, if it has not yet, and nothing more is read. */
  finish(code: number, reason: string): void;
  /** An Error instead of everything else. */
  refuse(message: Uint8Array, code: number): void;
  /** Nobody here reads on. */
  stopReading(code: number): void;
}

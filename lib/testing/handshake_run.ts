/**
 * One handshake in a simulated network.
 *
 * @module
 */

import { type Micros, seconds } from "../base/time.ts";
import { Pair, type PairOptions } from "./pair.ts";

/** How it went. */
export interface HandshakeResult {
  /** Both sides have confirmed it. */
  readonly complete: boolean;
  /** Until the initiator could use streams. */
  readonly established: Micros;
  /** Until both sides knew of each other that the handshake was believed. */
  readonly confirmed: Micros;
  /** Handshake messages that the initiator sent, repetitions included. */
  readonly messagesSent: number;
  /** Why it failed; undefined if it did not. */
  readonly failure: string | undefined;
}

/** Longer than every time-out of a handshake. */
const LIMIT = seconds(120);

/** Runs a handshake, without any data. Throws an `InvariantError` if a rule is broken. */
export function runHandshake(options: PairOptions): HandshakeResult {
  const pair = new Pair(options);
  const connection = pair.connect();
  // A copy of the hello that was damaged on the way makes a half-open connection of its own, which comes to nothing.
  const ends = () => [...pair.client.ended, ...pair.server.ended.filter((end) => end.connection.isProven)];
  const isOver = (): boolean => ends().length > 0;
  const isConfirmed = (): boolean => connection.confirmed && pair.server.connections.some((each) => each.confirmed);
  pair.drive(() => isOver() || isConfirmed(), LIMIT);
  const complete = !isOver() && isConfirmed();
  const ended = ends()[0];
  const stats = connection.stats();
  return {
    complete,
    established: stats.handshakeTime ?? pair.network.now,
    confirmed: pair.network.now,
    messagesSent: stats.handshakeMessagesSent,
    failure: complete ? undefined : ended === undefined ? "out of time" : `${ended.reason.by}: ${ended.reason.message}`,
  };
}

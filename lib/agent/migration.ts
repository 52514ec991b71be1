/**
 * Moving a connection to another UDP socket, as after a change of network.
 *
 * @module
 */

import type { Session } from "./session.ts";

/**
 * How a move ended. `moved`: the peer answers on the new path. `unanswered`: it does not, and the connection has gone back. `impossible`: the
 * connection cannot move now. `ended`: it ended meanwhile.
 */
export type MigrationOutcome = "moved" | "unanswered" | "impossible" | "ended";

/**
 * Opens a socket and moves the session's connection there. What comes to the socket before is heard until the peer answers on the new path, since
 * that is where it sends until then. Rejects with the runtime's error if there is no socket to be had.
 */
export async function migrate(session: Session): Promise<MigrationOutcome> {
  const { driver, link } = session;
  const fresh = await driver.openSocket();
  const isPossible = session.closeReason === undefined && session.onPath === undefined &&
    link.connection.onLocalAddressChange(driver.clock.now());
  if (!isPossible) {
    driver.closeSocket(fresh);
    return session.closeReason === undefined ? "impossible" : "ended";
  }
  const former = driver.useSocket(fresh);
  driver.touch(link);
  const outcome = await new Promise<MigrationOutcome>((resolve) => session.onPath = resolve);
  session.onPath = undefined;
  if (outcome !== "unanswered") {
    driver.closeSocket(former);
    return outcome;
  }
  // The way back is a move as well, if there is an id for it; otherwise the peer sees no more than a port that has changed.
  driver.useSocket(former);
  link.connection.onLocalAddressChange(driver.clock.now());
  driver.touch(link);
  driver.closeSocket(fresh);
  return outcome;
}

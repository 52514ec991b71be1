/**
 * The connections of a server, as the agent layer sees them.
 *
 * @module
 */

import { MAX_PAYLOAD_BYTES } from "../codec/message_header.ts";
import type { CallMessages } from "../mesh/call_messages.ts";
import type { MemoryBudget } from "../mesh/memory_budget.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { Driver, Link } from "./driver.ts";
import { guarded } from "./policy/guarded_service.ts";
import { type PeerInfo, peerInfo } from "./peer_info.ts";
import type { Platform } from "./platform.ts";
import type { Policy } from "./policy/policy.ts";
import { Session, type SessionOwner } from "./session.ts";

/**
 * How many connections a server's memory budget has to suffice for, at least: one connection gets no more than its
 * share.
 */
const BUDGET_SHARES = 4;

/** What all of them share. */
export interface SessionParts {
  readonly platform: Platform;
  readonly messages: CallMessages;
  readonly dispatcher: Dispatcher;
  readonly budget: MemoryBudget;
}

/** A connection that somebody has made to the node. @param policy says what the peer may do; without one, everything. */
export function newSession(
  { platform, messages, dispatcher, budget }: SessionParts,
  link: Link,
  driver: Driver,
  policy: Policy | undefined,
  owner: SessionOwner,
): Session {
  const share = budget.share(
    Math.max(Math.ceil(budget.limit / BUDGET_SHARES), Math.min(budget.limit, 2 * MAX_PAYLOAD_BYTES)),
  );
  const service = dispatcher.service(share);
  const session = new Session({
    driver,
    messages,
    owner,
    maxAnswerBytes: MAX_PAYLOAD_BYTES,
    service: policy === undefined || policy.isOpen ? service : guarded(service, policy),
    peer: (session) => peerOf(platform, session.link),
  });
  return session.attach(link);
}

/** Who is at the other end, once its key is known. */
export function peerOf({ crypto }: Platform, { connection }: Link): PeerInfo {
  const { host, port, key } = connection.remote;
  return peerInfo(crypto, connection.peerKey!, key, host, port);
}

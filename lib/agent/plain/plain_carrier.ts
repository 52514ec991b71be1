/**
 * The plain carrier (SPEC §3.2): a second UDP socket of a node, on which every datagram is one message in clear, for
 * programs of the published Rust runtime.
 *
 * @module
 */

import { type Address, formatHostPort } from "../../base/address.ts";
import { MxpError } from "../../base/errors.ts";
import { newHashKey } from "../../base/keyed_map.ts";
import { CodecError } from "../../codec/codec_error.ts";
import { ErrorCode } from "../../codec/error_codes.ts";
import type { MessageView } from "../../codec/message.ts";
import { agentTarget } from "../../mesh/agent_target.ts";
import { MemoryBudget } from "../../mesh/memory_budget.ts";
import { MAX_PLAIN_PAYLOAD, PlainMessages } from "../../mesh/plain_messages.ts";
import { plainOwner } from "../../mesh/plain_owner.ts";
import { type PlainRequest, readPlainRequest } from "../../mesh/plain_request.ts";
import type { AccessAction } from "../policy/access_list.ts";
import type { Dispatcher } from "../dispatcher.ts";
import { guarded } from "../policy/guarded_service.ts";
import type { IncomingCall } from "../calls/incoming_call.ts";
import type { CallService } from "../calls/incoming_calls.ts";
import { addressOf, bindProblem } from "../listening.ts";
import { plainPeerInfo } from "../peer_info.ts";
import { PlainAgents } from "./plain_agents.ts";
import { PlainCalls } from "./plain_calls.ts";
import { PlainLifecycle, type PlainRegistry } from "./plain_lifecycle.ts";
import { PlainLimits } from "./plain_limits.ts";
import { checkReach, type PlainDrop, type PlainSettings, type PlainStats } from "./plain_options.ts";
import { PlainPort, type PlainQuestion } from "./plain_port.ts";
import type { Platform } from "../platform.ts";
import type { Policy } from "../policy/policy.ts";
import type { RegistryService } from "../registry/registry_service.ts";

/** A search costs as much as so many other requests: it looks at every agent of the carrier. */
const SEARCH_COST = 10;

/** What a carrier works with. */
export interface PlainCarrierParts {
  readonly platform: Platform;
  readonly settings: PlainSettings;
  /** Where calls go. */
  readonly service: CallService;
  /** What who comes here may do. */
  readonly policy: Policy;
  /** Where agents register, if they can. */
  readonly registry: PlainRegistry | undefined;
  /** Why nothing new is taken, once that is so. */
  readonly closing: () => string | undefined;
  /** The socket failed for good. */
  readonly onSocketError: (error: Error) => void;
  /** A fault of this library. */
  readonly onFault: ((error: unknown) => void) | undefined;
}

/** One for a node that has it. */
export class PlainCarrier {
  readonly #parts: PlainCarrierParts;
  readonly #port: PlainPort;
  readonly #calls: PlainCalls;
  readonly #agents: PlainAgents | undefined;
  readonly #lifecycle: PlainLifecycle | undefined;
  #faults = 0;

  constructor(parts: PlainCarrierParts) {
    this.#parts = parts;
    const { platform: { clock, codec, crypto, random }, settings, service, registry } = parts;
    const { maxCalls, callTimeoutMs, maxRatePerSource: perSource, maxRate: altogether } = settings;
    const hashKey = newHashKey(random);
    const limits = new PlainLimits({ perSource, altogether }, crypto.sha256, random);
    const port = new PlainPort(clock, new PlainMessages(codec), limits);
    this.#port = port;
    const callTarget = settings.callTarget === undefined
      ? undefined
      : agentTarget((bytes) => crypto.sha256.hash(bytes), settings.callTarget);
    this.#calls = new PlainCalls(port, service, { maxCalls, callTimeoutMs, callTarget }, hashKey);
    if (registry === undefined) return;
    this.#agents = new PlainAgents({ ...registry, port, random, hashKey, maxCalls, callTimeoutMs });
    this.#lifecycle = new PlainLifecycle({ port, registry, agents: this.#agents, callTarget });
  }

  /** Binds the socket. Rejects with the runtime's own error. */
  async bind(host: string): Promise<void> {
    const { platform: { bindUdp }, settings: { listen }, onSocketError } = this.#parts;
    this.#port.use(
      await bindUdp({ host, port: listen.port }, {
        onDatagram: (bytes, remote) => this.#onDatagram(bytes, remote),
        onBatchEnd: () => this.#port.endBatch(),
        onError: onSocketError,
      }),
    );
  }

  /** Where it is bound, as `IP:PORT`. */
  get address(): string {
    const { host, port } = this.#port.socket.local;
    return formatHostPort(host, port);
  }

  /** See `PlainAgents.route`; nothing is for agents of a carrier that has none. */
  route(call: IncomingCall, payload: Uint8Array, ended: () => void): boolean | undefined {
    return this.#agents?.route(call, payload, ended);
  }

  /** A snapshot. */
  stats(): PlainStats {
    const { received, sent, refused, dropped } = this.#port;
    const { adapter, sendErrors, tooLarge } = this.#port.socket;
    const { total = 0, answered = 0, expired = 0 } = this.#agents?.counters ?? {};
    return {
      agents: this.#parts.registry?.registry.plain.size ?? 0,
      received,
      sent,
      running: this.#calls.size,
      calls: this.#calls.total,
      passedOn: { running: this.#agents?.size ?? 0, total, answered, expired },
      refused: { ...refused },
      dropped: { ...dropped },
      socket: { adapter, sendErrors, tooLarge, faults: this.#faults },
    };
  }

  /** Gives up what is under way, and lets go of the socket. */
  async close(): Promise<void> {
    this.#agents?.close();
    this.#calls.close();
    await this.#port.close();
  }

  #onDatagram(bytes: Uint8Array, remote: Address): void {
    this.#port.beginBatch();
    this.#port.received++;
    try {
      this.#handle(bytes, remote);
    } catch (error) {
      // Whatever a stranger sends must not take the node with it.
      this.#faults++;
      this.#parts.onFault?.(error);
    }
  }

  #handle(bytes: Uint8Array, remote: Address): void {
    const { platform: { codec } } = this.#parts;
    const port = this.#port;
    const now = port.clock.now();
    if (!port.limits.admit(now, remote)) return port.drop("rate_limited");
    const message = codec.decodeExact(bytes, 0, bytes.length, MAX_PLAIN_PAYLOAD);
    // What does not decode gets no answer: its sender may be anybody, and so may be whoever seems to be its sender.
    if (message instanceof CodecError) return port.drop(message.code as PlainDrop);
    const owner = plainOwner(remote);
    if (owner === undefined || remote.port === 0) return port.drop("bad_source");
    const request = readPlainRequest(message);
    switch (request.kind) {
      case "answer":
        if (this.#agents?.onAnswer(message, remote) !== true) port.drop("unmatched");
        return;
      case "ignored":
        return port.drop("ignored");
      default:
        if (!port.limits.admitRequest(now, request.kind === "discover" ? SEARCH_COST : 1)) {
          return port.drop("rate_limited");
        }
    }
    const isJson = request.form !== "binary";
    const question = questionOf(message, isJson ? "json" : "binary", remote, bytes.length);
    switch (request.kind) {
      case "refused":
        return port.error(question, request.code, false, request.text);
      case "call":
        if (this.#agents?.isOwn(question.idHigh, question.idLow)) return port.drop("own_call");
        return this.#calls.accept(question, request);
    }
    const closing = this.#parts.closing();
    if (closing !== undefined) return port.error(question, ErrorCode.UNAVAILABLE, true, closing);
    const denial = this.#parts.policy.denial(plainPeerInfo(remote), actionOf(request));
    if (denial !== undefined) return port.error(question, ErrorCode.NOT_ALLOWED, false, denial);
    const lifecycle = this.#lifecycle;
    if (lifecycle === undefined) {
      return port.error(question, ErrorCode.UNSUPPORTED_TYPE, false, "there is no registry here");
    }
    switch (request.kind) {
      case "register":
        return lifecycle.register(question, owner, request.form, request.value);
      case "heartbeat":
        return lifecycle.heartbeat(question, owner, request.value, request.isFinal);
      case "discover":
        return lifecycle.discover(question, request.value);
    }
  }
}

/** What a message about agents wants, for whoever decides about it. */
function actionOf(
  request: Extract<PlainRequest, { readonly kind: "register" | "heartbeat" | "discover" }>,
): AccessAction {
  switch (request.kind) {
    case "register": {
      const { agentId: target, capabilities } = request.value;
      return { kind: "register", permission: "register", target, capabilities };
    }
    case "heartbeat": {
      const kind = request.isFinal ? "deregister" : "heartbeat";
      return { kind, permission: "register", target: request.value.agentId };
    }
    case "discover":
      return { kind: "discover", permission: "call" };
  }
}

/** What a carrier needs of its node. */
export interface PlainNode {
  readonly platform: Platform;
  readonly dispatcher: Dispatcher;
  readonly registry: RegistryService | undefined;
  readonly policy: Policy;
  readonly options: { readonly onInternalError?: (error: unknown) => void };
}

/**
 * Starts the carrier of a node.
 *
 * @throws {MxpError} `usage` if other machines can reach the address and nobody said that they may, `config` if it cannot be
 * listened on.
 */
export async function startPlain(
  settings: PlainSettings,
  { platform, dispatcher, registry, policy, options }: PlainNode,
  onSocketError: (error: Error) => void,
): Promise<PlainCarrier> {
  const { host, port } = settings.listen;
  const ip = await addressOf(platform, host);
  checkReach(ip, settings);
  // What a datagram holds needs no budget.
  const service = dispatcher.service(new MemoryBudget(1));
  const carrier = new PlainCarrier({
    platform,
    settings,
    service: policy.isOpen ? service : guarded(service, policy),
    policy,
    registry: registry?.plain,
    closing: () => dispatcher.closing,
    onSocketError,
    onFault: options.onInternalError,
  });
  try {
    await carrier.bind(ip);
  } catch (cause) {
    const text = `cannot listen on ${formatHostPort(host, port)} for the plain carrier: ${bindProblem(cause)}`;
    throw new MxpError("config", text, { cause });
  }
  if (registry !== undefined) registry.plainRouter = carrier;
  return carrier;
}

/** What is left of a question once its datagram is gone. */
function questionOf(
  { idHigh, idLow, traceHigh, traceLow }: MessageView,
  form: PlainQuestion["form"],
  remote: Address,
  size: number,
): PlainQuestion {
  return { idHigh, idLow, traceHigh, traceLow, form, remote, size };
}

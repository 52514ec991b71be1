/**
 * Calls to agents that registered over the plain carrier: one datagram to the agent, one back (SPEC §3.2). Nothing is
 * repeated: the published runtime does not notice repetitions, and would carry a call out twice.
 *
 * @module
 */

import type { Address } from "../../base/address.ts";
import { readU32 } from "../../base/bytes.ts";
import type { HashKey } from "../../base/keyed_hash.ts";
import { KeyedMap } from "../../base/keyed_map.ts";
import type { Random } from "../../base/random.ts";
import type { Micros } from "../../base/time.ts";
import { CodecError } from "../../codec/codec_error.ts";
import { ErrorCode } from "../../codec/error_codes.ts";
import { readError, type RegisterForm } from "../../codec/json/detect.ts";
import type { MessageView } from "../../codec/message.ts";
import { MessageFlag } from "../../codec/message_header.ts";
import { MessageType } from "../../codec/message_type.ts";
import { CALL_PREFIX_BYTES } from "../../codec/payloads/call.ts";
import type { WheelEntry } from "../../mesh/deadline_wheel.ts";
import { formatId64 } from "../../mesh/id_sequence.ts";
import type { MessageIds } from "../../mesh/message_writer.ts";
import { MAX_PLAIN_PAYLOAD, REQUEST_ID_BYTES, requestIdOf, withRequestId } from "../../mesh/plain_messages.ts";
import type { RegisteredAgent } from "../../mesh/registered_agent.ts";
import type { Registry } from "../../mesh/registry.ts";
import { StreamError } from "../../wire/error_codes.ts";
import type { IncomingCall } from "../calls/incoming_call.ts";
import { PlainCall } from "./plain_calls.ts";
import type { PlainPort } from "./plain_port.ts";
import { quote } from "../quote.ts";

/** Of all calls that may be under way, so many go to one agent. */
const SHARE_OF_ONE = 4;

/** How an agent is called. Kept with its registration, and gone with it. */
interface Manner {
  form: RegisterForm;
  /** Calls under way. */
  running: number;
  /** Which turn it had last, so that equals take turns. */
  turn: number;
}

/** One call that was passed on. */
class PassedOn implements WheelEntry, MessageIds {
  readonly deadline: Micros;
  wheelSlot = -1;
  wheelNext: WheelEntry | undefined = undefined;
  wheelPrevious: WheelEntry | undefined = undefined;
  readonly idHigh: number;
  readonly idLow: number;
  readonly traceHigh: number;
  readonly traceLow: number;
  /** Where it went: nobody else can answer it. */
  readonly to: Address;
  readonly call: IncomingCall;
  readonly manner: Manner;
  readonly ended: () => void;
  readonly #onExpired: (passedOn: PassedOn) => void;

  constructor(
    id: Uint8Array,
    to: Address,
    call: IncomingCall,
    manner: Manner,
    deadline: Micros,
    ended: () => void,
    onExpired: (passedOn: PassedOn) => void,
  ) {
    this.idLow = readU32(id, 0);
    this.idHigh = readU32(id, 4);
    this.traceHigh = call.traceHigh;
    this.traceLow = call.traceLow;
    this.to = to;
    this.call = call;
    this.manner = manner;
    this.deadline = deadline;
    this.ended = ended;
    this.#onExpired = onExpired;
  }

  get key(): string {
    return formatId64(this.idHigh, this.idLow);
  }

  expired(): void {
    this.#onExpired(this);
  }
}

/** What {@link PlainAgents} works with. */
export interface PlainAgentsParts {
  readonly registry: Registry;
  readonly port: PlainPort;
  readonly random: Random;
  readonly hashKey: HashKey;
  readonly maxCalls: number;
  readonly callTimeoutMs: number;
}

/** All agents of a plain port. */
export class PlainAgents {
  readonly #parts: PlainAgentsParts;
  readonly #manners = new WeakMap<RegisteredAgent, Manner>();
  /** By message id, which nobody can guess. */
  readonly #pending: KeyedMap<PassedOn>;
  readonly counters = { total: 0, answered: 0, expired: 0 };
  #turn = 0;

  constructor(parts: PlainAgentsParts) {
    this.#parts = parts;
    this.#pending = new KeyedMap(parts.hashKey);
  }

  /** Calls that wait for an answer. */
  get size(): number {
    return this.#pending.size;
  }

  /** An agent has registered in this form, and is called in it. @param before what it was until then, if it was there. */
  remember(agent: RegisteredAgent, form: RegisterForm, before: RegisteredAgent | undefined): void {
    // What waits for it goes on to count.
    const manner = (before && this.#manners.get(before)) ?? { form, running: 0, turn: 0 };
    manner.form = form;
    this.#manners.set(agent, manner);
  }

  /** Whether a message is one that this port has sent to an agent itself. */
  isOwn(idHigh: number, idLow: number): boolean {
    return this.#pending.get(formatId64(idHigh, idLow)) !== undefined;
  }

  /**
   * Passes a call on if it is for an agent of this carrier alone: whoever has a key comes first. Undefined: the call is for
   * the others to pass on. False: it is for nobody whom its caller may call.
   */
  route(call: IncomingCall, payload: Uint8Array, ended: () => void): boolean | undefined {
    const { registry, port } = this.#parts;
    const mayEnterMesh = !(call instanceof PlainCall) || call.mayEnterMesh;
    if (mayEnterMesh && registry.plain.size === 0) return undefined;
    const { capability } = call.details;
    const now = port.clock.now();
    let best: RegisteredAgent | undefined;
    let bestManner: Manner | undefined;
    let isKnown = false;
    for (const agent of registry.candidates(now, Date.now(), call.target, capability, {})) {
      if (!agent.isPlain) {
        if (mayEnterMesh) return undefined;
        continue;
      }
      isKnown = true;
      const manner = this.#manners.get(agent);
      if (manner === undefined || agent.status(now) === "offline") continue;
      const isBetter = bestManner === undefined || manner.running < bestManner.running ||
        (manner.running === bestManner.running && manner.turn < bestManner.turn);
      if (isBetter) [best, bestManner] = [agent, manner];
    }
    if (!isKnown) return mayEnterMesh ? undefined : false;
    if (capability === undefined && best !== undefined) call.agentName = best.register.name;
    const problem = best === undefined
      ? { code: ErrorCode.UNAVAILABLE, retryable: true, text: "the agent is registered, but cannot be reached now" }
      : this.#problemWith(call, payload, bestManner!);
    if (problem !== undefined) {
      call.calls.refuse(call, problem.code, problem.retryable, problem.text, StreamError.REFUSED);
      ended();
      return true;
    }
    this.#send(call, payload, best!, bestManner!, ended);
    return true;
  }

  /** An Error or a Response has come. False: nobody waits for it, or not from there. */
  onAnswer(message: MessageView, remote: Address): boolean {
    const passedOn = this.#find(message);
    if (passedOn === undefined || passedOn.to.key !== remote.key) return false;
    this.counters.answered++;
    const { call } = passedOn;
    const { bytes, payloadStart: at, payloadEnd: end } = message;
    if ((message.flags & (MessageFlag.COMPRESSED | MessageFlag.ENCRYPTED)) !== 0) {
      call.calls.fail(call, ErrorCode.HANDLER_FAILED, false, "the agent's answer is compressed or encrypted");
    } else if (message.type === MessageType.RESPONSE) call.calls.respond(call, bytes.slice(at, end));
    else {
      const error = readError(bytes, at, end);
      if (error instanceof CodecError) {
        call.calls.fail(call, ErrorCode.HANDLER_FAILED, false, "the agent answered with an error that nobody can read");
      } else call.calls.fail(call, error.value.code, error.value.retryable, error.value.text);
    }
    this.#end(passedOn);
    return true;
  }

  /** The node is closing. */
  close(): void {
    for (const passedOn of [...this.#pending.values()]) {
      const { call } = passedOn;
      // The agent has the call, and may have carried it out.
      call.calls.fail(call, ErrorCode.ANSWER_LOST, true, "the node is shutting down");
      this.#end(passedOn);
    }
  }

  #problemWith(
    { details, packed }: IncomingCall,
    payload: Uint8Array,
    { running, form }: Manner,
  ): { readonly code: ErrorCode; readonly retryable: boolean; readonly text: string } | undefined {
    const { maxCalls } = this.#parts;
    const { hopLimit, method } = details;
    if (hopLimit === 0) {
      return { code: ErrorCode.HOP_LIMIT, retryable: false, text: "the call was passed on too often" };
    }
    if (method !== undefined) {
      const text = `the agent is on the plain carrier, where calls have no method such as ${quote(method)}`;
      return { code: ErrorCode.NO_SUCH_METHOD, retryable: false, text };
    }
    if (packed !== 0) {
      const text = "the agent is on the plain carrier, where calls are neither compressed nor sealed";
      return { code: ErrorCode.UNSUPPORTED_TYPE, retryable: false, text };
    }
    const most = MAX_PLAIN_PAYLOAD - (form === "coordinator-json" ? REQUEST_ID_BYTES : CALL_PREFIX_BYTES);
    if (payload.length > most) {
      const text =
        `the agent is on the plain carrier, where a call carries ${most} bytes at most, not ${payload.length}`;
      return { code: ErrorCode.PAYLOAD_TOO_LARGE, retryable: false, text };
    }
    if (this.#pending.size >= maxCalls || running >= Math.ceil(maxCalls / SHARE_OF_ONE)) {
      const text = `${running} calls wait for the agent, which is all that may`;
      return { code: ErrorCode.OVERLOADED, retryable: true, text };
    }
    return undefined;
  }

  #send(call: IncomingCall, payload: Uint8Array, agent: RegisteredAgent, manner: Manner, ended: () => void): void {
    const { port, random, callTimeoutMs } = this.#parts;
    const { register } = agent;
    const id = new Uint8Array(8);
    // Who cannot see the call cannot answer it: the id is the only proof that there is.
    random.fillSecret(id);
    const left = Math.min(call.remainingMs(), callTimeoutMs);
    const to = (register.endpoint ?? register.endpoint6)!;
    const passedOn = new PassedOn(id, to, call, manner, port.after(left), ended, (late) => {
      this.counters.expired++;
      const text = "the agent has not answered in time; whether it got the call is not known";
      call.calls.fail(call, ErrorCode.DEADLINE_EXCEEDED, false, text);
      this.#end(late);
    });
    call.handling = true;
    call.stopAnswer = () => this.#end(passedOn);
    this.counters.total++;
    manner.running++;
    manner.turn = ++this.#turn;
    this.#pending.set(passedOn.key, passedOn);
    port.deadlines.add(passedOn);
    const data = manner.form === "coordinator-json" ? withRequestId(payload, passedOn.key) ?? payload : payload;
    const form = manner.form === "binary" ? "binary" : "json";
    const seconds = Math.max(1, Math.ceil(left / 1000));
    port.send(port.messages.call(passedOn, form, agent.stored.agentId, seconds, data), to);
    port.arm();
  }

  /** By its message id; agents that the published coordinator knows repeat another member instead. */
  #find({ idHigh, idLow, bytes, payloadStart, payloadEnd }: MessageView): PassedOn | undefined {
    const found = this.#pending.get(formatId64(idHigh, idLow));
    if (found !== undefined || this.#pending.size === 0) return found;
    const requestId = requestIdOf(bytes, payloadStart, payloadEnd);
    const named = requestId === undefined ? undefined : this.#pending.get(requestId);
    return named?.manner.form === "coordinator-json" ? named : undefined;
  }

  /** A call is settled, or its caller has given up. */
  #end(passedOn: PassedOn): void {
    if (this.#pending.delete(passedOn.key) === undefined) return;
    const { call, manner } = passedOn;
    this.#parts.port.deadlines.remove(passedOn);
    manner.running--;
    call.handling = false;
    call.stopAnswer = undefined;
    if (call.state === "done") call.calls.release(call);
    passedOn.ended();
  }
}

/**
 * Writes the messages of the plain carrier (SPEC §3.2): answers in the form of the question, none longer than a UDP
 * datagram, and Errors never much longer than what they answer.
 *
 * @module
 */

import { ErrorCode } from "../codec/error_codes.ts";
import { encodeDiscoverResponseJson } from "../codec/json/discover_json.ts";
import type { PayloadForm, RegisterForm } from "../codec/json/detect.ts";
import { encodeErrorJson } from "../codec/json/error_json.ts";
import { encodeHeartbeatResponseJson } from "../codec/json/heartbeat_json.ts";
import { looksLikeJson, parseJsonObject, toJsonBytes } from "../codec/json/json_object.ts";
import { encodeRegisterResponseJson } from "../codec/json/register_json.ts";
import { CodecError } from "../codec/codec_error.ts";
import { type MessageCodec, messageLength } from "../codec/message.ts";
import { MESSAGE_HEADER_BYTES, MESSAGE_OVERHEAD_BYTES } from "../codec/message_header.ts";
import { MessageType } from "../codec/message_type.ts";
import type { AgentRecord } from "../codec/payloads/agent_record.ts";
import { CALL_PREFIX_BYTES, encodeCallPrefix } from "../codec/payloads/call.ts";
import { encodeDiscoverResponse, sizeOfDiscoverResponse } from "../codec/payloads/discover_response.ts";
import { encodeError, sizeOfError } from "../codec/payloads/error.ts";
import {
  encodeHeartbeatResponse,
  type HeartbeatResponse,
  sizeOfHeartbeatResponse,
} from "../codec/payloads/heartbeat_response.ts";
import {
  encodeRegisterResponse,
  type RegisterResponse,
  sizeOfRegisterResponse,
} from "../codec/payloads/register_response.ts";
import { cutText, type MessageIds, MessageWriter } from "./message_writer.ts";

/** The longest UDP datagram over IPv4. */
export const MAX_PLAIN_DATAGRAM = 65_507;
/** The largest payload of a message in one. */
export const MAX_PLAIN_PAYLOAD: number = MAX_PLAIN_DATAGRAM - MESSAGE_OVERHEAD_BYTES;

const NOTHING = new Uint8Array(0);

/** Agents that were found, and whether there are more. */
export interface PlainPage {
  /** What was asked for, for the JSON form. */
  readonly capability: string;
  /** In the order of their ids. */
  readonly agents: readonly AgentRecord[];
  /** How many there are, the listed ones and those before them included. */
  readonly total: number;
  /** Whether some come behind the listed ones. */
  readonly isMore: boolean;
  readonly nowMillis: number;
}

/** Writes messages that go out as one datagram each. */
export class PlainMessages {
  readonly #writer: MessageWriter;

  constructor(codec: MessageCodec) {
    this.#writer = new MessageWriter(codec);
  }

  /** The answer to an AgentRegister: a Response, or in the coordinator's spelling an empty Ack. */
  registered(ids: MessageIds, form: RegisterForm, response: RegisterResponse): Uint8Array {
    switch (form) {
      case "coordinator-json":
        return this.#message(MessageType.ACK, ids, NOTHING);
      case "runtime-json":
        return this.response(ids, encodeRegisterResponseJson({ message: "registered", ...response }));
      case "binary": {
        const payload = new Uint8Array(sizeOfRegisterResponse(response));
        encodeRegisterResponse(payload, 0, response);
        return this.response(ids, payload);
      }
    }
  }

  /** The answer to an AgentHeartbeat, FINAL or not. */
  heartbeat(ids: MessageIds, form: PayloadForm, response: HeartbeatResponse): Uint8Array {
    if (form === "json") return this.response(ids, encodeHeartbeatResponseJson(response));
    const payload = new Uint8Array(sizeOfHeartbeatResponse(response));
    encodeHeartbeatResponse(payload, 0, response);
    return this.response(ids, payload);
  }

  /** The answer to an AgentDiscover: as many of the agents as a message of `maxBytes` holds. */
  discovered(ids: MessageIds, form: PayloadForm, page: PlainPage, maxBytes: number): Uint8Array {
    let payload = encodePage(form, page, page.agents);
    if (messageLength(payload.length) > maxBytes) {
      let fits = 0;
      let tooMany = page.agents.length;
      payload = encodePage(form, page, []);
      while (tooMany - fits > 1) {
        const count = (fits + tooMany) >>> 1;
        const tried = encodePage(form, page, page.agents.slice(0, count));
        if (messageLength(tried.length) <= maxBytes) [fits, payload] = [count, tried];
        else tooMany = count;
      }
    }
    return this.response(ids, payload);
  }

  /** A Response with this payload, to whatever question. */
  response(ids: MessageIds, payload: Uint8Array): Uint8Array {
    return this.#message(MessageType.RESPONSE, ids, payload);
  }

  /** An Error; as much of its text as a message of `maxBytes` holds. */
  error(
    ids: MessageIds,
    form: PayloadForm,
    code: number,
    retryable: boolean,
    text: string,
    maxBytes: number,
  ): Uint8Array {
    let cut = cutText(text);
    for (;;) {
      const payload = encodeErrorIn(form, code, retryable, cut);
      if (messageLength(payload.length) <= maxBytes || cut === "") {
        return this.#message(MessageType.ERROR, ids, payload);
      }
      cut = cut.slice(0, Math.floor(cut.length * 0.8)).toWellFormed();
    }
  }

  /**
   * A Call to an agent: with its target in front, or the bare data, whichever it registered with.
   *
   * @throws RangeError if the data does not fit into a datagram.
   */
  call(
    ids: MessageIds,
    form: PayloadForm,
    target: Uint8Array,
    timeoutSeconds: number,
    data: Uint8Array,
  ): Uint8Array {
    if (form === "json") return this.#message(MessageType.CALL, ids, data);
    const payload = new Uint8Array(CALL_PREFIX_BYTES + data.length);
    payload.set(data, encodeCallPrefix(payload, 0, target, timeoutSeconds));
    return this.#message(MessageType.CALL, ids, payload);
  }

  #message(type: number, ids: MessageIds, payload: Uint8Array): Uint8Array {
    if (payload.length > MAX_PLAIN_PAYLOAD) {
      throw new RangeError(`a datagram holds ${MAX_PLAIN_PAYLOAD} bytes of payload, not ${payload.length}`);
    }
    const out = this.#writer.allocate(messageLength(payload.length));
    out.set(payload, MESSAGE_HEADER_BYTES);
    this.#writer.seal(out, 0, type, 0, ids, MESSAGE_HEADER_BYTES + payload.length);
    return out;
  }
}

function encodePage(form: PayloadForm, page: PlainPage, agents: readonly AgentRecord[]): Uint8Array {
  const { capability, total, nowMillis } = page;
  if (form === "json") return encodeDiscoverResponseJson({ capability, response: { agents } });
  const cursor = page.isMore || agents.length < page.agents.length ? agents.at(-1)?.agentId : undefined;
  const response = { agents, total, nowMillis, ...(cursor !== undefined && { cursor }) };
  const payload = new Uint8Array(sizeOfDiscoverResponse(response));
  encodeDiscoverResponse(payload, 0, response);
  return payload;
}

function encodeErrorIn(form: PayloadForm, code: number, retryable: boolean, text: string): Uint8Array {
  const error = { code: code & 0xffff || ErrorCode.UNSPECIFIED, retryable, text };
  if (form === "json") return encodeErrorJson(error);
  const payload = new Uint8Array(sizeOfError(error));
  encodeError(payload, 0, error);
  return payload;
}

/** How much longer {@link withRequestId} makes data: by the member, and a comma. */
export const REQUEST_ID_BYTES = 32;

/**
 * Data with a `request_id` as its first member, as the published coordinator sends it to its agents, which answer under a
 * message id of their own and repeat that member. Undefined for what is no JSON object, or has one already.
 */
export function withRequestId(data: Uint8Array, id: string): Uint8Array | undefined {
  const json = parseJsonObject(data, 0, data.length);
  if (json instanceof CodecError || json.has("request_id")) return undefined;
  const head = toJsonBytes({ request_id: id }).subarray(0, -1);
  // Behind `{` there is the end of an empty object, or its first member.
  let next = 1;
  while (WHITE_SPACE.includes(data[next])) next++;
  const isEmpty = next === data.length - 1;
  const out = new Uint8Array(head.length + (isEmpty ? 0 : 1) + data.length - 1);
  out.set(head);
  if (!isEmpty) out[head.length] = COMMA;
  out.set(data.subarray(1), out.length - (data.length - 1));
  return out;
}

/** The `request_id` that an answer repeats, if it is a JSON object with one. */
export function requestIdOf(bytes: Uint8Array, at: number, end: number): string | undefined {
  if (!looksLikeJson(bytes, at, end)) return undefined;
  const json = parseJsonObject(bytes, at, end);
  if (json instanceof CodecError || !json.has("request_id")) return undefined;
  const id = json.text("request_id");
  return json.error === undefined ? id : undefined;
}

const COMMA = 0x2c;
const WHITE_SPACE: readonly number[] = [0x09, 0x0a, 0x0d, 0x20];

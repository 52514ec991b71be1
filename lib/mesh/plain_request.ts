/**
 * What a UDP datagram of the plain carrier says (SPEC §3.2): one message, its payload in whichever form it came.
 *
 * @module
 */

import { isNilUuid, nilUuid, UUID_BYTES } from "../base/uuid.ts";
import { readU32 } from "../base/bytes.ts";
import { CodecError } from "../codec/codec_error.ts";
import { ErrorCode } from "../codec/error_codes.ts";
import {
  callForm,
  type Formed,
  type PayloadForm,
  readDiscover,
  readHeartbeat,
  readRegister,
  type RegisterForm,
} from "../codec/json/detect.ts";
import { looksLikeJson } from "../codec/json/json_object.ts";
import type { MessageView } from "../codec/message.ts";
import { MessageFlag } from "../codec/message_header.ts";
import { isExtensionType, MessageType, messageTypeName } from "../codec/message_type.ts";
import type { AgentDiscover } from "../codec/payloads/agent_discover.ts";
import type { AgentHeartbeat } from "../codec/payloads/agent_heartbeat.ts";
import type { AgentRegister } from "../codec/payloads/agent_register.ts";
import { CALL_PREFIX_BYTES } from "../codec/payloads/call.ts";

/** The target of calls that name none. Read only. */
const NODE: Uint8Array = nilUuid();
const UNREADABLE = MessageFlag.COMPRESSED | MessageFlag.ENCRYPTED;

/** A call over the plain carrier. */
export interface PlainCallRequest {
  readonly kind: "call";
  /** JSON: the whole payload is the data, and no target is named. */
  readonly form: PayloadForm;
  /** 16 bytes; nil if none is named. A view of the datagram, like `data`. */
  readonly target: Uint8Array;
  /** Whole seconds; 0: the caller does not say. */
  readonly timeoutSeconds: number;
  readonly data: Uint8Array;
}

/** What a datagram asks for. */
export type PlainRequest =
  | ({ readonly kind: "register" } & Formed<AgentRegister, RegisterForm>)
  | ({ readonly kind: "heartbeat"; readonly isFinal: boolean } & Formed<AgentHeartbeat>)
  | ({ readonly kind: "discover" } & Formed<AgentDiscover>)
  | PlainCallRequest
  /** A Response or an Error: perhaps the answer to a call of ours. */
  | { readonly kind: "answer" }
  /** An Ack or an extension message: there is nothing to be said to it. */
  | { readonly kind: "ignored" }
  /** Something that is answered with an Error, in this form. */
  | { readonly kind: "refused"; readonly form: PayloadForm; readonly code: ErrorCode; readonly text: string };

/** Reads the one message of a datagram. Never throws, and believes nothing but the bytes. */
export function readPlainRequest(message: MessageView): PlainRequest {
  const { type, bytes, payloadStart: at, payloadEnd: end } = message;
  // Whoever answers answers needs only a second one like himself for a conversation without end.
  if (type === MessageType.RESPONSE || type === MessageType.ERROR) return { kind: "answer" };
  if (type === MessageType.ACK || isExtensionType(type)) return { kind: "ignored" };
  const seemingForm = looksLikeJson(bytes, at, end) ? "json" : "binary";
  const refused = (code: ErrorCode, text: string): PlainRequest => ({ kind: "refused", form: seemingForm, code, text });
  if ((message.flags & UNREADABLE) !== 0) {
    return refused(ErrorCode.UNSUPPORTED_TYPE, "compressed and encrypted messages are not supported here");
  }
  const formed = <T extends object>(read: T | CodecError, more: (value: T) => PlainRequest): PlainRequest =>
    read instanceof CodecError ? refused(ErrorCode.BAD_REQUEST, read.message) : more(read);
  switch (type) {
    case MessageType.AGENT_REGISTER:
      return formed(readRegister(bytes, at, end), (register) => ({ kind: "register", ...register }));
    case MessageType.AGENT_HEARTBEAT: {
      const isFinal = (message.flags & MessageFlag.FINAL) !== 0;
      return formed(readHeartbeat(bytes, at, end), (heartbeat) => ({ kind: "heartbeat", isFinal, ...heartbeat }));
    }
    case MessageType.AGENT_DISCOVER:
      return formed(readDiscover(bytes, at, end), (discover) => ({ kind: "discover", ...discover }));
    case MessageType.CALL: {
      if (callForm(bytes, at, end) === "json") {
        return { kind: "call", form: "json", target: NODE, timeoutSeconds: 0, data: bytes.subarray(at, end) };
      }
      if (end - at < CALL_PREFIX_BYTES) {
        const text = `a Call is a JSON object, or has at least ${CALL_PREFIX_BYTES} bytes; got ${end - at}`;
        return refused(ErrorCode.BAD_REQUEST, text);
      }
      return {
        kind: "call",
        form: "binary",
        target: isNilUuid(bytes, at) ? NODE : bytes.subarray(at, at + UUID_BYTES),
        timeoutSeconds: readU32(bytes, at + UUID_BYTES),
        data: bytes.subarray(at + CALL_PREFIX_BYTES, end),
      };
    }
    default:
      return refused(ErrorCode.UNSUPPORTED_TYPE, `${messageTypeName(type)} messages are not supported here`);
  }
}

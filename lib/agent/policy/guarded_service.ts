/**
 * A connection's service behind a policy: what the peer may not do is refused before anybody else sees it.
 *
 * @module
 */

import { UUID_BYTES } from "../../base/uuid.ts";
import { CodecError } from "../../codec/codec_error.ts";
import { ErrorCode } from "../../codec/error_codes.ts";
import { decodeAgentRegister } from "../../codec/payloads/agent_register.ts";
import { decodeSubscribe } from "../../codec/payloads/subscribe.ts";
import { StreamError } from "../../wire/error_codes.ts";
import type { AccessAction } from "./access_list.ts";
import type { IncomingCall } from "../calls/incoming_call.ts";
import type { CallService } from "../calls/incoming_calls.ts";
import type { IncomingRequest } from "../incoming_request.ts";
import type { Policy } from "./policy.ts";

/** The same service for those who may. */
export function guarded(service: CallService, policy: Policy): CallService {
  return {
    budget: service.budget,
    maxRequestBytes: service.maxRequestBytes,
    counters: service.counters,
    get takesEvents() {
      return service.takesEvents;
    },
    dispatch: (call, payload) => {
      const text = policy.denial(call.peer, actionOf(call, payload));
      if (text === undefined) service.dispatch(call, payload);
      else call.calls.refuse(call, ErrorCode.NOT_ALLOWED, false, text, StreamError.REFUSED);
    },
    registered: (agentId) => service.registered(agentId),
    dispatchStream: (streams, request, start) => {
      const action = messageAction("stream", request);
      const goesOnWith = start.open.resume?.at === undefined ? undefined : service.registered(request.target);
      const text = policy.denial(request.peer, goesOnWith === undefined ? action : { ...action, goesOnWith });
      // Who is refused is counted there, too.
      const refusal = text === undefined ? undefined : { code: ErrorCode.NOT_ALLOWED, retryable: false, text };
      service.dispatchStream(streams, request, start, refusal);
    },
    dispatchEvent: (event, data, done, reserve) => {
      if (policy.denial(event.peer, messageAction("event", event)) === undefined) {
        service.dispatchEvent(event, data, done, reserve);
        return;
      }
      // There is no way back to tell its sender.
      service.countBadEvent();
      done();
    },
    countBadEvent: () => service.countBadEvent(),
    countDroppedEvent: () => service.countDroppedEvent(),
  };
}

function actionOf(call: IncomingCall, payload: Uint8Array): AccessAction {
  switch (call.lifecycle) {
    case undefined:
      return messageAction(call.topic === undefined ? "call" : "event", call);
    case "register": {
      const register = decodeAgentRegister(payload);
      // What does not decode is refused behind this with the reason, whoever sent it.
      if (register instanceof CodecError) return { kind: "heartbeat", permission: "register" };
      return {
        kind: "register",
        permission: "register",
        target: register.agentId,
        capabilities: register.capabilities,
      };
    }
    case "heartbeat":
    case "deregister":
      return {
        kind: call.lifecycle,
        permission: "register",
        ...(payload.length >= UUID_BYTES && { target: payload.slice(0, UUID_BYTES) }),
      };
    case "discover":
      return { kind: "discover", permission: "call" };
    case "subscribe": {
      const wish = decodeSubscribe(payload);
      const topic = wish instanceof CodecError ? undefined : wish.patterns.join(" ");
      return { kind: "subscribe", permission: "subscribe", ...(topic !== undefined && { topic }) };
    }
  }
}

function messageAction(kind: "call" | "stream" | "event", request: IncomingRequest): AccessAction {
  const { target, topic, details: { capability } } = request;
  return {
    kind,
    permission: "call",
    ...(target.length > 0 && { target }),
    ...(capability !== undefined && { capabilities: [capability] }),
    ...(topic !== undefined && { topic }),
  };
}

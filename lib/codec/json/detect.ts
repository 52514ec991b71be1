/**
 * Payloads in either form (SPEC §2.6): a payload is JSON if it begins with `{`, ends with `}` and parses as an object with
 * the members that are expected; otherwise it is binary. An answer goes out in the form in which the question came.
 *
 * @module
 */

import { CodecError } from "../codec_error.ts";
import { type AgentDiscover, decodeAgentDiscover } from "../payloads/agent_discover.ts";
import { type AgentHeartbeat, decodeAgentHeartbeat } from "../payloads/agent_heartbeat.ts";
import { type AgentRegister, decodeAgentRegister } from "../payloads/agent_register.ts";
import { decodeDiscoverResponse, type DiscoverResponse } from "../payloads/discover_response.ts";
import { decodeError, type ErrorPayload } from "../payloads/error.ts";
import { decodeHeartbeatResponse, type HeartbeatResponse } from "../payloads/heartbeat_response.ts";
import { decodeRegisterResponse, type RegisterResponse } from "../payloads/register_response.ts";
import { decodeDiscoverJson, decodeDiscoverResponseJson } from "./discover_json.ts";
import { decodeErrorJson } from "./error_json.ts";
import { decodeHeartbeatJson, decodeHeartbeatResponseJson } from "./heartbeat_json.ts";
import { looksLikeJson, parseJsonObject } from "./json_object.ts";
import { decodeRegisterJson, decodeRegisterResponseJson } from "./register_json.ts";

/** The form of a payload. */
export type PayloadForm = "binary" | "json";
/** The form of a registration; JSON has two spellings, which are answered differently. */
export type RegisterForm = "binary" | "runtime-json" | "coordinator-json";

/** A payload's value and the form in which it came. */
export interface Formed<T, F = PayloadForm> {
  /** How it came, and how an answer goes out. */
  readonly form: F;
  /** What it says. */
  readonly value: T;
}

type Decode<T> = (bytes: Uint8Array, at?: number, end?: number) => T | CodecError;

/** JSON if that works out, else binary. If neither does, what looks like JSON is judged as such. */
function read<T, F>(
  bytes: Uint8Array,
  at: number,
  end: number,
  fromJson: Decode<Formed<T, F>>,
  fromBinary: Decode<T>,
): Formed<T, F | "binary"> | CodecError {
  const json = looksLikeJson(bytes, at, end) ? fromJson(bytes, at, end) : undefined;
  if (json !== undefined && !(json instanceof CodecError)) return json;
  const value = fromBinary(bytes, at, end);
  if (value instanceof CodecError) return json ?? value;
  return { form: "binary", value };
}

/** Marks what a JSON decoder gives. */
function asJson<T>(decode: Decode<T>): Decode<Formed<T>> {
  return (bytes, at, end) => {
    const value = decode(bytes, at, end);
    return value instanceof CodecError ? value : { form: "json", value };
  };
}

function registerFromJson(
  bytes: Uint8Array,
  at?: number,
  end?: number,
): Formed<AgentRegister, RegisterForm> | CodecError {
  const json = decodeRegisterJson(bytes, at, end);
  if (json instanceof CodecError) return json;
  return { form: json.spelling === "runtime" ? "runtime-json" : "coordinator-json", value: json.register };
}

function discoverResponseFromJson(bytes: Uint8Array, at?: number, end?: number): DiscoverResponse | CodecError {
  const json = decodeDiscoverResponseJson(bytes, at, end);
  return json instanceof CodecError ? json : json.response;
}

function errorFromJson(bytes: Uint8Array, at?: number, end?: number): ErrorPayload | CodecError {
  const json = decodeErrorJson(bytes, at, end);
  return json instanceof CodecError ? json : json.error;
}

const heartbeatFromJson = asJson(decodeHeartbeatJson);
const discoverFromJson = asJson(decodeDiscoverJson);
const registerResponseFromJson = asJson(decodeRegisterResponseJson);
const heartbeatResponseFromJson = asJson(decodeHeartbeatResponseJson);
const formedDiscoverResponseFromJson = asJson(discoverResponseFromJson);
const formedErrorFromJson = asJson(errorFromJson);

/** Reads an AgentRegister in any form. */
export function readRegister(
  bytes: Uint8Array,
  at = 0,
  end: number = bytes.length,
): Formed<AgentRegister, RegisterForm> | CodecError {
  return read(bytes, at, end, registerFromJson, decodeAgentRegister);
}

/** Reads an AgentHeartbeat in either form. */
export function readHeartbeat(
  bytes: Uint8Array,
  at = 0,
  end: number = bytes.length,
): Formed<AgentHeartbeat> | CodecError {
  return read(bytes, at, end, heartbeatFromJson, decodeAgentHeartbeat);
}

/** Reads an AgentDiscover in either form. */
export function readDiscover(
  bytes: Uint8Array,
  at = 0,
  end: number = bytes.length,
): Formed<AgentDiscover> | CodecError {
  return read(bytes, at, end, discoverFromJson, decodeAgentDiscover);
}

/** Reads the answer to an AgentRegister in either form. */
export function readRegisterResponse(
  bytes: Uint8Array,
  at = 0,
  end: number = bytes.length,
): Formed<RegisterResponse> | CodecError {
  return read(bytes, at, end, registerResponseFromJson, decodeRegisterResponse);
}

/** Reads the answer to an AgentHeartbeat in either form. */
export function readHeartbeatResponse(
  bytes: Uint8Array,
  at = 0,
  end: number = bytes.length,
): Formed<HeartbeatResponse> | CodecError {
  return read(bytes, at, end, heartbeatResponseFromJson, decodeHeartbeatResponse);
}

/** Reads the answer to an AgentDiscover in either form. */
export function readDiscoverResponse(
  bytes: Uint8Array,
  at = 0,
  end: number = bytes.length,
): Formed<DiscoverResponse> | CodecError {
  return read(bytes, at, end, formedDiscoverResponseFromJson, decodeDiscoverResponse);
}

/** Reads an Error in either form. */
export function readError(bytes: Uint8Array, at = 0, end: number = bytes.length): Formed<ErrorPayload> | CodecError {
  return read(bytes, at, end, formedErrorFromJson, decodeError);
}

/**
 * The form of a Call's payload: a JSON object and nothing else is a bare Call to the node itself, whose data is the whole
 * payload. A binary Call cannot be taken for one, because the bytes of its time-out cannot all be characters
 * (`MAX_CALL_TIMEOUT_SECONDS`).
 */
export function callForm(bytes: Uint8Array, at = 0, end: number = bytes.length): PayloadForm {
  if (!looksLikeJson(bytes, at, end)) return "binary";
  return parseJsonObject(bytes, at, end) instanceof CodecError ? "binary" : "json";
}

/**
 * What is known of an agent (SPEC §2.5.1): the layout that AgentRegister and the answer to AgentDiscover share.
 *
 * @module
 */

import type { Address } from "../../base/address.ts";
import { UUID_BYTES } from "../../base/uuid.ts";
import { ENDPOINT4_BYTES, ENDPOINT6_BYTES, parseIpv4, parseIpv6, readEndpoint4, readEndpoint6 } from "../endpoint.ts";
import { type PayloadReader, TlvReader } from "../payload_reader.ts";
import type { PayloadWriter } from "../payload_writer.ts";

/** Length of a static public key. */
export const PUBLIC_KEY_BYTES = 32;
/** The most capabilities that an agent may list. */
export const MAX_CAPABILITIES = 1024;
/** The most tags that an agent may list. */
export const MAX_TAGS = 256;
/** The most metadata entries that an agent may list. */
export const MAX_METADATA_ENTRIES = 256;

/** Whether an agent can be reached. */
export type AgentStatus = "online" | "offline" | "degraded";

/** {@link AgentStatus} by its number on the wire. Read only. */
const STATUSES: readonly (AgentStatus | undefined)[] = [undefined, "online", "offline", "degraded"];

/** The one value of the carrier TLV. Agents on the secure carrier have a public key instead. */
const PLAIN_CARRIER = 1;

/** TLV types behind the published fields. Those from 0x10 on are what a node says of an agent. */
const TLV = {
  PUBLIC_KEY: 0x01,
  ENDPOINT6: 0x02,
  VERSION: 0x03,
  DESCRIPTION: 0x04,
  TAG: 0x05,
  METADATA: 0x06,
  LEASE: 0x07,
  STATUS: 0x10,
  LOAD: 0x11,
  LAST_HEARTBEAT: 0x12,
  REGISTERED_AT: 0x13,
  CARRIER: 0x14,
} as const;

/** What an agent says of itself. */
export interface AgentDescription {
  /** 16 bytes. */
  readonly agentId: Uint8Array;
  /** What people call it. Need not be unique. */
  readonly name: string;
  /** What it can do, such as `text.summarise`. */
  readonly capabilities: readonly string[];
  /** IPv4 address and port at which it can be reached; undefined: over the connection that it registers on. */
  readonly endpoint?: Address;
  /** IPv6 address and port. */
  readonly endpoint6?: Address;
  /** 32 bytes: its static X25519 key, for messages that are sealed end to end. */
  readonly publicKey?: Uint8Array;
  /** Its own version. */
  readonly version?: string;
  /** What it is, for people. */
  readonly description?: string;
  /** Words to find it by. */
  readonly tags?: readonly string[];
  /** Keys (at most 255 bytes as UTF-8) and values, in order; a key may repeat. */
  readonly metadata?: readonly (readonly [string, string])[];
  /** The lease that it asks for, or in an answer has, in milliseconds. */
  readonly leaseMillis?: number;
}

/** What a node says of an agent. */
export interface AgentRecord extends AgentDescription {
  /** Whether it can be reached. */
  readonly status?: AgentStatus;
  /** 0 idle, 1000 as much as it can take; more when it is queueing. */
  readonly load?: number;
  /** Milliseconds since 1970. */
  readonly lastHeartbeatMillis?: number;
  /** Milliseconds since 1970. */
  readonly registeredAtMillis?: number;
  /** It is reached over the plain carrier, in clear, and no key vouches for it. */
  readonly isPlain?: boolean;
}

/** The number of a status. */
export function agentStatusNumber(status: AgentStatus): number {
  return STATUSES.indexOf(status);
}

/** The status with a number, if there is one. */
export function agentStatusOf(number: number): AgentStatus | undefined {
  return STATUSES[number];
}

/** The layout of a record; a plain {@link AgentDescription} is one with nothing from the node. */
export function layOutAgentRecord(writer: PayloadWriter, record: AgentRecord): void {
  writer.fixed(record.agentId, UUID_BYTES, "agent id");
  writer.text16(record.name, "name");
  checkCount(record.capabilities.length, MAX_CAPABILITIES, "capabilities");
  writer.u16(record.capabilities.length, "capability count");
  for (const capability of record.capabilities) writer.text16(capability, "capability");
  layOutEndpoint4(writer, record.endpoint);

  const { publicKey, endpoint6, tags = [], metadata = [] } = record;
  if (publicKey !== undefined) {
    writer.tlv(TLV.PUBLIC_KEY, PUBLIC_KEY_BYTES, "public key");
    writer.fixed(publicKey, PUBLIC_KEY_BYTES, "public key");
  }
  if (endpoint6 !== undefined) {
    writer.tlv(TLV.ENDPOINT6, ENDPOINT6_BYTES, "IPv6 endpoint");
    layOutEndpoint6(writer, endpoint6);
  }
  writer.tlvText(TLV.VERSION, record.version, "version");
  writer.tlvText(TLV.DESCRIPTION, record.description, "description");
  checkCount(tags.length, MAX_TAGS, "tags");
  for (const tag of tags) writer.tlvText(TLV.TAG, tag, "tag");
  checkCount(metadata.length, MAX_METADATA_ENTRIES, "metadata entries");
  for (const [key, value] of metadata) writer.tlvPair(TLV.METADATA, key, value, "metadata");
  writer.tlvU32(TLV.LEASE, record.leaseMillis, "lease");
  if (record.status !== undefined) writer.tlvU8(TLV.STATUS, agentStatusNumber(record.status), "status");
  writer.tlvU16(TLV.LOAD, record.load, "load");
  writer.tlvU64(TLV.LAST_HEARTBEAT, record.lastHeartbeatMillis, "last heartbeat");
  writer.tlvU64(TLV.REGISTERED_AT, record.registeredAtMillis, "registered at");
  if (record.isPlain === true) writer.tlvU8(TLV.CARRIER, PLAIN_CARRIER, "carrier");
}

/** Reads a record up to the reader's end; what it is worth is in the reader's error. Everything is copied. */
export function readAgentRecord(reader: PayloadReader): AgentRecord {
  const agentId = reader.copy(UUID_BYTES, "agent id");
  const name = reader.text16("name");
  const count = reader.u16("capability count");
  if (count > MAX_CAPABILITIES) reader.fail("too_many", "capabilities", count, MAX_CAPABILITIES);
  const capabilities: string[] = [];
  while (reader.error === undefined && capabilities.length < count) capabilities.push(reader.text16("capability"));
  const endpointAt = reader.take(ENDPOINT4_BYTES, "endpoint");
  const tags: string[] = [];
  const metadata: (readonly [string, string])[] = [];
  const record: { -readonly [K in keyof AgentRecord]: AgentRecord[K] } = {
    agentId,
    name,
    capabilities,
    endpoint: endpointAt < 0 ? undefined : readEndpoint4(reader.bytes, endpointAt),
    tags,
    metadata,
  };

  const tlvs = new TlvReader(reader);
  while (tlvs.next()) {
    switch (tlvs.type) {
      case TLV.PUBLIC_KEY:
        record.publicKey = tlvs.fixed(PUBLIC_KEY_BYTES, "public key");
        break;
      case TLV.ENDPOINT6: {
        const bytes = tlvs.fixed(ENDPOINT6_BYTES, "IPv6 endpoint");
        if (reader.error === undefined) record.endpoint6 = readEndpoint6(bytes, 0);
        break;
      }
      case TLV.VERSION:
        record.version = tlvs.text("version");
        break;
      case TLV.DESCRIPTION:
        record.description = tlvs.text("description");
        break;
      case TLV.TAG:
        if (tags.length === MAX_TAGS) reader.fail("too_many", "tags", undefined, MAX_TAGS);
        else tags.push(tlvs.repeatedText("tag"));
        break;
      case TLV.METADATA:
        if (metadata.length < MAX_METADATA_ENTRIES) metadata.push(tlvs.repeatedPair("metadata"));
        else reader.fail("too_many", "metadata entries", undefined, MAX_METADATA_ENTRIES);
        break;
      case TLV.LEASE:
        record.leaseMillis = tlvs.u32("lease");
        break;
      case TLV.STATUS: {
        const number = tlvs.u8("status");
        record.status = agentStatusOf(number);
        if (record.status === undefined) reader.fail("bad_value", "status", number);
        break;
      }
      case TLV.LOAD:
        record.load = tlvs.u16("load");
        break;
      case TLV.LAST_HEARTBEAT:
        record.lastHeartbeatMillis = tlvs.u64("last heartbeat");
        break;
      case TLV.REGISTERED_AT:
        record.registeredAtMillis = tlvs.u64("registered at");
        break;
      case TLV.CARRIER: {
        const number = tlvs.u8("carrier");
        record.isPlain = number === PLAIN_CARRIER;
        if (!record.isPlain) reader.fail("bad_value", "carrier", number);
        break;
      }
    }
  }
  return record;
}

function layOutEndpoint4(writer: PayloadWriter, endpoint: Address | undefined): void {
  const bytes = parseIpv4(endpoint?.host ?? "0.0.0.0");
  if (bytes === undefined) throw new RangeError(`endpoint ${endpoint?.host} is not an IPv4 address`);
  writer.bytes(bytes);
  writer.u16(endpoint?.port ?? 0, "endpoint port");
}

function layOutEndpoint6(writer: PayloadWriter, endpoint: Address): void {
  const bytes = parseIpv6(endpoint.host);
  if (bytes === undefined) throw new RangeError(`endpoint6 ${endpoint.host} is not an IPv6 address`);
  writer.bytes(bytes);
  writer.u16(endpoint.port, "endpoint6 port");
}

function checkCount(count: number, max: number, field: string): void {
  if (count > max) throw new RangeError(`${count} ${field}, at most ${max} allowed`);
}

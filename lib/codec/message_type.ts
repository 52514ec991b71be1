/**
 * Message types (SPEC §2.2).
 *
 * @module
 */

/** Message types by name: the eleven of the published protocol, and the extension types that are defined. */
export const MessageType = {
  /** Registers an agent, or renews what is known of it. */
  AGENT_REGISTER: 0x01,
  /** Asks for agents. */
  AGENT_DISCOVER: 0x02,
  /** Keeps a lease alive; with FINAL it ends it. */
  AGENT_HEARTBEAT: 0x03,
  /** Asks an agent to do something and answer. */
  CALL: 0x10,
  /** The answer to a Call, or to one of the lifecycle messages. */
  RESPONSE: 0x11,
  /** Tells something and expects no answer. */
  EVENT: 0x12,
  /** Opens an agent stream. */
  STREAM_OPEN: 0x20,
  /** A piece of an agent stream. */
  STREAM_CHUNK: 0x21,
  /** Ends an agent stream. */
  STREAM_CLOSE: 0x22,
  /** Says about what the next Call, Event or StreamOpen on the same transport stream leaves out. An extension type. */
  METADATA: 0x80,
  /** Asks to be told of events. An extension type only by its number: it is a request of its own. */
  SUBSCRIBE: 0x81,
  /** Says who the Event that follows is from. An extension type. */
  PUBLISHER: 0x82,
  /** Says how many events are missing at this place. An extension type. */
  MISSED: 0x83,
  /** What the answerer of a resumable stream has of it. An extension type. */
  RESUME_STATE: 0x84,
  /** How far a resumable stream was read. An extension type. */
  STREAM_PROGRESS: 0x85,
  /** Begins what an agent seals on an agent stream. An extension type. */
  SEAL: 0x87,
  /** Acknowledges a message. */
  ACK: 0xf0,
  /** Answers that something failed. */
  ERROR: 0xf1,
} as const;
/** One of the types that have a name. Extension types 0x80–0xEF without one are plain numbers. */
export type MessageType = typeof MessageType[keyof typeof MessageType];

/** What a type byte means to a switch: a published type, or one of the extension range. */
export type MessageKind =
  | "AgentRegister"
  | "AgentDiscover"
  | "AgentHeartbeat"
  | "Call"
  | "Response"
  | "Event"
  | "StreamOpen"
  | "StreamChunk"
  | "StreamClose"
  | "Ack"
  | "Error"
  | "Extension";

/** The first type of the extension range. */
export const FIRST_EXTENSION_TYPE = 0x80;
/** The last type of the extension range. */
export const LAST_EXTENSION_TYPE = 0xef;

/** The kind of a type byte; undefined if the type is unknown. */
export function messageKind(type: number): MessageKind | undefined {
  switch (type) {
    case MessageType.AGENT_REGISTER:
      return "AgentRegister";
    case MessageType.AGENT_DISCOVER:
      return "AgentDiscover";
    case MessageType.AGENT_HEARTBEAT:
      return "AgentHeartbeat";
    case MessageType.CALL:
      return "Call";
    case MessageType.RESPONSE:
      return "Response";
    case MessageType.EVENT:
      return "Event";
    case MessageType.STREAM_OPEN:
      return "StreamOpen";
    case MessageType.STREAM_CHUNK:
      return "StreamChunk";
    case MessageType.STREAM_CLOSE:
      return "StreamClose";
    case MessageType.ACK:
      return "Ack";
    case MessageType.ERROR:
      return "Error";
    default:
      return isExtensionType(type) ? "Extension" : undefined;
  }
}

/** Whether a type byte lies in the extension range. */
export function isExtensionType(type: number): boolean {
  return type >= FIRST_EXTENSION_TYPE && type <= LAST_EXTENSION_TYPE;
}

/** The extension types that have a name. */
const EXTENSIONS: ReadonlyMap<number, string> = new Map([
  [MessageType.METADATA, "Metadata"],
  [MessageType.SUBSCRIBE, "Subscribe"],
  [MessageType.PUBLISHER, "Publisher"],
  [MessageType.MISSED, "Missed"],
  [MessageType.RESUME_STATE, "ResumeState"],
  [MessageType.STREAM_PROGRESS, "StreamProgress"],
  [MessageType.SEAL, "Seal"],
]);

/** The name of a type for people: `Call`, `Metadata`, `Extension 0xa1`, `Unknown 0x7f`. */
export function messageTypeName(type: number): string {
  const extension = EXTENSIONS.get(type);
  if (extension !== undefined) return extension;
  const kind = messageKind(type);
  if (kind !== undefined && kind !== "Extension") return kind;
  return `${kind ?? "Unknown"} 0x${type.toString(16).padStart(2, "0")}`;
}

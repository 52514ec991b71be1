/**
 * Every number of the wire format: sizes, flags, types. Tuning constants live with what they tune, not here.
 *
 * @module
 */

/** Largest value that a packet number, stream id, offset or limit may have (SPEC, introduction). */
export const MAX_SAFE_U64 = Number.MAX_SAFE_INTEGER;

/** The wire version that this implementation speaks. */
export const WIRE_VERSION = 1;

/** Length of the header that every packet begins with (SPEC §4). */
export const PACKET_HEADER_SIZE = 32;
/** Length of the AEAD tag behind a protected packet's ciphertext (SPEC §6). */
export const PACKET_TAG_SIZE = 16;
/** What a protected packet costs on top of its frames. */
export const PROTECTED_PACKET_OVERHEAD = PACKET_HEADER_SIZE + PACKET_TAG_SIZE;
/** Smallest body of a protected packet: the plaintext is never empty (SPEC §4). */
export const MIN_PROTECTED_BODY_SIZE = PACKET_TAG_SIZE + 1;
/** Length of a connection id. */
export const CONNECTION_ID_SIZE = 8;
/** Length of the nonce field and of both suites' nonces. */
export const NONCE_SIZE = 12;

/** Positions of the fields inside the packet header (SPEC §4). */
export const HeaderOffset = {
  DESTINATION: 0,
  PACKET_NUMBER: 8,
  FLAGS: 16,
  RESERVED: 17,
  LENGTH: 18,
  NONCE: 20,
} as const;

/** A UDP datagram that carries an InitiatorHello is at least this long (SPEC §4). */
export const MIN_INITIATOR_DATAGRAM_SIZE = 1200;
/** A path has to carry UDP datagrams of this length (SPEC §9). */
export const MIN_PATH_DATAGRAM_SIZE = 1200;
/** Largest UDP payload over IPv4, and the upper bound of MAX_UDP_PAYLOAD (SPEC §5). */
export const MAX_UDP_PAYLOAD_SIZE = 65507;
/** Most bytes that may be sent for each byte received before the address is validated (SPEC §5). */
export const AMPLIFICATION_FACTOR = 3;

/** Bits of the flags byte (SPEC §4). All but HANDSHAKE are masked on the wire. */
export const PacketFlag = {
  HANDSHAKE: 0x01,
  ACK_ELICITING: 0x02,
  ACK: 0x04,
  KEY_PHASE: 0x08,
  PROBE: 0x10,
} as const;
/** Bits of the flags byte that are always 0. */
export const UNDEFINED_PACKET_FLAGS = 0xe0;

/** Kinds of handshake messages (SPEC §5). */
export const HandshakeKind = {
  INITIATOR_HELLO: 0x01,
  RESPONDER_HELLO: 0x02,
  INITIATOR_FINISH: 0x03,
  RETRY: 0x04,
  VERSION_NEGOTIATION: 0x05,
  REJECT: 0x06,
} as const;
/** One of the kinds of handshake messages. */
export type HandshakeKind = typeof HandshakeKind[keyof typeof HandshakeKind];

/** First byte of the payload of handshake messages 0x01–0x03 (SPEC §5). */
export const HandshakePattern = {
  IK: 0x01,
  XX: 0x02,
  /** Resumption with a ticket. */
  NNPSK0: 0x03,
} as const;

/** Bit of the pattern byte of an InitiatorHello: a cookie follows directly behind it (SPEC §5 "Retry"). */
export const COOKIE_FLAG = 0x80;
/** Most bytes of a cookie. */
export const MAX_COOKIE_SIZE = 64;
/** Length of the nonce behind a cookie. */
export const WORK_NONCE_SIZE = 8;

/** Length of an X25519 public key. */
export const PUBLIC_KEY_SIZE = 32;
/** Kind, ephemeral public key and payload length: what precedes a handshake message's payload (SPEC §5). */
export const HANDSHAKE_MESSAGE_OVERHEAD = 35;

/** Transport parameter types (SPEC §5). */
export const ParameterType = {
  PADDING: 0x00,
  CONNECTION_ID: 0x01,
  SUITES: 0x02,
  MAX_DATA: 0x03,
  MAX_STREAM_DATA: 0x04,
  MAX_STREAMS_BIDI: 0x05,
  MAX_STREAMS_UNI: 0x06,
  IDLE_TIMEOUT: 0x07,
  MAX_UDP_PAYLOAD: 0x08,
  MAX_ACK_DELAY: 0x09,
  MAX_DATAGRAM_FRAME: 0x0a,
  RESET_TOKEN: 0x0b,
  ACTIVE_CONNECTION_IDS: 0x0c,
  EARLY_DATA: 0x0d,
  EARLY_ACCEPTED: 0x18,
  TICKETS: 0x19,
} as const;

/** Most streams of one kind that can ever be opened: the index of a stream id has 51 bits (SPEC §5). */
export const MAX_STREAMS_LIMIT = 2 ** 51;
/** Length of a stateless reset's token (SPEC §5). */
export const RESET_TOKEN_SIZE = 16;
/** Upper bound of ACTIVE_CONNECTION_IDS: the field has one byte (SPEC §5). */
export const MAX_CONNECTION_IDS = 255;
/** Most suites in a SUITES parameter. */
export const MAX_SUITES = 16;

/** Frame types: the low four bits of a frame's first byte (SPEC §7). */
export const FrameType = {
  PADDING: 0x0,
  STREAM_OPEN: 0x1,
  STREAM_DATA: 0x2,
  STREAM_FIN: 0x3,
  DATAGRAM: 0x4,
  ACK: 0x5,
  CRYPTO: 0x6,
  CONTROL: 0x7,
  STREAM_MAX_DATA: 0x8,
  CONNECTION_MAX_DATA: 0x9,
} as const;
/** One of the frame types. */
export type FrameType = typeof FrameType[keyof typeof FrameType];

/** Flags of a STREAM_DATA frame: the high four bits of its first byte (SPEC §7). */
export const StreamDataFlag = {
  /** The stream ends behind this data. */
  FIN: 0x10,
  /** The frame opens the stream; a class byte follows the length. */
  OPEN: 0x20,
} as const;

/** Operations of a CONTROL frame (SPEC §7). */
export const ControlOp = {
  PING: 0x01,
  CLOSE: 0x02,
  RESET_STREAM: 0x03,
  STOP_SENDING: 0x04,
  MAX_STREAMS: 0x05,
  NEW_CONNECTION_ID: 0x06,
  RETIRE_CONNECTION_ID: 0x07,
  PATH_CHALLENGE: 0x08,
  PATH_RESPONSE: 0x09,
  TICKET: 0x0a,
  DATA_BLOCKED: 0x0b,
  STREAM_DATA_BLOCKED: 0x0c,
  STREAMS_BLOCKED: 0x0d,
  HANDSHAKE_DONE: 0x0e,
  ACK_FREQUENCY: 0x0f,
} as const;

/** Most bytes of a CLOSE frame's reason (SPEC §7). */
export const MAX_CLOSE_REASON_SIZE = 256;
/** Longest ticket (SPEC §5). */
export const MAX_TICKET_SIZE = 256;
/** Lifetime and number, which precede the ticket in CONTROL TICKET (SPEC §7). */
export const TICKET_PREFIX_SIZE = 8;
/** Length of the data in PATH_CHALLENGE and PATH_RESPONSE. */
export const PATH_CHALLENGE_SIZE = 8;

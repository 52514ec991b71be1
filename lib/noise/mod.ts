/**
 * The Noise protocol framework (revision 34) as far as MXP uses it.
 *
 * @module
 */

export { CipherState } from "./cipher_state.ts";
export {
  envelopeLength,
  EnvelopeOpener,
  type EnvelopeParts,
  EnvelopeSealer,
  MAX_ENVELOPE_HEAD_BYTES,
} from "./envelope.ts";
export { type HandshakeOptions, HandshakeState, MAX_NOISE_MESSAGE_LENGTH, PSK_LENGTH } from "./handshake_state.ts";
export {
  type HandshakePattern,
  PATTERN_IK,
  PATTERN_NNPSK0,
  PATTERN_X,
  PATTERN_XX,
  protocolName,
  pskCount,
  type Token,
} from "./patterns.ts";
export { SharedSecrets } from "./shared_secrets.ts";
export { SymmetricState } from "./symmetric_state.ts";

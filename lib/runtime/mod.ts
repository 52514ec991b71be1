/**
 * Everything that differs between Deno, Bun and Node, or that the core must not do itself: sockets, clock, randomness,
 * files, processes, name resolution.
 *
 * @module
 */

export { detectRuntime, type Runtime, runtimeVersion } from "./detect.ts";
export { defaultBindUdp } from "./default_udp.ts";
export { bindDenoUdp, hasDenoUdp } from "./deno_udp.ts";
export { bindBunUdp, hasBunUdp } from "./bun_udp.ts";
export { bindNodeUdp } from "./node_udp.ts";
export { type MemoryFault, MemoryNetwork, type MemoryNetworkOptions } from "./memory_udp.ts";
export { SystemClock } from "./clock.ts";
export { builtInZstd } from "./zstd.ts";
export { SystemRandom } from "./random.ts";
export { type ResolvedHost, resolveHost } from "./resolve.ts";
export {
  appendLine,
  configDirectory,
  exists,
  fileKind,
  homeDirectory,
  isPrivate,
  LineAppender,
  listDirectory,
  readBytes,
  readText,
  removeFile,
  writeSecretFile,
} from "./files.ts";
export {
  type CommandEnd,
  type CommandOptions,
  type CommandStatus,
  runCommand,
  type RunCommandOptions,
  type RunningCommand,
  startCommand,
} from "./process.ts";
export {
  isTerminal,
  onSignal,
  readAllStdin,
  type StandardStream,
  stdinChunks,
  type TerminationSignal,
  type WriteResult,
  writeStderr,
  writeStdout,
} from "./stdio.ts";

/**
 * What programs around the library need of the runtime, the same on Deno, Bun and Node: files, standard streams,
 * processes, signals. `mod.ts` exports it as the namespace `host`.
 *
 * @module
 */

export {
  appendLine,
  type CommandEnd,
  type CommandOptions,
  type CommandStatus,
  configDirectory,
  detectRuntime,
  exists,
  homeDirectory,
  isPrivate,
  isTerminal,
  LineAppender,
  onSignal,
  readAllStdin,
  readBytes,
  readText,
  runCommand,
  type RunCommandOptions,
  type RunningCommand,
  type Runtime,
  runtimeVersion,
  type StandardStream,
  startCommand,
  stdinChunks,
  type TerminationSignal,
  type WriteResult,
  writeSecretFile,
  writeStderr,
  writeStdout,
} from "../runtime/mod.ts";

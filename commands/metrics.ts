/**
 * A node's numbers over HTTP, for Prometheus and for whoever asks whether the node is alive.
 *
 * @module
 */

import { lookup } from "node:dns/promises";
import { createServer, type Server as HttpServer } from "node:http";
import { type AddressInfo, isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { CliError } from "./errors.ts";

/** An address to listen on. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Where they can be fetched. */
export interface Metrics {
  /** Such as `http://127.0.0.1:9100/metrics`. */
  readonly url: string;
  close(): void;
}

/** What is served. */
export interface MetricsSource {
  /** A snapshot: numbers, and objects of them. */
  readonly stats: () => object;
  /** Whether the node takes new calls. */
  readonly isHealthy: () => boolean;
}

/** Longest time that a client may take for its request. Nothing is asked that is long. */
const REQUEST_TIMEOUT_MS = 5_000;
/** Clients at a time; a scraper needs one. */
const MAX_CONNECTIONS = 32;

/** The address that `--metrics` names. There is no port of its own for it, and that of the protocol would be a surprise. */
export async function metricsAddress(text: string): Promise<HostPort> {
  const { parseHostPort } = await import("../mod.ts");
  const address = parseHostPort(text, 1);
  if (address.port === parseHostPort(text, 2).port) return address;
  throw new CliError("usage", `--metrics needs a port, such as ${text.replace(/:$/, "")}:9100`);
}

/** Serves `/metrics` and `/healthz`. Fails with exit code 3 where the address cannot be listened on. */
export async function serveMetrics(listen: HostPort, source: MetricsSource): Promise<Metrics> {
  const server = createServer(
    { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS },
    (request, response) => {
      const [path] = (request.url ?? "").split("?", 1);
      const answer = answerTo(request.method ?? "", path, source);
      response.writeHead(answer.status, { "content-type": answer.type, "connection": "close" });
      response.end(request.method === "HEAD" ? "" : answer.body);
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  await listening(server, listen);
  server.unref();
  const { port } = server.address() as AddressInfo;
  const host = listen.host.includes(":") ? `[${listen.host}]` : listen.host;
  return { url: `http://${host}:${port}/metrics`, close: () => server.close() };
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

function answerTo(method: string, path: string, source: MetricsSource): Answer {
  const type = "text/plain; version=0.0.4; charset=utf-8";
  if (method !== "GET" && method !== "HEAD") return { status: 405, type, body: "GET only\n" };
  switch (path) {
    case "/metrics":
      return { status: 200, type, body: prometheusText(source.stats()) };
    case "/healthz":
      return source.isHealthy() ? { status: 200, type, body: "ok\n" } : { status: 503, type, body: "shutting down\n" };
    default:
      return { status: 404, type, body: "there are /metrics and /healthz\n" };
  }
}

/**
 * Numbers as Prometheus reads them: `{ dropped: { oldKeys: 1 } }` is `mxp_dropped_old_keys 1`. The codes for which connections were closed, and
 * those with which requests were refused, are labels.
 */
export function prometheusText(stats: object): string {
  const lines: string[] = [];
  const visit = (value: unknown, name: string): void => {
    if (typeof value === "number") lines.push(`${name} ${value}`);
    else if (typeof value === "boolean") lines.push(`${name} ${value ? 1 : 0}`);
    else if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      for (const [key, inner] of Object.entries(value)) {
        const isByCode = name === "mxp_violations" || name.endsWith("_refused");
        if (isByCode) lines.push(`${name}{code="${key.replace(/[^A-Z0-9_()x]/gi, "_")}"} ${inner}`);
        else visit(inner, `${name}_${snakeCase(key)}`);
      }
    }
  };
  visit(stats, "mxp");
  return lines.join("\n") + "\n";
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`).replace(/[^a-z0-9_]/g, "_");
}

async function listening(server: HttpServer, { host, port }: HostPort): Promise<void> {
  const failed = (why: string, cause: unknown): CliError =>
    new CliError("config", `--metrics: cannot listen on ${host.includes(":") ? `[${host}]` : host}:${port}: ${why}`, {
      cause,
    });
  const address = isIP(host) !== 0 ? host : await lookup(host).then((found) => found.address, (cause) => {
    throw failed("the host name is unknown", cause);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => reject(failed(listenProblem(cause, address), cause)));
    server.listen(port, address, () => resolve());
  });
}

/** What is in the way, in words: what the runtimes say differs, and is not always the reason. */
function listenProblem(cause: Error & { code?: string }, address: string): string {
  if (cause.code === "EACCES") return "no permission (ports below 1024 need privileges)";
  if (!isOwnAddress(address)) return "this machine has no such address";
  if (cause.code === "EADDRINUSE") return "the port is taken; choose another";
  return cause.message;
}

function isOwnAddress(address: string): boolean {
  if (["0.0.0.0", "::"].includes(address) || address.startsWith("127.")) return true;
  return Object.values(networkInterfaces()).some((list) => list?.some((own) => own.address === address));
}

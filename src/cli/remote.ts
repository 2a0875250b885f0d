import type { Command } from "commander";
import { z } from "zod";
import { loadEnvironment } from "../config/environment.ts";
import { messageOf, PermanentError, TransientError } from "../core/errors.ts";
import { parseJson } from "../core/parse.ts";
import { urlWithoutLogin } from "../settings/schemas.ts";

/** A service elsewhere, reached through its API. */
export interface Service {
  /**
   * Calls an operation, and returns the body of the response.
   * @param path Beneath `/api/v1`.
   * @throws PermanentError with the problem's detail; TransientError if the service is away.
   */
  call(method: "GET" | "POST" | "DELETE", path: string, body?: unknown): Promise<Record<string, unknown>>;
  /**
   * Reads a file of any length.
   * @param header One that every file of the operation has, so that no other page passes for it.
   * @throws like `call`; so do the parts if the connection breaks off.
   */
  download(path: string, header: string): Promise<{ header: string; parts: AsyncIterable<string> }>;
}

/** Longer than a request waits for a decision. */
const LIMIT_MS = 90_000;

/**
 * Lets a command work on a service elsewhere: with `--url` or RETRIGGER_URL, `remote` runs in place of `local`, and needs
 * neither server.
 */
export function orRemotely<A extends unknown[]>(
  command: Command,
  local: (...values: A) => Promise<void> | void,
  remote: (service: Service, ...values: A) => Promise<void>,
): Command {
  return command
    .option("--url <url>", "the service to ask, such as https://retrigger.example.com (RETRIGGER_URL)")
    .option("--token <token>", "a token for it (RETRIGGER_TOKEN)")
    .action((...values: unknown[]) => {
      const service = findService(command.opts());
      const own = values as A;
      return service ? remote(service, ...own) : local(...own);
    });
}

function findService(options: { url?: string; token?: string }): Service | null {
  const env = loadEnvironment();
  const url = options.url ?? env["RETRIGGER_URL"];
  if (url === undefined) return null;
  const parsed = urlWithoutLogin.safeParse(url);
  if (!parsed.success)
    throw new PermanentError(
      "CONFIG",
      `RETRIGGER_URL, or --url, is ${JSON.stringify(url)}: ${parsed.error.issues[0]?.message}`,
    );
  return createService(parsed.data, options.token ?? env["RETRIGGER_TOKEN"] ?? null);
}

function createService(url: string, token: string | null): Service {
  /** Without a token we are local, and say that no other site's page sends this. */
  const identity: Record<string, string> =
    token === null ? { origin: new URL(url).origin } : { authorization: `Bearer ${token}` };
  const send = (path: string, options: RequestInit): Promise<Response> =>
    fetch(`${url}/api/v1${path}`, { redirect: "error", ...options });
  const reach = async <T>(act: () => Promise<T>): Promise<T> => {
    try {
      return await act();
    } catch (error) {
      throw describeAway(`Cannot reach ${url}`, error);
    }
  };
  return {
    async call(method, path, body) {
      const headers = {
        accept: "application/json",
        ...identity,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      };
      const [response, text] = await reach(async () => {
        const sent = await send(path, {
          method,
          headers,
          signal: AbortSignal.timeout(LIMIT_MS),
          ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
        });
        return [sent, await sent.text()];
      });
      if (!response.ok) throw describeRefusal(url, response, text);
      // A page that asks for a login, say, must not pass for an answer.
      const answer = z.looseObject({}).safeParse(parseJson(text)).data;
      if (answer) return answer;
      throw describeStranger(url);
    },
    async download(path, header) {
      // The file may take any time, its beginning may not.
      const beginning = new AbortController();
      const timer = setTimeout(() => beginning.abort(new Error("no response in time")), LIMIT_MS);
      const response = await reach(() => send(path, { headers: identity, signal: beginning.signal }));
      clearTimeout(timer);
      if (!response.ok) throw describeRefusal(url, response, await reach(() => response.text()));
      const value = response.headers.get(header);
      if (value === null || response.body === null) throw describeStranger(url);
      return { header: value, parts: readParts(url, response.body) };
    },
  };
}

async function* readParts(url: string, body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  try {
    for await (const part of body) yield decoder.decode(part, { stream: true });
  } catch (error) {
    throw describeAway(`The response of ${url} broke off`, error);
  }
}

function describeAway(what: string, error: unknown): TransientError {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return new TransientError("SERVICE_AWAY", `${what}: ${messageOf(cause)}`, { cause: error });
}

function describeStranger(url: string): PermanentError {
  return new PermanentError("NO_SERVICE", `${url} is no Retrigger service: it responded with something else`);
}

function describeRefusal(url: string, { status }: Response, text: string): PermanentError {
  const problem = Problem.safeParse(parseJson(text)).data;
  const detail = problem?.detail ?? `it responded with ${status}`;
  return new PermanentError(problem?.code ?? "REFUSED", `${url} refused: ${detail}`);
}

const Problem = z.object({ code: z.string(), detail: z.string() });

/** A part of a path or query. */
export const encode = (text: string | number): string => encodeURIComponent(text);

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
  return {
    async call(method, path, body) {
      const headers: Record<string, string> = {
        accept: "application/json",
        // Without a token we are local, and say that no other site's page sends this.
        ...(token === null ? { origin: new URL(url).origin } : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      };
      let response: Response;
      let text: string;
      try {
        response = await fetch(`${url}/api/v1${path}`, {
          method,
          headers,
          redirect: "error",
          signal: AbortSignal.timeout(LIMIT_MS),
          ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
        });
        text = await response.text();
      } catch (error) {
        const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
        throw new TransientError("SERVICE_AWAY", `Cannot reach ${url}: ${messageOf(cause)}`, {
          cause: error,
        });
      }
      if (response.ok) {
        // A page that asks for a login, say, must not pass for an answer.
        const answer = z.looseObject({}).safeParse(parseJson(text)).data;
        if (answer) return answer;
        throw new PermanentError(
          "NO_SERVICE",
          `${url} is no Retrigger service: it responded with something else`,
        );
      }
      const problem = Problem.safeParse(parseJson(text)).data;
      const detail = problem?.detail ?? `it responded with ${response.status}`;
      throw new PermanentError(problem?.code ?? "REFUSED", `${url} refused: ${detail}`);
    },
  };
}

const Problem = z.object({ code: z.string(), detail: z.string() });

/** A part of a path or query. */
export const encode = (text: string | number): string => encodeURIComponent(text);

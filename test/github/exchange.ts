import type { IncomingMessage, ServerResponse } from "node:http";
import type { CalledRequest, Contract } from "./contract.ts";
import type { Refusal } from "./refusals.ts";

/** A request to a known operation of GitHub's API, and the means to respond to it. */
export interface Exchange {
  called: CalledRequest;
  contract: Contract;
  response: ServerResponse;
  /** Sends a response that is checked against GitHub's description of its API. */
  reply(status: number, body: unknown, headers?: Record<string, string>): void;
}

export function refuse(
  response: ServerResponse,
  called: CalledRequest | null,
  { status, message, headers = () => ({}) }: Refusal,
): void {
  // GitHub may quote the request.
  const quoted = called === null ? message : message.replace("$TOKEN", called.headers["authorization"] ?? "");
  send(response, status, { message: quoted, documentation_url: "https://docs.github.com/rest" }, headers());
}

export function send(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "content-type": "application/json; charset=utf-8", ...headers });
  response.end(body === null ? undefined : JSON.stringify(body));
}

export async function readRequest(request: IncomingMessage): Promise<CalledRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  return {
    method: request.method ?? "",
    url: request.url ?? "",
    headers: request.headers as Record<string, string>,
    body: text === "" ? undefined : JSON.parse(text),
  };
}

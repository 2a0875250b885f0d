import type { Request, Response } from "express";
import type { z } from "zod";
import type { Actor, Role } from "../../core/access.ts";
import type { Requester } from "../../use-cases/client.ts";
import type { RouteDependencies } from "../route.ts";

/** What an operation works with. */
export interface ApiDependencies extends RouteDependencies {
  client: Requester;
}

/** A request, parsed. */
export interface Call<P, Q, B> {
  params: P;
  query: Q;
  body: B;
  caller: Actor & { role: Role };
  request: Request;
}

/** A response; an absent body is none. */
export interface Reply {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
  /** Writes the body itself, until the response is closed. */
  stream?: (response: Response) => void;
  /** The media type of a body that is a text; JSON otherwise. */
  type?: string;
}

interface DocumentedResponse {
  description: string;
  schema?: z.ZodType;
  /** Other media types in which the response comes, as text. */
  types?: readonly string[];
}

/**
 * One operation of the API: its door, its documentation and its work. To add one, add it to a file here and that file's list
 * to `operations.ts`.
 */
export interface Operation<P = unknown, Q = unknown, B = unknown> {
  method: "GET" | "POST" | "DELETE";
  /** Beneath `/api/v1`, with placeholders such as `{model}`. */
  path: string;
  role: Role;
  /** A few words for the list of operations. */
  summary: string;
  description?: string;
  /** Every placeholder of the path. */
  params?: z.ZodType<P>;
  query?: z.ZodType<Q>;
  /** Headers that it reads, with what each does. */
  headers?: Readonly<Record<string, string>>;
  body?: z.ZodType<B>;
  /** Parses the body in place of `body`, which then only documents it: for clearer messages than those of a union. */
  parse?: (body: unknown, request: Request) => B;
  /** The media types of the body; JSON alone by default. */
  bodyTypes?: readonly string[];
  /** `text` for a body that the operation parses itself; JSON otherwise. */
  bodyAs?: "text";
  /** How large the body may be; 1 MB by default. */
  bodyLimit?: string;
  requires: readonly ("postgres" | "redis" | "redis writes")[];
  /** Those of success, and of refusals that are its own; the usual problems are added. */
  responses: Readonly<Record<number, DocumentedResponse>>;
  handle(call: Call<P, Q, B>, dependencies: ApiDependencies): Promise<Reply>;
}

/** An operation whose types of parameters only its own file knows. */
export type AnyOperation = Operation<never, never, never>;

/** Declares an operation: its handler gets what its schemas parse. */
export function operation<P, Q, B>(definition: Operation<P, Q, B>): AnyOperation {
  return definition as unknown as AnyOperation;
}

import { z } from "zod";
import type { AnyOperation, Operation } from "./operation.ts";

type Json = Record<string, unknown>;

/** Problems that any operation may respond with. */
const PROBLEMS: Readonly<Record<number, string>> = {
  400: "The request is malformed; `detail` names each faulty field",
  401: "No token, or an unknown one",
  403: "The caller's role does not suffice, or the change came from another site",
  404: "There is no such model, decision or job",
  409: "The state does not allow it",
  413: "The body is too large",
  415: "The body is not JSON",
  421: "The Host header names another service",
  422: "The Idempotency-Key was used for another request",
  429: "Too many wrong tokens from this address",
  500: "The request failed; the service's log says why",
  503: "Postgres or Redis is away; send it again later",
  504: "It took too long",
};

/** Describes the operations in OpenAPI 3.1. */
export function buildOpenApi(operations: readonly AnyOperation[]): Json {
  const schemas: Json = { Problem: toSchema(Problem, "output", {}) };
  const paths: Record<string, Json> = {};
  for (const each of operations as unknown as readonly Operation[])
    paths[each.path] = { ...paths[each.path], [each.method.toLowerCase()]: describe(each, schemas) };
  return {
    openapi: "3.1.0",
    info: {
      title: "Retrigger",
      version: "1",
      description: "Decides when a machine-learning model is retrained. See docs/api.md.",
    },
    servers: [{ url: "/api/v1" }],
    security: [{ token: [] }, { session: [] }],
    paths,
    components: {
      securitySchemes: {
        token: { type: "http", scheme: "bearer" },
        session: { type: "apiKey", in: "cookie", name: "retrigger_session" },
      },
      schemas,
    },
  };
}

const Problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  code: z.string(),
});

function describe(operation: Operation, schemas: Json): Json {
  const {
    method,
    path,
    role,
    summary,
    description,
    params,
    query,
    body,
    bodyTypes = ["application/json"],
  } = operation;
  const isChange = method !== "GET";
  const parameters = [
    ...listParameters(params, "path", schemas),
    ...listParameters(query, "query", schemas),
    ...Object.entries(operation.headers ?? {}).map(([name, meaning]) => ({
      name,
      in: "header",
      description: meaning,
      schema: { type: "string" },
    })),
    ...(isChange ? [IDEMPOTENCY_KEY] : []),
  ];
  return {
    operationId: `${method.toLowerCase()}${path.replaceAll(/[{}]/g, "").replaceAll(/\/(\w)/g, (_, letter: string) => letter.toUpperCase())}`,
    tags: [path.split("/")[1]],
    summary,
    description: [description, `Needs the role \`${role}\`.`].filter((text) => text !== undefined).join(" "),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body
      ? {
          requestBody: {
            required: operation.bodyAs === "text" || isRequired(body),
            content: ofTypes(bodyTypes, toSchema(body, "input", schemas)),
          },
        }
      : {}),
    responses: { ...listResponses(operation, schemas), ...listProblems() },
  };
}

const IDEMPOTENCY_KEY = {
  name: "Idempotency-Key",
  in: "header",
  description: "The same key twice is one request, for 24 hours.",
  schema: { type: "string", minLength: 1, maxLength: 200 },
};

/** Whether an empty body is not enough. */
const isRequired = (body: z.ZodType): boolean => !body.safeParse({}).success;

function listParameters(schema: z.ZodType | undefined, place: "path" | "query", schemas: Json): Json[] {
  if (!schema) return [];
  const { properties = {}, required = [] } = toSchema(schema, "input", schemas) as {
    properties?: Json;
    required?: string[];
  };
  return Object.entries(properties).map(([name, own]) => ({
    name,
    in: place,
    required: place === "path" || required.includes(name),
    schema: own,
  }));
}

function listResponses({ responses }: Operation, schemas: Json): Json {
  return Object.fromEntries(
    Object.entries(responses).map(([status, { description, schema, types = [] }]) => [
      status,
      {
        description,
        ...(schema || types.length > 0
          ? {
              content: {
                ...(schema ? ofTypes(["application/json"], toSchema(schema, "output", schemas)) : {}),
                ...ofTypes(types, { type: "string" }),
              },
            }
          : {}),
      },
    ]),
  );
}

function listProblems(): Json {
  const content = { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } } };
  return Object.fromEntries(
    Object.entries(PROBLEMS).map(([status, description]) => [status, { description, content }]),
  );
}

function ofTypes(types: readonly string[], schema: Json): Json {
  return Object.fromEntries(types.map((type) => [type, { schema }]));
}

/** A JSON Schema. @param schemas Gets what refers to itself, because a reference is relative to the whole document. */
function toSchema(schema: z.ZodType, io: "input" | "output", schemas: Json): Json {
  const generated = z.toJSONSchema(schema, { io, unrepresentable: "any", reused: "inline" });
  const { $schema: _, $defs = {}, ...rest } = generated as Json & { $defs?: Json };
  const first = Object.keys(schemas).length;
  const names = new Map(
    Object.keys($defs).map((name, index) => [`#/$defs/${name}`, `Nested${first + index}`]),
  );
  const rename = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(rename);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, own]) => {
        const name = key === "$ref" ? names.get(String(own)) : undefined;
        return [key, name === undefined ? rename(own) : `#/components/schemas/${name}`];
      }),
    );
  };
  for (const [name, own] of Object.entries($defs))
    schemas[names.get(`#/$defs/${name}`) ?? name] = rename(own);
  return rename(rest) as Json;
}

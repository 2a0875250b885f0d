import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { INBOX } from "../../../queues/names.ts";
import { parseConfig } from "../../../src/config/config.ts";
import { buildOpenApi } from "../../../src/http/api/openapi.ts";
import { OPERATIONS } from "../../../src/http/api/operations.ts";
import { createDatabase } from "../../../src/postgres/database.ts";
import { createLogger } from "../../../src/process/logger.ts";
import { type ApiJudge, createApiJudge } from "../../support/api-judge.ts";
import { bearer, type RawResponse, sendRaw } from "../../support/http.ts";
import { addCheck, createWorld, until, withQueue, type World } from "../../support/world.ts";

type Schema = Record<string, unknown>;
interface Parameter {
  name: string;
  in: "path" | "query" | "header";
  required?: boolean;
  schema: Schema;
}
interface Described {
  operationId: string;
  parameters?: Parameter[];
  requestBody?: { content: Record<string, { schema: Schema }> };
}

const DOCUMENT = JSON.parse(JSON.stringify(buildOpenApi(OPERATIONS))) as {
  paths: Record<string, Record<string, Described>>;
  components: { schemas: Record<string, Schema> };
};

let world: World;
let address: string;
let token: string;
let judge: ApiJudge;

beforeAll(async () => {
  world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" } });
  const database = createDatabase(world.config, createLogger("silent"));
  ({ token } = await database.createToken({
    name: "fuzz",
    role: "admin",
    createdBy: "a test",
    forSeconds: null,
  }));
  await database.close();
  const app = await world.startApp(parseConfig({ ...world.settings, ROLE: "all" }));
  address = app.address() ?? "";
  judge = createApiJudge(await send("GET", "/openapi.json"));
  await addCheck(world);
  await send("POST", "/models/default/decisions", { prefer: "wait=30" }, "{}");
});
afterAll(() => world.close());

function send(
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body?: string,
): Promise<RawResponse> {
  return sendRaw(
    address,
    method,
    `/api/v1${path}`,
    {
      host: new URL(address).host,
      ...bearer(token),
      ...(body === undefined
        ? {}
        : { "content-type": "application/json", "content-length": String(Buffer.byteLength(body)) }),
      ...headers,
    },
    body,
  );
}

/** Texts that have broken servers before: none of them may do more than be refused. */
const ODD_TEXTS = [
  "",
  " ",
  "\0",
  "\u007f",
  "\ud800",
  "'",
  '"',
  "%",
  "%00",
  "..",
  "-1",
  "0",
  "1e999",
  "NaN",
  "null",
  "__proto__",
  "constructor",
  "default",
  "events",
  "completed",
  "id",
  "meta",
  "stalled-check",
  "9999-12-31T23:59:59-23:59",
  "0001-01-01T00:00:00+23:59",
  "2026-02-30T00:00:00Z",
  "2026-11-28T24:00:00Z",
  "2147483648",
  "999999999",
  "😀".repeat(60),
  "x".repeat(300),
];
const TIMES = [
  "2026-11-28T06:00:00Z",
  "2026-11-28T06:00:00.123456+05:30",
  "2026-11-28T06:00:00",
  "0001-01-01T00:00:00Z",
  "9999-12-31T23:59:59Z",
  "9999-12-31T23:59:59-23:59",
  "2999-01-01T00:00:00Z",
];
const oddText = fc.oneof(fc.constantFrom(...ODD_TEXTS), fc.string({ unit: "binary", maxLength: 40 }));
const oddValue: fc.Arbitrary<unknown> = fc.oneof(
  oddText,
  fc.constantFrom<unknown>(null, true, -1, 0.5, 1e308, -1e-320, 2 ** 53, [], {}, [[]], { a: 1 }),
  fc.jsonValue({ maxDepth: 3 }),
);

/** Values that a schema describes; `faulty` of them, in a hundred, are something else at some place. */
function valuesOf(schema: Schema, faulty: number): fc.Arbitrary<unknown> {
  const valid = validOf(schema, faulty);
  return faulty === 0
    ? valid
    : fc.oneof({ weight: 100 - faulty, arbitrary: valid }, { weight: faulty, arbitrary: oddValue });
}

function validOf(schema: Schema, faulty: number): fc.Arbitrary<unknown> {
  const { $ref, anyOf, oneOf, type, enum: options, pattern, format } = schema;
  if (typeof $ref === "string")
    return validOf(DOCUMENT.components.schemas[$ref.split("/").at(-1) ?? ""] ?? {}, faulty);
  if ("const" in schema) return fc.constant(schema["const"]);
  if (Array.isArray(options)) return fc.constantFrom(...(options as unknown[]));
  const choices = anyOf ?? oneOf;
  if (Array.isArray(choices)) return fc.oneof(...(choices as Schema[]).map((one) => valuesOf(one, faulty)));
  switch (type) {
    case "boolean":
      return fc.boolean();
    case "null":
      return fc.constant(null);
    case "integer":
    case "number":
      return numbersOf(schema);
    case "string":
      return format === "date-time" ? fc.constantFrom(...TIMES) : textsOf(schema, pattern);
    case "array": {
      const items = valuesOf((schema["items"] ?? {}) as Schema, faulty);
      const minLength = Number(schema["minItems"] ?? 0);
      return fc.array(items, { minLength, maxLength: Math.max(minLength, 3) });
    }
    case "object":
      return objectsOf(schema, faulty);
    default:
      return oddValue;
  }
}

function numbersOf({ type, minimum, maximum }: Schema): fc.Arbitrary<number> {
  const [min, max] = [Number(minimum ?? -1e9), Number(maximum ?? 1e9)];
  const edges = fc.constantFrom(min, max);
  const [low, high] = [Math.max(min, Number.MIN_SAFE_INTEGER), Math.min(max, Number.MAX_SAFE_INTEGER)];
  return type === "integer"
    ? fc.oneof(edges, fc.integer({ min: Math.max(low, -(2 ** 31)), max: Math.min(high, 2 ** 31 - 1) }))
    : fc.oneof(edges, fc.double({ min: low, max: high, noNaN: true }));
}

function textsOf({ minLength = 0, maxLength = 40 }: Schema, pattern: unknown): fc.Arbitrary<string> {
  const known = fc.constantFrom("default", "1", "3d", "run-1", "a", ...TIMES);
  const plain = fc.string({ minLength: Number(minLength), maxLength: Math.min(60, Number(maxLength)) });
  if (typeof pattern !== "string") return fc.oneof(known, plain, oddText);
  const regex = new RegExp(pattern, "u");
  // fast-check knows no `\p`; texts are filtered instead.
  const matching = /\\p/.test(pattern) ? plain : fc.stringMatching(new RegExp(pattern), { size: "-1" });
  const fitting = ["default", "1", "3d", "run-1", ...ODD_TEXTS].filter((text) => regex.test(text));
  return fitting.length === 0 ? matching : fc.oneof(matching, fc.constantFrom(...fitting));
}

function objectsOf(schema: Schema, faulty: number): fc.Arbitrary<unknown> {
  const properties = (schema["properties"] ?? {}) as Record<string, Schema>;
  const required = (schema["required"] ?? []) as string[];
  const entries = Object.fromEntries(
    Object.entries(properties).map(([key, own]) => [key, valuesOf(own, faulty)]),
  );
  const missing = faulty > 0 ? fc.integer({ min: 0, max: 99 }) : fc.constant(99);
  return missing.chain((dice) =>
    fc
      .record(entries, { requiredKeys: dice < faulty ? [] : required.filter((key) => key in entries) })
      .chain((known) =>
        schema["additionalProperties"] === false && dice >= faulty
          ? fc.constant(known)
          : fc
              .dictionary(fc.string({ maxLength: 10 }), oddValue, { maxKeys: 2 })
              .map((more) => ({ ...more, ...known })),
      ),
  );
}

interface Attempt {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string | undefined;
}

function attemptsOf(
  path: string,
  method: string,
  operation: Described,
  faulty: number,
): fc.Arbitrary<Attempt> {
  const parameters = operation.parameters ?? [];
  const values = fc.tuple(
    ...parameters.map(({ schema, required, in: place }) => {
      const value = valuesOf(schema, faulty).map((one) =>
        typeof one === "string" ? one : JSON.stringify(one),
      );
      // The same key again would only repeat a response.
      const chance = place === "header" ? 5 : 1;
      const once = value.map((one) => [one]);
      if (required) return once;
      const twice = { weight: faulty > 0 ? 1 : 0, arbitrary: fc.tuple(value, value) };
      return fc.oneof(
        { weight: 10 * chance, arbitrary: fc.constant([]) },
        { weight: 10, arbitrary: once },
        twice,
      );
    }),
  ) as fc.Arbitrary<string[][]>;
  const [content] = Object.entries(operation.requestBody?.content ?? {});
  const body: fc.Arbitrary<string | undefined> = content
    ? valuesOf(content[1].schema, faulty).map((value) => JSON.stringify(value) ?? "")
    : fc.constant(undefined);
  const headers = fc.record(
    {
      prefer: fc.constantFrom("wait=0", "wait=1", "respond-async, wait=1", "wait=-1", "wait=1e3", "wait"),
      accept: fc.constantFrom("text/csv", "application/json", "image/png", "*/*;q=0", ","),
      "ce-specversion": fc.constantFrom("1.0", "0.3", ""),
      "ce-type": fc.constantFrom("drift_monitoring.completed", "other"),
      "ce-id": fc.constantFrom("a", "%41", "%ff", "%00"),
      "ce-source": fc.constantFrom("/a", "%"),
      "content-encoding": fc.constantFrom("identity", "gzip", "br", "x"),
    },
    { requiredKeys: [] },
  );
  return fc.record({ values, body, headers: faulty > 0 ? headers : fc.constant({}) }).map((given) => {
    let own = path;
    const query: string[] = [];
    const sent: Record<string, string> = { ...(given.headers as Record<string, string>) };
    if (given.body === undefined) delete sent["content-encoding"];
    for (const [index, { name, in: place }] of parameters.entries())
      for (const text of given.values[index] ?? []) {
        const encoded = encodeURIComponent(text.replaceAll(/\p{Cs}/gu, ""));
        if (place === "path") own = own.replace(`{${name}}`, encoded === "" ? "%20" : encoded);
        else if (place === "query") query.push(`${name}=${encoded}`);
        else sent[name] = text.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 250);
      }
    return {
      method: method.toUpperCase(),
      path: query.length > 0 ? `${own}?${query.join("&")}` : own,
      headers: sent,
      body: given.body,
    };
  });
}

const TRIES = Number(process.env["FUZZ_RUNS"] ?? 8);
// A stream does not end, and both of its parameters are those of other operations.
const each = Object.entries(DOCUMENT.paths).flatMap(([path, methods]) =>
  Object.entries(methods).flatMap(([method, operation]) =>
    path.endsWith("/stream") ? [] : [[operation.operationId, path, method, operation] as const],
  ),
);

for (const faulty of [0, 15])
  it.each(each)(
    `${faulty === 0 ? "valid" : "faulty"} requests of %s are answered as documented`,
    async (_, path, method, operation) => {
      await fc.assert(
        fc.asyncProperty(attemptsOf(path, method, operation, faulty), async (attempt) => {
          const response = await send(attempt.method, attempt.path, attempt.headers, attempt.body);
          const known = judge.faults.length;
          judge.judge(attempt.method, attempt.path, response);
          expect(response.status, response.text).toBeLessThan(500);
          expect(judge.faults.slice(known)).toEqual([]);
          if (response.status >= 400)
            expect(response.headers["content-type"], response.text).toMatch(/^application\/problem\+json/);
        }),
        { numRuns: TRIES, interruptAfterTimeLimit: 30_000 },
      );
    },
  );

it("a body that is accepted matches its schema", async () => {
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  ajv.addSchema(DOCUMENT, "document");
  const disagreements: string[] = [];
  for (const [id, path, method, { requestBody }] of each) {
    const [type] = Object.keys(requestBody?.content ?? {});
    if (type === undefined || (id.startsWith("postEvents") && id !== "postEvents")) continue;
    const pointer = ["paths", path, method, "requestBody", "content", type, "schema"].map((part) =>
      encodeURIComponent(part.replaceAll("~", "~0").replaceAll("/", "~1")),
    );
    const validate = ajv.compile({ $ref: `document#/${pointer.join("/")}` });
    const schema = requestBody?.content[type]?.schema as Schema;
    for (const value of fc.sample(valuesOf(schema, 10), { numRuns: TRIES, seed: 7 })) {
      const own = path.replace("{model}", "default").replace("{id}", "1");
      const { status } = await send(method.toUpperCase(), own, {}, JSON.stringify(value));
      const isValid = validate(JSON.parse(JSON.stringify(value)));
      if (status < 300 && !isValid)
        disagreements.push(`${id} took ${JSON.stringify(value)}: ${ajv.errorsText(validate.errors)}`);
    }
  }
  expect(disagreements).toEqual([]);
});

it("no job failed, and all were taken", () =>
  withQueue(world, INBOX, async (inbox) => {
    await until("the inbox is empty", async () => {
      const { waiting = 0, active = 0, prioritized = 0 } = await inbox.getJobCounts();
      return waiting + active + prioritized === 0;
    });
    expect(await inbox.getFailedCount()).toBe(0);
  }));

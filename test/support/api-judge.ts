import { Ajv2020 } from "ajv/dist/2020.js";
import type { RawResponse } from "./http.ts";

interface Documented {
  operationId: string;
  responses: Record<string, { content?: Record<string, unknown> }>;
}

/** Judges what the API responds with by its own OpenAPI document, with a validator that knows nothing of our schemas. */
export interface ApiJudge {
  judge(method: string, path: string, response: RawResponse): void;
  /** What was wrong so far. */
  faults: string[];
  /** Operations that succeeded in no response yet. */
  readonly unseen: string[];
}

export function createApiJudge({ json }: RawResponse): ApiJudge {
  const document = json as { paths: Record<string, Record<string, Documented>> };
  const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
  ajv.addSchema(document, "document");
  const seen = new Set<string>();
  const faults: string[] = [];
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  return {
    faults,
    get unseen() {
      return operations.map(({ operation }) => operation.operationId).filter((id) => !seen.has(id));
    },
    judge(method, path, { status, headers, json: body, text }) {
      const [plain = ""] = path.split("?");
      // Fixed paths come before those with placeholders.
      const found = operations
        .filter((each) => each.method === method.toLowerCase() && toPattern(each.path).test(plain))
        .toSorted((a, b) => a.path.split("{").length - b.path.split("{").length)[0];
      // The document itself is no operation of the API.
      if (!found) return;
      const { operation } = found;
      if (status < 300) seen.add(operation.operationId);
      const what = `${method} ${path} ${status}`;
      const documented = operation.responses[status];
      const type = headers["content-type"]?.split(";")[0] ?? "";
      if (!documented) faults.push(`${what}: undocumented status`);
      else if (text === "") {
        // An export of nothing is an empty file.
        const isText =
          documented.content !== undefined && type in documented.content && type !== "application/json";
        if (documented.content && !isText) faults.push(`${what}: no body`);
      } else if (!documented.content?.[type]) faults.push(`${what}: undocumented type ${type}`);
      else if (type.endsWith("json")) {
        const pointer = [
          "paths",
          found.path,
          found.method,
          "responses",
          String(status),
          "content",
          type,
          "schema",
        ];
        const validate = ajv.compile({ $ref: `document#/${pointer.map(escape).join("/")}` });
        validate(body);
        for (const { instancePath, message } of validate.errors ?? [])
          faults.push(`${what}: ${instancePath} ${message}`);
      }
    },
  };
}

const toPattern = (path: string): RegExp => new RegExp(`^${path.replaceAll(/\{\w+\}/g, "[^/]+")}$`);

/** A part of a JSON pointer in a URI. */
const escape = (part: string): string => encodeURIComponent(part.replaceAll("~", "~0").replaceAll("/", "~1"));

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { type Document, OpenAPIBackend } from "openapi-backend";

/** The paths of GitHub's API that a training needs. */
const PATHS = [
  "/repos/{owner}/{repo}",
  "/repos/{owner}/{repo}/actions/runs/{run_id}",
  "/repos/{owner}/{repo}/actions/runs/{run_id}/cancel",
  "/repos/{owner}/{repo}/actions/workflows/{workflow_id}",
  "/repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches",
  "/repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs",
  "/repos/{owner}/{repo}/contents/{path}",
  "/repos/{owner}/{repo}/installation",
  "/app/installations/{installation_id}/access_tokens",
];

export interface CalledRequest {
  method: string;
  /** Includes the query. */
  url: string;
  headers: Record<string, string>;
  body: unknown;
}

/** Checks requests and responses against GitHub's own OpenAPI description. */
export interface Contract {
  /** Returns the operation that a request calls and what is wrong with it, or null if GitHub has no such operation. */
  checkRequest(request: CalledRequest): { operationId: string; faults: string[] } | null;
  checkResponse(operationId: string, status: number, body: unknown): string[];
  /** Returns one of the description's examples. */
  example(name: string): Record<string, unknown>;
}

let loading: Promise<Contract> | undefined;

/** Read once per process, because the file has 13 MB. */
export function loadContract(): Promise<Contract> {
  return (loading ??= load());
}

type Spec = Document & {
  paths: Record<string, unknown>;
  components: { examples: Record<string, { value: unknown }> };
};

async function load(): Promise<Contract> {
  // The package's entry point would read all versions of the description, 400 MB.
  const file = import.meta.resolve("@octokit/openapi/generated/api.github.com.json");
  const spec = JSON.parse(await readFile(fileURLToPath(file), "utf8"), spellOutNull) as Spec;
  const definition = { ...spec, paths: Object.fromEntries(PATHS.map((path) => [path, spec.paths[path]])) };
  const api = new OpenAPIBackend({
    definition: definition as Document,
    quick: true,
    validate: true,
    // The description declares `created` a date and time, although it accepts search syntax.
    ajvOpts: { validateFormats: false, strict: false, allErrors: true },
  });
  await api.init();
  return {
    checkRequest({ method, url, headers, body }) {
      const [path = "", query = ""] = url.split("?");
      // This is the only parameter that spans several segments.
      const request = {
        method,
        path: path.replace(
          /(\/contents\/)(.+)/,
          (_, before: string, file: string) => `${before}${encodeURIComponent(file)}`,
        ),
        query,
        headers,
        body: body as Record<string, unknown>,
      };
      const operation = api.matchOperation(request);
      if (!operation?.operationId) return null;
      const { errors } = api.validateRequest(request, operation);
      return { operationId: operation.operationId, faults: describe(errors) };
    },
    checkResponse(operationId, status, body) {
      const operation = api.router.getOperation(operationId);
      // The description does not list every refusal, and has no schema for those that it omits.
      if (!operation?.responses || !(String(status) in operation.responses) || status === 204) return [];
      return describe(api.validateResponse(body, operationId, status).errors);
    },
    example: (name) => structuredClone(spec.components.examples[name]?.value) as Record<string, unknown>,
  };
}

/** Rewrites "nullable" in schemas without a type, which the validator rejects, to its equivalent. */
function spellOutNull(_: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || !("nullable" in value) || "type" in value) return value;
  const { nullable: _nullable, ...schema } = value;
  return { anyOf: [schema, { type: "null" }] };
}

function describe(errors: { instancePath?: string; message?: string }[] | null | undefined): string[] {
  return (errors ?? []).map(({ instancePath = "", message = "" }) => `${instancePath} ${message}`.trim());
}

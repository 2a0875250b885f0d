import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { fault, type Finding, ok, warning } from "../../core/finding.ts";
import type { Redact } from "../../process/redact.ts";
import type { GitHub, GitHubToken } from "./connection.ts";
import { explainGitHubFailure, readRefusal } from "./failure.ts";
import type { GitHubTarget } from "./request.ts";

/** Looks whether each model's workflow could be dispatched. Starts nothing and changes nothing. */
export async function preflightGitHub(
  github: GitHub,
  targets: ReadonlyMap<string, GitHubTarget>,
  redact: Redact,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const seen = new Set<string>();
  for (const target of targets.values()) {
    const name = `${target.owner}/${target.repo}/${target.workflow}`;
    if (seen.has(name)) continue;
    seen.add(name);
    findings.push(...(await preflightWorkflow(github, target)));
  }
  return findings.map(({ text, remedy, level }) =>
    remedy === undefined
      ? { level, text: redact(text) }
      : { level, text: redact(text), remedy: redact(remedy) },
  );
}

async function preflightWorkflow(github: GitHub, target: GitHubTarget): Promise<Finding[]> {
  const { owner, repo, workflow } = target;
  const repository = `${owner}/${repo}`;
  try {
    const token = await github.fetchToken(target);
    const ask = createAsk(github, target, token.token);
    const { headers, data } = await ask(`GET /repos/${repository}`);
    const findings = [ok(`GitHub: ${repository} is reachable`)];
    findings.push(await checkPermission(ask, target, token, headers, Repository.parse(data)));
    const found = await ask(`GET /repos/${repository}/actions/workflows/${workflow}`);
    const { state, path } = Workflow.parse(found.data);
    findings.push(
      state === "active"
        ? ok(`GitHub: the workflow ${workflow} is active`)
        : fault(
            `GitHub: the workflow ${workflow} is ${state}`,
            `Enable it on its page under Actions, or with: gh workflow enable ${workflow}`,
          ),
    );
    return [...findings, ...(await checkFile(ask, target, path))];
  } catch (error) {
    const [text = "", ...remedy] = explainGitHubFailure(error).message.split("\n");
    return [
      fault(`GitHub: ${repository}: ${text}`, remedy.join("\n") || "Look whether GITHUB_API_URL is right"),
    ];
  }
}

type Ask = ReturnType<typeof createAsk>;

function createAsk({ octokit }: GitHub, { apiVersion }: GitHubTarget, token: string) {
  return (route: string, parameters: Record<string, unknown> = {}) =>
    octokit.request(route, {
      ...parameters,
      headers: { authorization: `token ${token}`, "x-github-api-version": apiVersion },
    });
}

const Repository = z.object({ permissions: z.object({ push: z.boolean() }).partial().optional() });
const Workflow = z.object({ state: z.string(), path: z.string() });
const File = z.object({ content: z.string() });

/**
 * Whether the token may dispatch. An App's token says so, a classic token's scopes are in a header. A fine-grained one does
 * not say: the only way to know without starting anything is to ask for a run to be cancelled that cannot exist.
 */
async function checkPermission(
  ask: Ask,
  { owner, repo }: GitHubTarget,
  { permissions }: GitHubToken,
  headers: Readonly<Record<string, string | number | undefined>>,
  repository: z.infer<typeof Repository>,
): Promise<Finding> {
  const may = ok("GitHub: the token may write Actions");
  const mayNot = fault(
    "GitHub: the token may not write Actions",
    `Give it Actions: read and write on ${owner}/${repo} (a classic token: the scope repo)`,
  );
  if (permissions !== null) return permissions["actions"] === "write" ? may : mayNot;
  const scopes = headers["x-oauth-scopes"];
  if (scopes !== undefined) {
    const isEnough = String(scopes)
      .split(/,\s*/)
      .some((scope) => scope === "repo" || scope === "public_repo");
    return isEnough && repository.permissions?.push !== false ? may : mayNot;
  }
  if (repository.permissions?.push === false) return mayNot;
  try {
    await ask(`POST /repos/${owner}/${repo}/actions/runs/0/cancel`);
    return may;
  } catch (error) {
    const status = readRefusal(error)?.status;
    if (status === 403) return mayNot;
    // It is allowed to ask, and there is no such run.
    if (status === 404 || status === 409) return may;
    return warning(
      `GitHub: could not find out whether the token may write Actions: ${explainGitHubFailure(error).message}`,
    );
  }
}

/** Reads the workflow's file, as far as the token may, for what a dispatch and its search need. */
async function checkFile(ask: Ask, target: GitHubTarget, path: string): Promise<Finding[]> {
  const { owner, repo, ref, workflow } = target;
  let text: string;
  try {
    const { data } = await ask(`GET /repos/${owner}/${repo}/contents/${path}`, { ref });
    text = Buffer.from(File.parse(data).content, "base64").toString();
  } catch (error) {
    const { message } = explainGitHubFailure(error);
    return [
      warning(
        `GitHub: could not read ${path} at ${ref} to look for workflow_dispatch and its inputs (${message.split("\n")[0]})`,
        "Give the token Contents: read, or look at the file yourself",
      ),
    ];
  }
  return checkWorkflowText(text, target).map(([isRight, right, wrong, remedy]) =>
    isRight ? ok(`GitHub: ${workflow} ${right}`) : fault(`GitHub: ${workflow} ${wrong}`, remedy),
  );
}

type Check = [isRight: boolean, right: string, wrong: string, remedy: string];

/** What must stand in a workflow's file. */
export function checkWorkflowText(text: string, { inputNames, extraInputs }: GitHubTarget): Check[] {
  const file = WorkflowFile.catch({}).parse(safeParseYaml(text));
  const triggers =
    typeof file.on === "string" ? [file.on] : Array.isArray(file.on) ? file.on : Object.keys(file.on ?? {});
  const lines = (names: string[]): string =>
    [
      "on:",
      "  workflow_dispatch:",
      "    inputs:",
      ...names.map((name) => `      ${name}: { type: string }`),
    ].join("\n");
  const names = [...Object.values(inputNames), ...Object.keys(extraInputs)];
  const isDispatchable = triggers.includes("workflow_dispatch");
  const on =
    typeof file.on === "object" && !Array.isArray(file.on) ? file.on["workflow_dispatch"] : undefined;
  const inputs = Inputs.catch({}).parse(on ?? {}).inputs ?? {};
  const unknown = names.filter((name) => !(name in inputs));
  const wanting = Object.entries(inputs).filter(
    ([name, input]) => input?.required === true && input.default === undefined && !names.includes(name),
  );
  const runName = `Retrain \${{ inputs.${inputNames.decision_id} }}`;
  return [
    [isDispatchable, "has workflow_dispatch", "has no workflow_dispatch", `Add:\n${lines(names)}`],
    ...(isDispatchable
      ? ([
          [
            unknown.length === 0,
            "takes all inputs",
            `does not take the input(s) ${unknown.join(", ")}`,
            `Add:\n${lines(unknown)}`,
          ],
          ...wanting.map(([name]): Check => [
            false,
            "",
            `requires the input ${name}, which is not sent`,
            `Set GITHUB_EXTRA_INPUTS, such as {"${name}":"..."}`,
          ]),
        ] satisfies Check[])
      : []),
    [
      file["run-name"] === runName,
      "names its runs by the decision",
      "does not name its runs by the decision, so that a run whose answer was lost cannot be found",
      `Add:\nrun-name: ${runName}`,
    ],
  ];
}

const WorkflowFile = z.object({
  on: z.union([z.string(), z.array(z.string()), z.record(z.string(), z.unknown())]).optional(),
  "run-name": z.unknown().optional(),
});
const Inputs = z.object({
  inputs: z
    .record(z.string(), z.object({ required: z.boolean(), default: z.unknown() }).partial().nullable())
    .nullish(),
});

function safeParseYaml(text: string): unknown {
  try {
    return parseYaml(text);
  } catch {
    return null;
  }
}

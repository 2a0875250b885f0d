import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { fault, type Finding, ok, warning } from "../../core/finding.ts";
import type { Redact } from "../../process/redact.ts";
import type { GitHub, GitHubToken } from "./connection.ts";
import { explainGitHubFailure, readRefusal } from "./failure.ts";
import type { GitHubTarget } from "./request.ts";

/** Checks whether each model's workflow could be dispatched. Starts nothing and changes nothing. */
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
    const send = createSend(github, target, token.token);
    const { headers, data } = await send(`GET /repos/${repository}`);
    const findings = [ok(`GitHub: ${repository} is reachable`)];
    findings.push(await checkPermission(send, target, token, headers, Repository.parse(data)));
    const found = await send(`GET /repos/${repository}/actions/workflows/${workflow}`);
    const { state, path } = Workflow.parse(found.data);
    findings.push(
      state === "active"
        ? ok(`GitHub: the workflow ${workflow} is active`)
        : fault(
            `GitHub: the workflow ${workflow} is ${state}`,
            `Enable it on its page under Actions, or with: gh workflow enable ${workflow}`,
          ),
    );
    return [...findings, ...(await checkFile(send, target, path))];
  } catch (error) {
    const [text = "", ...remedy] = explainGitHubFailure(error).message.split("\n");
    return [fault(`GitHub: ${repository}: ${text}`, remedy.join("\n") || "Check GITHUB_API_URL")];
  }
}

type Send = ReturnType<typeof createSend>;

function createSend({ octokit }: GitHub, { apiVersion }: GitHubTarget, token: string) {
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
 * Checks whether the token may dispatch. An App's token lists its permissions, and a header lists the scopes of a classic
 * token. For a fine-grained token, the only way to tell without starting anything is to cancel a run that cannot exist.
 */
async function checkPermission(
  send: Send,
  { owner, repo }: GitHubTarget,
  { permissions }: GitHubToken,
  headers: Readonly<Record<string, string | number | undefined>>,
  repository: z.infer<typeof Repository>,
): Promise<Finding> {
  const granted = ok("GitHub: the token has write access to Actions");
  const denied = fault(
    "GitHub: the token has no write access to Actions",
    `Give it Actions: read and write on ${owner}/${repo} (a classic token: the scope repo)`,
  );
  if (permissions !== null) return permissions["actions"] === "write" ? granted : denied;
  const scopes = headers["x-oauth-scopes"];
  if (scopes !== undefined) {
    const isEnough = String(scopes)
      .split(/,\s*/)
      .some((scope) => scope === "repo" || scope === "public_repo");
    return isEnough && repository.permissions?.push !== false ? granted : denied;
  }
  if (repository.permissions?.push === false) return denied;
  try {
    await send(`POST /repos/${owner}/${repo}/actions/runs/0/cancel`);
    return granted;
  } catch (error) {
    const status = readRefusal(error)?.status;
    if (status === 403) return denied;
    // GitHub allowed the request and did not find the run.
    if (status === 404 || status === 409) return granted;
    return warning(
      `GitHub: cannot tell whether the token has write access to Actions: ${explainGitHubFailure(error).message}`,
    );
  }
}

/** Checks the workflow's file, if the token may read it, for what dispatch and search need. */
async function checkFile(send: Send, target: GitHubTarget, path: string): Promise<Finding[]> {
  const { owner, repo, ref, workflow } = target;
  let text: string;
  try {
    const { data } = await send(`GET /repos/${owner}/${repo}/contents/${path}`, { ref });
    text = Buffer.from(File.parse(data).content, "base64").toString();
  } catch (error) {
    const { message } = explainGitHubFailure(error);
    return [
      warning(
        `GitHub: cannot read ${path} at ${ref} to check workflow_dispatch and its inputs (${message.split("\n")[0]})`,
        "Give the token Contents: read, or check the file yourself",
      ),
    ];
  }
  return checkWorkflowText(text, target).map(([isRight, right, wrong, remedy]) =>
    isRight ? ok(`GitHub: ${workflow} ${right}`) : fault(`GitHub: ${workflow} ${wrong}`, remedy),
  );
}

type Check = [isRight: boolean, right: string, wrong: string, remedy: string];

/** Checks the text of a workflow's file. */
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
  const undeclared = names.filter((name) => !(name in inputs));
  const unset = Object.entries(inputs).filter(
    ([name, input]) => input?.required === true && input.default === undefined && !names.includes(name),
  );
  const runName = `Retrain \${{ inputs.${inputNames.decision_id} }}`;
  return [
    [isDispatchable, "has workflow_dispatch", "has no workflow_dispatch", `Add:\n${lines(names)}`],
    ...(isDispatchable
      ? ([
          [
            undeclared.length === 0,
            "declares all inputs",
            `does not declare the input(s) ${undeclared.join(", ")}`,
            `Add:\n${lines(undeclared)}`,
          ],
          ...unset.map(([name]): Check => [
            false,
            "",
            `requires the input ${name}, which is not sent`,
            `Set GITHUB_EXTRA_INPUTS, such as {"${name}":"..."}`,
          ]),
        ] satisfies Check[])
      : []),
    [
      file["run-name"] === runName,
      "names its runs after the decision",
      "does not name its runs after the decision, so a run whose response was lost cannot be found",
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

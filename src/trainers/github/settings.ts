import { z } from "zod";
import type { Settings, ValuesOf } from "../../core/setting.ts";
import { json, namePart, privateKey, secret, urlWithoutLogin } from "../../settings/schemas.ts";
import type { FaultWords } from "../trainer.ts";
import { GITHUB_INPUTS, type GitHubTarget } from "./request.ts";

const inputName = z
  .string()
  .regex(
    /^[A-Za-z_][A-Za-z0-9_-]{0,99}$/,
    "must be the name of an input: letters, digits, dashes and underscores",
  );
const ExtraInputs = z.record(inputName, z.string("must be text, in quotes"));
const InputNames = z.partialRecord(z.enum(GITHUB_INPUTS), inputName);

/** The workflow and the names of its inputs. */
export const TARGET_SETTINGS = {
  owner: {
    variable: "GITHUB_REPO_OWNER",
    schema: namePart,
    default: "YOUR_USER",
    meaning: "Owner of the repository whose workflow trains.",
  },
  repo: {
    variable: "GITHUB_REPO_NAME",
    schema: namePart,
    default: "cinematch",
    meaning: "Name of that repository.",
  },
  workflow: {
    variable: "GITHUB_WORKFLOW",
    schema: namePart,
    default: "model_training.yml",
    meaning: "File name of the workflow.",
  },
  ref: {
    variable: "GITHUB_REF",
    schema: z.string().regex(/^[^\s\p{Cc}]+$/u, "must be a branch or tag"),
    default: "main",
    meaning: "Branch or tag that the workflow runs on.",
  },
  apiUrl: {
    variable: "GITHUB_API_URL",
    schema: urlWithoutLogin,
    default: "https://api.github.com",
    meaning: "API of a GitHub Enterprise Server: `https://HOST/api/v3`.",
    secret: "hidden",
  },
  apiVersion: {
    variable: "GITHUB_API_VERSION",
    schema: z
      .string()
      .regex(/^\d{4}-\d{2}-\d{2}$/, "must be a date such as 2026-03-10, or 2022-11-28 for an older GHES"),
    default: "2026-03-10",
    meaning: "Version of the API; `2022-11-28` for an older GitHub Enterprise Server.",
  },
  inputNames: {
    variable: "GITHUB_INPUT_NAMES",
    schema: json(InputNames, `a JSON object that maps ${GITHUB_INPUTS.join(", ")} to names`),
    default: "{}",
    meaning: `JSON object: the workflow's names for the inputs ${GITHUB_INPUTS.map((name) => `\`${name}\``).join(", ")}.`,
  },
  extraInputs: {
    variable: "GITHUB_EXTRA_INPUTS",
    schema: json(ExtraInputs, "a JSON object of strings"),
    default: "{}",
    meaning: "JSON object: further inputs, the same for every training.",
    secret: "hidden",
  },
} as const satisfies Settings;

/** The settings of the GitHub trainer. */
export const GITHUB_SETTINGS = {
  token: {
    variable: "GITHUB_TOKEN",
    schema: z.string().regex(/^\S+$/, "must be a token without spaces"),
    meaning: "Token with _Actions: read and write_. Alternative: an App's id and key.",
    secret: "value",
  },
  appId: {
    variable: "GITHUB_APP_ID",
    schema: z.string().regex(/^[A-Za-z0-9.]+$/, "must be the App's id or client id"),
    meaning: "Id or client id of a GitHub App.",
  },
  privateKey: {
    variable: "GITHUB_APP_PRIVATE_KEY",
    schema: privateKey,
    meaning: "The App's private key in PEM format, with line breaks written as `\\n`.",
    secret: "value",
  },
  webhookSecret: {
    variable: "GITHUB_WEBHOOK_SECRET",
    schema: secret,
    meaning: "Secret of the `workflow_run` webhook, with which Retrigger notices changes sooner.",
    secret: "value",
  },
  ...TARGET_SETTINGS,
  owner: { ...TARGET_SETTINGS.owner, required: "the owner of the repository" },
  repo: { ...TARGET_SETTINGS.repo, required: "the name of the repository" },
} as const satisfies Settings;

/** The workflow of each model. */
export function toTargets(
  models: ReadonlyMap<string, ValuesOf<typeof TARGET_SETTINGS>>,
): ReadonlyMap<string, GitHubTarget> {
  return new Map([...models].map(([model, values]) => [model, toTarget(values)]));
}

/** The workflow that settings name. */
export function toTarget(values: ValuesOf<typeof TARGET_SETTINGS>): GitHubTarget {
  const { apiUrl, apiVersion, owner, repo, workflow, ref, inputNames, extraInputs } = values;
  const ownNames = Object.fromEntries(
    GITHUB_INPUTS.map((name) => [name, name]),
  ) as GitHubTarget["inputNames"];
  return {
    apiUrl,
    apiVersion,
    owner,
    repo,
    workflow,
    ref,
    inputNames: { ...ownNames, ...inputNames },
    extraInputs,
  };
}

/** Checks GitHub's limits: github.com allows 25 inputs with 65,535 characters in total. */
export function findFaultyInputs(
  given: Partial<ValuesOf<typeof TARGET_SETTINGS>>,
  { nameOf }: Pick<FaultWords<typeof TARGET_SETTINGS>, "nameOf">,
): string[] {
  const { inputNames, extraInputs = {} } = given;
  const own = GITHUB_INPUTS.map((name) => inputNames?.[name] ?? name);
  const names = [...own, ...Object.keys(extraInputs)];
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  return [
    ...(twice
      ? [`${nameOf("inputNames")} and ${nameOf("extraInputs")} name the input "${twice}" twice`]
      : []),
    ...(names.length > 25
      ? [`${nameOf("extraInputs")} makes ${names.length} inputs in total; GitHub allows 25`]
      : []),
    ...(JSON.stringify(extraInputs).length > 60_000
      ? [`${nameOf("extraInputs")} is too long: GitHub allows 65,535 characters in total`]
      : []),
  ];
}

/** Requires a token, or an App's id and key. */
export function findMissingLogin(
  { token, appId, privateKey: key }: Partial<ValuesOf<typeof GITHUB_SETTINGS>>,
  { nameOf, trainer }: FaultWords<typeof GITHUB_SETTINGS>,
): string[] {
  if (appId === undefined && key === undefined)
    return token === undefined
      ? [
          `${nameOf("token")} is not set: ${trainer} needs a token (or ${nameOf("appId")} and ${nameOf("privateKey")})`,
        ]
      : [];
  return [
    ...(appId === undefined
      ? [`${nameOf("appId")} is not set: ${trainer} needs the App's id as well as its key`]
      : []),
    ...(key === undefined
      ? [`${nameOf("privateKey")} is not set: ${trainer} needs the App's key as well as its id`]
      : []),
  ];
}

import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseEnv } from "node:util";
import { describe, expect, it } from "vitest";
import { parse as parseYaml } from "yaml";
import { COMMANDS } from "../../src/cli/commands.ts";
import { parseConfig } from "../../src/config/config.ts";
import { SETTING_NAMES } from "../../src/config/settings.ts";
import type { Fault } from "../../src/core/fields.ts";
import { GUARDS } from "../../src/core/guards/registry.ts";
import { CHECKS, GUIDE_POLICY, parsePolicy } from "../../src/core/policy.ts";
import type { ValuesOf } from "../../src/core/setting.ts";
import { ROUTES } from "../../src/http/routes.ts";
import { checkWorkflowText } from "../../src/trainers/github/preflight.ts";
import { TARGET_SETTINGS, toTargets } from "../../src/trainers/github/settings.ts";
import { followDockerfile } from "../support/docker-image.ts";
import { includesOldestNode, OLDEST_NODE } from "../support/oldest-node.ts";
import { renderApiPage } from "../support/api-page.ts";
import { renderPoliciesPage } from "../support/policies-page.ts";
import { renderStandingsPage } from "../support/standings-page.ts";
import { renderSettingsPage } from "../support/settings-page.ts";

const pathOf = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const read = (name: string): string => readFileSync(pathOf(name), "utf8");

const listPages = (): string[] =>
  readdirSync(pathOf("docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`);

/** Runs the first step of the example workflow with a `gh` that finds the given older run. */
function runFirstStep(script: string, older: string): string {
  const directory = mkdtempSync(join(tmpdir(), "gh-"));
  const output = join(directory, "output");
  // It knows this workflow only.
  const gh = `#!/bin/sh\ncase "$*" in *a/b/actions/workflows/training.yml/runs*) printf '%s' '${older}';; *) exit 1;; esac\n`;
  writeFileSync(join(directory, "gh"), gh, { mode: 0o755 });
  writeFileSync(output, "");
  execFileSync("bash", ["--norc", "-e", "-c", script], {
    env: {
      PATH: `${directory}:${process.env["PATH"]}`,
      GITHUB_OUTPUT: output,
      GITHUB_REPOSITORY: "a/b",
      GITHUB_WORKFLOW_REF: "a/b/.github/workflows/training.yml@refs/heads/main",
    },
  });
  const text = readFileSync(output, "utf8");
  rmSync(directory, { recursive: true });
  return text;
}

interface Lock {
  packages: Record<string, { engines?: { node?: string } }>;
}

interface Workflow {
  concurrency: object;
  jobs: { train: { steps: { run?: string; if?: string }[] } };
}

interface Compose {
  services: Record<
    string,
    { environment?: Record<string, unknown>; healthcheck?: object; command?: string[] }
  >;
}

describe("the files shipped with the program", () => {
  it("include a page of policies that matches the registries (npm run docs writes it)", async () => {
    const path = pathOf("docs/policies.md");
    await expect(await renderPoliciesPage(path, read("docs/policies.md"))).toMatchFileSnapshot(path);
  });

  it("include only policies that can be copied", () => {
    const blocks = [...read("docs/policies.md").matchAll(/```yaml\n(.*?)```/gs)].map(
      ([, text]) => text ?? "",
    );
    const files = blocks.filter((text) => text.startsWith("models:"));
    expect(files.length).toBe(4);
    const directory = mkdtempSync(join(tmpdir(), "policies-"));
    for (const [index, text] of files.entries()) {
      const path = join(directory, `${index}.yaml`);
      writeFileSync(path, text);
      const servers = { DATABASE_URL: "postgres://localhost/db", REDIS_URL: "redis://localhost" };
      const { models } = parseConfig({ ...servers, RETRIGGER_CONFIG: path });
      if (models.has("default")) expect(models.get("default")?.policy).toEqual(GUIDE_POLICY);
    }
    rmSync(directory, { recursive: true });
    for (const text of blocks.filter((block) => !block.startsWith("models:"))) {
      const part = parseYaml(text) as Record<string, unknown>;
      const [key = ""] = Object.keys(part);
      const isGuard = GUARDS.some((guard) => guard.key === key);
      const faults: Fault[] = [];
      const when = key === "when" ? part["when"] : [{ driftAlerts: 1 }, part];
      parsePolicy(isGuard ? { guards: part } : { when }, GUIDE_POLICY, [], faults);
      expect(faults).toEqual([]);
    }
  });

  it("include a page of the API that matches its operations (npm run docs writes it)", async () => {
    const path = pathOf("docs/api.md");
    await expect(await renderApiPage(path, read("docs/api.md"))).toMatchFileSnapshot(path);
  });

  it("include a page of the pages that lists their states (npm run docs writes it)", async () => {
    const path = pathOf("docs/pages.md");
    await expect(await renderStandingsPage(path, read("docs/pages.md"))).toMatchFileSnapshot(path);
  });

  it("include a page of settings that matches the registries (npm run docs writes it)", async () => {
    const path = pathOf("docs/settings.md");
    await expect(await renderSettingsPage(path)).toMatchFileSnapshot(path);
  });

  it("link only to files that exist, in lines that fit a page", () => {
    const pages = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", ...listPages()];
    const dead = pages.flatMap((page) =>
      [...read(page).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)]
        .map(([, target = ""]) => join(dirname(page), target))
        .filter((target) => !existsSync(pathOf(target)))
        .map((target) => `${page}: ${target}`),
    );
    expect(dead).toEqual([]);
    const lengths = { "README.md": 120, "ARCHITECTURE.md": 215, "CONTRIBUTING.md": 75 };
    for (const [page, limit] of Object.entries(lengths))
      expect(read(page).trimEnd().split("\n").length, page).toBeLessThanOrEqual(limit);
    expect(
      read("README.md")
        .split("\n")
        .filter((line) => line.length > 120),
    ).toEqual([]);
  });

  it("describe every reason code, command and path", () => {
    const absent = (page: string, names: readonly string[]) =>
      names.filter((name) => !read(page).includes(`\`${name}`));
    expect(
      absent(
        "docs/troubleshooting.md",
        CHECKS.map(({ reason }) => reason),
      ),
    ).toEqual([]);
    expect(
      absent(
        "docs/commands.md",
        COMMANDS.map((create) => create().name()),
      ),
    ).toEqual([]);
    const pages = listPages().map(read).join("\n");
    // Bull Board's own paths are for its page alone, and so is what pages load.
    const paths = ROUTES.flatMap(({ doors }) =>
      doors.map(({ path }) => path.replaceAll(/:(\w+)/g, "{$1}")),
    ).filter((path) => !/^\/queues\/|^\/api\/v1\/docs\/|^\/assets\/|^\/favicon\.ico$/.test(path));
    expect(paths.filter((path) => !pages.includes(path))).toEqual([]);
  });

  it("name files of the source that exist", () => {
    const pages = ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", ...listPages()];
    const missing = pages.flatMap((page) =>
      [...read(page).matchAll(/`((?:src|workers|queues|test|bench|examples)\/[\w./-]+)`/g)]
        .map(([, path = ""]) => path)
        .filter((path) => !existsSync(pathOf(path)))
        .map((path) => `${page}: ${path}`),
    );
    expect(missing).toEqual([]);
  });

  it("include a valid .env.example", () => {
    expect(parseConfig(parseEnv(read(".env.example"))).models.get("default")?.schedule).toBe("0 6 * * *");
  });

  it("include a valid retrigger.example.yaml", () => {
    const env = { ...parseEnv(read(".env.example")), RETRIGGER_CONFIG: pathOf("retrigger.example.yaml") };
    expect([...parseConfig(env).models.keys()]).toEqual(["films", "fraud", "prices"]);
  });

  it("include an example workflow that passes doctor, and that exits early if an older run has the same name", () => {
    const text = read("examples/github/model_training.yml");
    const { trainer } = parseConfig(parseEnv(read(".env.example"))).models.get("default") ?? {};
    const github = toTargets(
      new Map([["default", trainer?.settings as ValuesOf<typeof TARGET_SETTINGS>]]),
    ).get("default");
    if (!github) throw new Error("The settings name no model called default");
    expect(checkWorkflowText(text, github).filter(([isRight]) => !isRight)).toEqual([]);
    const { concurrency, jobs } = parseYaml(text) as Workflow;
    expect(concurrency).toMatchObject({ queue: "max", "cancel-in-progress": false });
    const [first, ...others] = jobs.train.steps;
    expect(others.every((step) => step.if === "steps.first.outputs.trains == 'true'")).toBe(true);
    expect(runFirstStep(first?.run ?? "", "")).toBe("trains=true\n");
    expect(runFirstStep(first?.run ?? "", "30433642")).toBe("trains=false\n");
  });

  it.each([
    [">=20.19", true],
    [">= 18", true],
    ["^20.19.0 || >=22.12.0", true],
    ["6.* || 8.* || >= 10.*", true],
    [">=10.x", true],
    ["18 || 20 || >=22", true],
    [">=18 <21", true],
    ["*", true],
    [">=22", false],
    [">=20.20", false],
    [">=20.19.1", false],
    ["^18.17 || ^22", false],
    ["~20.18.0", false],
    ["22.x", false],
    [">=18 <20", false],
  ])("treat the range %s as including the oldest supported Node: %s", (range, expected) => {
    expect(includesOldestNode(range)).toBe(expected);
  });

  it("have only dependencies that run on the oldest supported Node", () => {
    const { engines } = JSON.parse(read("package.json")) as { engines: { node: string } };
    expect(engines.node).toBe(`>=${OLDEST_NODE.slice(0, 2).join(".")}`);
    const packages = Object.entries((JSON.parse(read("package-lock.json")) as Lock).packages);
    expect(packages.length).toBeGreaterThan(100);
    const tooNew = packages.filter(([, { engines: own }]) => !includesOldestNode(own?.node ?? "*"));
    expect(tooNew.map(([path]) => path)).toEqual([]);
  });

  // It compiles the program.
  it(
    "include an image with the command that our messages name, and nothing left to install",
    { timeout: 240_000 },
    () => {
      const directory = mkdtempSync(join(tmpdir(), "image-"));
      try {
        const image = followDockerfile(pathOf(""), directory);
        const output = execFileSync("npx", ["--no", "retrigger", "migrate", "--help"], {
          cwd: image,
          env: {
            PATH: process.env["PATH"],
            NODE_ENV: "production",
            // Makes any installation fail.
            HOME: "/dev/null",
            npm_config_cache: "/dev/null/cache",
            npm_config_offline: "true",
          },
          encoding: "utf8",
        });
        expect(output).toContain("Usage: retrigger migrate");
      } finally {
        rmSync(directory, { recursive: true });
      }
    },
  );

  it("include a docker-compose.yml with known settings only, and with a health check for every service", () => {
    const { services } = parseYaml(read("docker-compose.yml")) as Compose;
    const unknown = Object.keys(services["retrigger"]?.environment ?? {}).filter(
      (name) => !SETTING_NAMES.includes(name),
    );
    expect(unknown).toEqual([]);
    expect(Object.values(services).every(({ healthcheck }) => healthcheck !== undefined)).toBe(true);
    expect(services["redis"]?.command).toEqual(expect.arrayContaining(["noeviction", "--appendonly"]));
  });
});

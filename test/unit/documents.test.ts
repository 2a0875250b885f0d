import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseEnv } from "node:util";
import { describe, expect, it } from "vitest";
import { parse as parseYaml } from "yaml";
import { parseConfig, SETTING_NAMES } from "../../src/config.ts";

const pathOf = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const read = (name: string): string => readFileSync(pathOf(name), "utf8");

interface Compose {
  services: Record<
    string,
    { environment?: Record<string, unknown>; healthcheck?: object; command?: string[] }
  >;
}

describe("what is shipped beside the program", () => {
  it("README describes every setting", () => {
    const missing = SETTING_NAMES.filter((name) => !read("README.md").includes(`\`${name}\``));
    expect(missing).toEqual([]);
  });

  it(".env.example holds settings that parse", () => {
    expect(parseConfig(parseEnv(read(".env.example"))).models.get("default")?.schedule).toBe("0 6 * * *");
  });

  it("retrigger.example.yaml holds models that parse", () => {
    const env = { ...parseEnv(read(".env.example")), RETRIGGER_CONFIG: pathOf("retrigger.example.yaml") };
    expect([...parseConfig(env).models.keys()]).toEqual(["default", "films"]);
  });

  it("docker-compose.yml gives the service settings that there are, and every service a health check", () => {
    const { services } = parseYaml(read("docker-compose.yml")) as Compose;
    const unknown = Object.keys(services["retrigger"]?.environment ?? {}).filter(
      (name) => !SETTING_NAMES.includes(name),
    );
    expect(unknown).toEqual([]);
    expect(Object.values(services).every(({ healthcheck }) => healthcheck !== undefined)).toBe(true);
    expect(services["redis"]?.command).toEqual(expect.arrayContaining(["noeviction", "--appendonly"]));
  });
});

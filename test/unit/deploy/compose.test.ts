import { readFileSync } from "node:fs";
import { Ajv } from "ajv";
import { describe, expect, it } from "vitest";
import { parse as parseYaml } from "yaml";
import { toMs } from "../../../src/core/duration.ts";
import { WORKERS_STOP_LIMIT_MS } from "../../../workers/bullmq/workers.ts";

const SCHEMA = "test/fixtures/compose-spec/compose-spec.json";
const { $schema: _, ...schema } = JSON.parse(readFileSync(SCHEMA, "utf8")) as Record<string, unknown>;
const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
const validate = ajv.compile(schema);

interface Compose {
  services: Record<string, Record<string, unknown>>;
}

const read = (): Compose => parseYaml(readFileSync("docker-compose.yml", "utf8")) as Compose;

function findFaults(compose: Compose): string {
  return validate(compose) ? "" : ajv.errorsText(validate.errors);
}

describe("docker-compose.yml", () => {
  it("has no fault by the schema of Compose", () => {
    expect(findFaults(read())).toBe("");
  });

  it.each([
    ["a misspelled key", { stop_grace_perod: "30s" }, "must NOT have additional properties"],
    ["a misspelled key further down", { healthcheck: { intervall: "5s" } }, "healthcheck must NOT have"],
    ["a value of another type", { ports: 3000 }, "ports must be array"],
  ])("would fail with %s", (_name, change, fault) => {
    const compose = read();
    Object.assign(compose.services["retrigger"] ?? {}, change);
    expect(findFaults(compose)).toContain(fault);
  });

  it("leaves the service the time that it needs to stop", () => {
    const period = String(read().services["retrigger"]?.["stop_grace_period"]);
    expect(toMs(period)).toBeGreaterThan(WORKERS_STOP_LIMIT_MS);
  });
});

import { messageOf, PermanentError } from "../core/errors.ts";
import { type Fault, isRecord } from "../core/fields.ts";
import { parsePolicy, type Policy } from "../core/policy.ts";
import { describeFaults } from "./config-file.ts";
import { parseYaml } from "./yaml-document.ts";
import { readFileSync } from "node:fs";

/**
 * Reads a policy from a YAML file: `when` and `guards`, or these under `policy`. What it leaves out is as in `base`.
 *
 * @throws PermanentError BAD_POLICY with every fault and its line.
 */
export function readPolicyFile(path: string, base: Policy): Policy {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new PermanentError("BAD_POLICY", `${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
  const document = parseYaml(text);
  const syntax = [...document.faults, ...document.duplicates].map(
    ({ line, message }) => `${message} (line ${line})`,
  );
  const faults: Fault[] = [];
  const policy = syntax.length > 0 ? base : parseDocument(document.value, base, faults);
  const all = [...syntax, ...describeFaults(faults, document)];
  if (all.length > 0)
    throw new PermanentError(
      "BAD_POLICY",
      [`${path} is no policy:`, ...all.map((fault) => `  - ${fault}`)].join("\n"),
    );
  return policy;
}

function parseDocument(value: unknown, base: Policy, faults: Fault[]): Policy {
  if (value === null || value === undefined) {
    faults.push({
      path: [],
      message: "is empty: write when and guards into it, as under policy in the settings",
    });
    return base;
  }
  if (isRecord(value) && ("models" in value || "defaults" in value)) {
    faults.push({
      path: [],
      message: "is a file of models: put what stands under the policy of one model into a file of its own",
    });
    return base;
  }
  const isNested = isRecord(value) && "policy" in value && Object.keys(value).length === 1;
  return parsePolicy(isNested ? value["policy"] : value, base, isNested ? ["policy"] : [], faults);
}

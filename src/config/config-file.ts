import { readFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import { ModelName } from "../../queues/jobs.ts";
import { messageOf } from "../core/errors.ts";
import { type Fault, isRecord } from "../core/fields.ts";
import type { PolicySettings } from "../core/policy.ts";
import { findContradictions } from "./contradictions.ts";
import { parseWith } from "./field-set.ts";
import type { Layer } from "./layer.ts";
import type { Variables } from "./named-variable.ts";
import { parseSection, type SectionContext } from "./section.ts";
import { describeUnknownTop } from "./unknown-key.ts";
import { formatPath, isPlainKey, parseYaml, type YamlDocument } from "./yaml-document.ts";
import type { LineFault } from "./yaml-syntax.ts";

/** The YAML file: the settings of each model, and what is wrong. */
export interface ConfigFile {
  layers: ReadonlyMap<string, Layer>;
  faults: readonly string[];
}

interface FileContext {
  path: string;
  /** What the environment gives to every model. */
  base: Layer;
  variables: Variables;
  thresholds: PolicySettings;
  /** Finds the faults of the models' trainers, once the rest is right. */
  findTrainerFaults(layers: readonly Layer[]): Fault[];
}

/** Reads and parses the file. Never throws. */
export function readConfigFile(context: FileContext): ConfigFile {
  const text = readText(context.path);
  if ("fault" in text) return { layers: new Map(), faults: [text.fault] };
  const document = parseYaml(text.text);
  const describe = ({ line, message }: LineFault): string => `${message} (line ${line})`;
  if (document.faults.length > 0) return { layers: new Map(), faults: document.faults.map(describe) };
  const faults: Fault[] = [];
  const layers = parseFile(document, faults, context);
  return { layers, faults: [...document.duplicates.map(describe), ...describeFaults(faults, document)] };
}

function readText(path: string): { text: string } | { fault: string } {
  try {
    const bytes = readFileSync(path);
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return text.includes("\0") ? { fault: NO_TEXT } : { text };
  } catch (error) {
    if (error instanceof TypeError) return { fault: NO_TEXT };
    const { code = "" } = error as NodeJS.ErrnoException;
    return { fault: REASONS[code]?.(path) ?? `cannot be read: ${messageOf(error)}` };
  }
}

const FOREIGN_KEY =
  "is not a part of the file, which has defaults and models: is RETRIGGER_CONFIG the right file?";

const NO_TEXT = "is not a text in UTF-8: save it as UTF-8, or correct RETRIGGER_CONFIG";

const REASONS: Readonly<Record<string, (path: string) => string>> = {
  ENOENT: (path) => `there is no such file (${resolve(path)}): create it, or correct RETRIGGER_CONFIG`,
  ENOTDIR: (path) => `there is no such file (${resolve(path)}): create it, or correct RETRIGGER_CONFIG`,
  EISDIR: () => "is a directory: name the file in RETRIGGER_CONFIG",
  EACCES: () => "this user may not read it: grant the right (chmod), or correct RETRIGGER_CONFIG",
};

function parseFile(document: YamlDocument, faults: Fault[], context: FileContext): Map<string, Layer> {
  const { value } = document;
  const layers = new Map<string, Layer>();
  if (value === null || value === undefined) {
    faults.push({
      path: [],
      message: "is empty: write models into it, such as models: { films: {} }, or unset RETRIGGER_CONFIG",
    });
    return layers;
  }
  if (!isRecord(value)) {
    // The value is not shown: the file may be another one than was meant, such as a private key.
    const kind = Array.isArray(value) ? "a list" : typeof value === "string" ? "text" : "a single value";
    faults.push({
      path: [],
      message: `expected a mapping with defaults and models, got ${kind}: is RETRIGGER_CONFIG the right file?`,
    });
    return layers;
  }
  for (const key of Object.keys(value))
    if (key !== "defaults" && key !== "models")
      faults.push({ path: [key], message: isPlainKey(key) ? describeUnknownTop(key) : FOREIGN_KEY });
  const parse = (section: unknown, base: Layer, path: Fault["path"]): Layer => {
    const own: Fault[] = [];
    const layer = parseSection(section, base, path, toSectionContext(document, own, context));
    faults.push(...own);
    return layer;
  };
  const defaults = parse(value["defaults"], context.base, ["defaults"]);
  const hasSoundDefaults = faults.length === 0;
  for (const [name, section] of listModels(value["models"], faults)) {
    const before = faults.length;
    const layer = parse(section, defaults, ["models", name]);
    if (hasSoundDefaults && faults.length === before) faults.push(...findContradictions(layer));
    layers.set(name, layer);
  }
  if (faults.length === 0) faults.push(...context.findTrainerFaults([...layers.values()]));
  return layers;
}

function listModels(models: unknown, faults: Fault[]): [string, unknown][] {
  const path = ["models"];
  if (models === undefined) return [["default", undefined]];
  if (isRecord(models) && Object.keys(models).length > 0) {
    for (const name of Object.keys(models))
      parseWith(ModelName, name, [...path, name], faults, { isShown: false });
    return Object.entries(models);
  }
  const isEmpty = models === null || isRecord(models);
  faults.push(
    isEmpty
      ? {
          path,
          message:
            "expected at least one model, such as films: {}; without models, the file is about default",
        }
      : { path, message: "expected models by their names, such as { films: {} }", value: models },
  );
  return [];
}

function toSectionContext(document: YamlDocument, faults: Fault[], context: FileContext): SectionContext {
  const { path, base, variables, thresholds } = context;
  return {
    faults,
    variables,
    thresholds,
    textOf: document.textOf,
    file: basename(path),
    trainer: base.trainer.name,
  };
}

/** The faults in the order of the file, each once. */
export function describeFaults(faults: readonly Fault[], document: YamlDocument): string[] {
  const lines = faults.map((fault) => {
    const line = document.lineOf(fault.path);
    const place = fault.path.length === 0 ? "" : `${formatPath(fault.path)}: `;
    return { line, text: `${place}${describe(fault, document)} (line ${line})` };
  });
  return [...new Set(lines.toSorted((a, b) => a.line - b.line).map(({ text }) => text))];
}

const SHOWN_LENGTH = 60;

function describe({ path, message, value }: Fault, { textOf }: YamlDocument): string {
  if (value === undefined || !message.startsWith("expected")) return message;
  const shown = show(value, textOf(path));
  if (message === "expected text" && typeof value !== "object")
    return `expected text, got ${shown}: put it in quotes`;
  return `${message}${/[:;]/.test(message) ? ";" : ","} got ${shown}`;
}

function show(value: unknown, text: string | undefined): string {
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (isRecord(value)) return Object.keys(value).length === 0 ? "an empty mapping" : "a mapping";
  const written = text ?? JSON.stringify(value);
  if (written === "") return "nothing";
  // A login in a URL is a secret.
  if (/:\/\/[^/]*@/.test(written)) return "a URL with a login";
  return written.length > SHOWN_LENGTH ? `${written.slice(0, SHOWN_LENGTH)}…` : written;
}

import { renderSettings } from "../../config/effective-config.ts";
import type { ModelConfig } from "../../config/model-config.ts";
import type { Redact } from "../../process/redact.ts";

const rendered = new WeakMap<ModelConfig, string>();

/** The settings of a model as the YAML file would have them. A reload makes other settings, so these are rendered once. */
export function SettingsYaml({
  model,
  config,
  redact,
}: {
  model: string;
  config: ModelConfig;
  redact: Redact;
}) {
  const yaml = rendered.get(config) ?? redact(renderSettings(model, config));
  rendered.set(config, yaml);
  return (
    <details class="data">
      <summary>All settings, as YAML</summary>
      <pre tabIndex={0}>{yaml}</pre>
    </details>
  );
}

import { renderSettings } from "../../config/effective-config.ts";
import type { ModelConfig } from "../../config/model-config.ts";

/** The settings of a model as the YAML file would have them. */
export function SettingsYaml({ model, config }: { model: string; config: ModelConfig }) {
  return (
    <details class="data">
      <summary>All settings, as YAML</summary>
      <pre tabIndex={0}>{renderSettings(model, config)}</pre>
    </details>
  );
}

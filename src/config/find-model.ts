import { PermanentError } from "../core/errors.ts";
import type { ModelConfig } from "./config.ts";

/**
 * Returns the settings of a model.
 * @throws PermanentError for an unknown model, naming the known ones.
 */
export function findModel(models: ReadonlyMap<string, ModelConfig>, model: string): ModelConfig {
  const found = models.get(model);
  if (found) return found;
  const known = [...models.keys()].slice(0, 10).join(", ");
  throw new PermanentError(
    "UNKNOWN_MODEL",
    `model: "${model}" is not in the settings (known models: ${known}). Add it to the file of RETRIGGER_CONFIG, or correct the request`,
  );
}

import { PermanentError } from "../core/errors.ts";
import type { ModelConfig } from "./config.ts";

/**
 * The settings of a model.
 * @throws PermanentError where there are none, naming those that there are.
 */
export function findModel(models: ReadonlyMap<string, ModelConfig>, model: string): ModelConfig {
  const found = models.get(model);
  if (found) return found;
  const known = [...models.keys()].slice(0, 10).join(", ");
  throw new PermanentError(
    "UNKNOWN_MODEL",
    `model: "${model}" is not in the settings (there: ${known}). Add it to RETRIGGER_CONFIG, or correct the request`,
  );
}

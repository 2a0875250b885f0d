import { type Environment, loadEnvironment } from "../config/environment.ts";
import { PermanentError } from "../core/errors.ts";

/**
 * The environment of a command that works on the database itself.
 * @throws PermanentError if it leads to a service instead.
 */
export function loadDatabaseEnvironment(command: string): Environment {
  const env = loadEnvironment();
  if (env["RETRIGGER_URL"] !== undefined && env["DATABASE_URL"] === undefined)
    throw new PermanentError(
      "CONFIG",
      `${command} works on the database itself, not through the service of RETRIGGER_URL: set DATABASE_URL`,
    );
  return env;
}

import type { Config } from "../config/config.ts";
import { fingerprintSettings } from "../config/settings-fingerprint.ts";
import type { Database } from "../postgres/database.ts";
import type { Description } from "../redis/service-channel.ts";

/** Describes this process to those that ask which settings the services run with. */
export interface OwnDescription {
  /** @param salt What the hashes of the settings are salted with. */
  describe(salt: string): Promise<Description>;
  /** A reload has put other settings in force. Its variables are those of the start. */
  replace(next: Pick<Config, "models" | "secrets">): void;
}

export function createOwnDescription(
  service: string,
  initial: Pick<Config, "role" | "variables" | "models" | "secrets">,
  findDatabase: () => Pick<Database, "identify"> | null,
): OwnDescription {
  let current = initial;
  let since = new Date();
  return {
    async describe(salt) {
      const identity = await findDatabase()
        ?.identify()
        .catch(() => null);
      const fingerprint = await fingerprintSettings(current, salt, identity ?? null);
      return { service, hasWorkers: current.role !== "web", since: since.toISOString(), fingerprint };
    },
    replace({ models, secrets }) {
      current = { ...current, models, secrets };
      since = new Date();
    },
  };
}

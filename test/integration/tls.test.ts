import dns from "node:dns";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { parseConfig } from "../../src/config/config.ts";
import { createDatabase, type Database } from "../../src/postgres/database.ts";
import { createLogger } from "../../src/process/logger.ts";
import { makeCertificate, OPENSSL } from "../support/certificates.ts";
import { queryOnce } from "../support/database-url.ts";
import { type OwnPostgres, startOwnPostgres } from "../support/own-postgres.ts";
import { runScript } from "../support/process.ts";
import { createWorld, failureOf } from "../support/world.ts";

describe.skipIf(OPENSSL === undefined)("a Postgres with a certificate for localhost", () => {
  let server: OwnPostgres;
  let authority: string;

  beforeAll(async () => {
    server = await startOwnPostgres(async (directory) => {
      const made = await makeCertificate(directory);
      authority = made.authority;
      return made.settings;
    });
  });
  afterAll(() => server.stop());
  afterEach(() => void vi.restoreAllMocks());

  const settingsOf = (host: string, parameters: Record<string, string> = {}): Record<string, string> => {
    const url = new URL(server.url);
    url.hostname = host;
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
    return { DATABASE_URL: url.href, REDIS_URL: "redis://127.0.0.1:1" };
  };

  async function withDatabase<T>(settings: Record<string, string>, use: (database: Database) => Promise<T>) {
    const database = createDatabase(parseConfig(settings), createLogger("silent"));
    try {
      return await use(database);
    } finally {
      await database.close();
    }
  }
  const ping = (settings: Record<string, string>) => withDatabase(settings, (database) => database.ping());

  it("is migrated and read through TLS with sslrootcert, by every connection", async () => {
    const settings = settingsOf("localhost", { sslmode: "require", sslrootcert: authority });
    await withDatabase(settings, async (database) => {
      await database.migrate();
      await database.ping();
      const rows = await queryOnce(
        server.url,
        "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name ~ '^retrigger'",
      );
      expect(rows).toEqual([{ ssl: true }]);
    });
  });

  it("is trusted by commands if NODE_EXTRA_CA_CERTS names its authority", async () => {
    const settings = settingsOf("localhost", { sslmode: "verify-full" });
    const refused = await runScript("src/cli.ts", ["history"], settings);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("sslrootcert=FILE") });
    const trusted = await runScript("src/cli.ts", ["history"], {
      ...settings,
      NODE_EXTRA_CA_CERTS: authority,
    });
    expect(trusted).toMatchObject({ code: 0, stderr: "" });
  });

  it("is not trusted under another name, nor without its authority", async () => {
    const other = settingsOf("127.0.0.1", { sslmode: "verify-full", sslrootcert: authority });
    expect(await failureOf(ping(other))).toMatch(/certificate .* cannot be verified: .*127\.0\.0\.1/);
    const unknown = settingsOf("localhost", { sslmode: "verify-full" });
    await expect(ping(unknown)).rejects.toMatchObject({ name: "PermanentError", code: "BAD_CERTIFICATE" });
    await ping(settingsOf("localhost", { sslmode: "no-verify" }));
    const absent = settingsOf("localhost", { sslrootcert: "/absent/ca.pem" });
    expect(await failureOf(ping(absent))).toContain("Correct sslrootcert, sslcert or sslkey in DATABASE_URL");
  });

  /** Lets a name lead to this machine. */
  function resolveHere(): void {
    const real = dns.lookup;
    vi.spyOn(dns, "lookup").mockImplementation((name: string, ...rest: unknown[]) =>
      (real as (...args: unknown[]) => void)(name.endsWith(".example.com") ? "127.0.0.1" : name, ...rest),
    );
  }

  it("is verified at a host elsewhere without any parameter, also as a model's own database", async () => {
    resolveHere();
    const settings = settingsOf("db.example.com");
    await expect(ping(settings)).rejects.toMatchObject({ code: "BAD_CERTIFICATE" });
    await ping({ ...settings, DATABASE_URL: `${settings["DATABASE_URL"]}?sslmode=disable` });
    const world = await createWorld();
    const [model] = [...world.config.models.values()];
    if (!model) throw new Error("The settings name no model");
    const database = { variable: "FILMS_DATABASE_URL", url: settings["DATABASE_URL"] ?? "" };
    const config = { ...model, source: { ...model.source, database } };
    const { failed } = await withDatabase(world.settings, (own) =>
      own.inspectSources(new Map([["films", config]])),
    );
    await world.close();
    expect(failed[0]?.message).toMatch(/FILMS_DATABASE_URL: The certificate .* Add sslrootcert=FILE/);
  });

  it("that offers no TLS is refused at a host elsewhere, with the remedy", async () => {
    resolveHere();
    const world = await createWorld();
    const url = new URL(world.config.databaseUrl);
    url.hostname = "db.example.com";
    const message = await failureOf(ping({ ...world.settings, DATABASE_URL: url.href }));
    await world.close();
    expect(message).toContain("offers no TLS");
    expect(message).toContain("add sslmode=disable to DATABASE_URL");
  });
});

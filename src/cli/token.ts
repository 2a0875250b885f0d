import { userInfo } from "node:os";
import { Command, Option } from "commander";
import { parseConfigWithoutRedis } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { hideTokens, ROLES, type Role } from "../core/access.ts";
import { toMs } from "../core/duration.ts";
import { formatInstant, toPlain } from "../core/format.ts";
import type { TokenRow } from "../postgres/tokens.ts";
import { refuse } from "../use-cases/settle-dispatch.ts";
import { audited } from "./audited.ts";
import { withDatabase } from "./connections.ts";
import { parseDuration, parseText, print, printNote } from "./output.ts";

/** `retrigger token ...` */
export function createToken(): Command {
  const token = new Command("token").description("manage who may use the pages and the API");
  token
    .command("create")
    .description("create a token, and print it: it is shown only once")
    .requiredOption("--name <name>", "who or what will use it", parseText)
    .addOption(new Option("--role <role>", "what it may do").choices(ROLES).makeOptionMandatory())
    .option("--for <duration>", "how long it is valid, such as 90d; without an end by default", parseDuration)
    .action(create);
  token
    .command("list")
    .description("list the tokens, without their secrets")
    .option("--json", "print them as a JSON array")
    .action(list);
  token
    .command("revoke <token>")
    .description("revoke a token, given by its id or in full, and end its sessions")
    .action(revoke);
  return token;
}

async function create(options: { name: string; role: Role; for?: string }): Promise<void> {
  const { name, role } = options;
  const config = parseConfigWithoutRedis(loadEnvironment());
  await withDatabase(config, async (database) => {
    const forSeconds = options.for === undefined ? null : toMs(options.for) / 1000;
    const { id, token, expiresAt } = await audited(database, { action: "token create", target: name }, () =>
      database.createToken({ name, role, createdBy: userInfo().username, forSeconds }),
    );
    print(token);
    printNote(
      `Token ${id} of ${name} (${role}), valid ${expiresAt === null ? "until it is revoked" : `until ${formatInstant(expiresAt)}`}. It is not shown again.`,
    );
  });
}

async function list({ json }: { json?: true }): Promise<void> {
  const config = parseConfigWithoutRedis(loadEnvironment());
  const tokens = await withDatabase(config, (database) => database.listTokens());
  if (json) print(JSON.stringify(tokens, null, 2));
  else if (tokens.length === 0) print("No tokens. Create one with: npx retrigger token create");
  else for (const token of tokens) print(toPlain(describe(token)));
}

function describe({ id, name, role, expiresAt, lastUsedAt, revokedAt }: TokenRow): string {
  const isExpired = expiresAt !== null && Date.parse(expiresAt) <= Date.now();
  const states = [
    revokedAt === null ? null : `revoked ${formatInstant(revokedAt)}`,
    expiresAt === null ? null : `${isExpired ? "expired" : "expires"} ${formatInstant(expiresAt)}`,
    lastUsedAt === null ? "never used" : `last used ${formatInstant(lastUsedAt)}`,
  ];
  return `${id}  ${role.padEnd(8)}  ${name}  (${states.filter((state) => state !== null).join(", ")})`;
}

async function revoke(id: string): Promise<void> {
  const config = parseConfigWithoutRedis(loadEnvironment());
  await withDatabase(config, (database) =>
    audited(database, { action: "token revoke", target: hideTokens(id) }, async () => {
      if (!(await database.revokeToken(id)))
        throw refuse(`There is no token ${hideTokens(id)} in force. See: npx retrigger token list`);
      print(`Revoked token ${hideTokens(id)}.`);
    }),
  );
}

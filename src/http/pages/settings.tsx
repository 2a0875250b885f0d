import type { ModelConfig } from "../../config/model-config.ts";
import { grants, ROLES } from "../../core/access.ts";
import { describeCondition } from "../../core/describe-condition.ts";
import { formatCount } from "../../core/format.ts";
import type { Redact } from "../../process/redact.ts";
import type { AuditRow } from "../../postgres/audit.ts";
import type { TokenRow } from "../../postgres/tokens.ts";
import { Badge } from "../parts/badge.tsx";
import { Filter, Keyset, TextField } from "../parts/filter.tsx";
import { ModelLink, withQuery } from "../parts/links.tsx";
import { SettingsYaml } from "../parts/settings-yaml.tsx";
import { Time } from "../parts/time.tsx";
import { ROWS, takePage } from "./paging.ts";
import type { Page } from "./page.ts";
import { Table } from "../parts/table.tsx";

const PATH = "/settings";
const MODELS = 25;

/** The policies in force; for admins also who may use the service, and who did. */
export const settingsPage: Page = {
  path: PATH,
  role: "viewer",
  navigation: "Settings",
  requires: ["postgres"],
  async load({ query, caller, now }, { live, database, redact }) {
    const isAdmin = grants(caller.role, "admin");
    const before = /^[1-9]\d{0,14}$/.test(query["cursor"] ?? "") ? Number(query["cursor"]) : null;
    const [tokens, audit] = isAdmin
      ? await Promise.all([database.listTokens(), database.listAudit({ limit: ROWS + 1, before })])
      : [null, null];
    const search = (query["q"] ?? "").toLowerCase();
    const found = [...live.models()].filter(([model]) => model.toLowerCase().includes(search));
    return {
      title: "Settings",
      body: (
        <>
          <h1>Settings</h1>
          <p class="lead">
            The policies in force. They are read from the environment and the file of RETRIGGER_CONFIG; after
            a change of the file, <code>npx retrigger config reload</code> puts them in force.
          </p>
          {live.models().size > MODELS && (
            <Filter>
              <TextField name="q" label="Model" value={query["q"]} />
            </Filter>
          )}
          {found.slice(0, MODELS).map(([model, config]) => (
            <ModelSettings model={model} config={config} redact={redact} />
          ))}
          {found.length === 0 && <p class="empty">No model matches.</p>}
          {found.length > MODELS && (
            <p class="soft">{`${formatCount(MODELS)} of ${formatCount(found.length)} models are shown: search for another one.`}</p>
          )}
          {tokens !== null && <Tokens tokens={tokens} now={now} />}
          {audit !== null && <Audit rows={audit} query={query} now={now} />}
        </>
      ),
    };
  },
};

function ModelSettings({ model, config, redact }: { model: string; config: ModelConfig; redact: Redact }) {
  return (
    <section class="panel">
      <h2>
        <ModelLink model={model} />
      </h2>
      <p>{describeCondition(config.policy)}</p>
      {config.shadow !== null && <p>{`Shadow policy: ${describeCondition(config.shadow)}`}</p>}
      <p class="soft">
        {`Schedule ${config.schedule ?? "off"}; trainer ${config.trainer.name}; counts ${config.source.buffer.unit}`}
      </p>
      <SettingsYaml model={model} config={config} redact={redact} />
    </section>
  );
}

function Tokens({ tokens, now }: { tokens: readonly TokenRow[]; now: number }) {
  return (
    <section class="panel">
      <h2>Tokens</h2>
      <details class="action">
        <summary>Create a token</summary>
        <p>
          The token is shown once. It grants its role to anyone who has it, until it is revoked or expires.{" "}
          {tokens.length === 0 &&
            "From the first one on everybody needs a token, so the first must be an admin's."}
        </p>
        <form method="post" action={`${PATH}/tokens`}>
          <label>
            Name <input name="name" required maxLength={500} autocomplete="off" />
          </label>
          <label>
            Role{" "}
            <select name="role">
              {ROLES.map((role) => (
                <option value={role} selected={role === (tokens.length === 0 ? "admin" : "viewer")}>
                  {role}
                </option>
              ))}
            </select>
          </label>
          <label>
            Valid for <input name="for" size={6} placeholder="90d" autocomplete="off" />
          </label>
          <button class="main">Create the token</button>
        </form>
      </details>
      {tokens.length === 0 ? (
        <p class="empty">No tokens yet. None is needed on this machine.</p>
      ) : (
        <Table label="Tokens" columns={["Name", "Role", "Created", "Last used", "State"]}>
          {tokens.map((token) => {
            const isExpired = token.expiresAt !== null && Date.parse(token.expiresAt) <= now;
            return (
              <tr>
                <th scope="row">
                  {token.name}
                  <small>{token.id}</small>
                </th>
                <td>{token.role}</td>
                <td>
                  <Time at={token.createdAt} now={now} /> by {token.createdBy}
                </td>
                <td>
                  <Time at={token.lastUsedAt} now={now} />
                </td>
                <td>
                  {token.revokedAt !== null ? (
                    <Badge tone="calm">revoked</Badge>
                  ) : isExpired ? (
                    <Badge tone="calm">expired</Badge>
                  ) : (
                    <details class="action">
                      <summary>Revoke</summary>
                      <p>The token and the sessions that it started stop working at once.</p>
                      <form method="post" action={`${PATH}/tokens/${token.id}/revoke`}>
                        <button class="main">{`Revoke ${token.name}`}</button>
                      </form>
                    </details>
                  )}
                </td>
              </tr>
            );
          })}
        </Table>
      )}
    </section>
  );
}

function Audit({
  rows,
  query,
  now,
}: {
  rows: readonly AuditRow[];
  query: Readonly<Record<string, string | undefined>>;
  now: number;
}) {
  const { shown, last } = takePage(rows);
  return (
    <section class="panel">
      <h2>Audit</h2>
      {shown.length === 0 ? (
        <p class="empty">No changes recorded yet.</p>
      ) : (
        <Table label="Audit" columns={["When", "Who", "What", "Result"]}>
          {shown.map((row) => (
            <tr>
              <td>
                <Time at={row.at} now={now} />
              </td>
              <td>
                {row.actor}
                <small>{[row.role, row.means, row.address].filter((part) => part !== null).join(", ")}</small>
              </td>
              <td>
                <code>{row.action}</code>
                <small>{row.target}</small>
              </td>
              <td>
                {row.result ?? "interrupted"}
                <small>{row.detail}</small>
              </td>
            </tr>
          ))}
        </Table>
      )}
      <Keyset
        first={query["cursor"] === undefined ? null : withQuery(PATH, query, { cursor: null })}
        next={last && withQuery(PATH, query, { cursor: String(last.id) })}
      />
    </section>
  );
}

import { z } from "zod";
import { ROLES } from "../../core/access.ts";
import { duration, toMs } from "../../core/duration.ts";
import { parseInput } from "../../core/parse.ts";
import { Reason, TokenPath } from "../api/schemas.ts";
import type { Action } from "../pages/page.ts";
import { RequestError } from "../request-error.ts";

const SHARED = { role: "admin", requires: ["postgres"] } as const;
const NewToken = z.strictObject({ name: Reason, role: z.enum(ROLES), for: duration().optional() });

/** Who may use the service. */
export const tokenActions: readonly Action[] = [
  {
    ...SHARED,
    path: "/settings/tokens",
    async run({ fields, caller }, { database }) {
      const { name, role, for: length } = parseInput(NewToken, fields, "form");
      // From then on nobody is recognized without a token.
      if (role !== "admin" && !(await database.readTokenState()).inForce && caller.means === "local")
        throw new RequestError(
          409,
          "The first token must be an admin's: without one, nobody could create another here",
          "REFUSED",
        );
      const forSeconds = length === undefined ? null : toMs(length) / 1000;
      const { token } = await database.createToken({ name, role, createdBy: caller.name, forSeconds });
      return {
        title: "Token created",
        tone: "good",
        status: 201,
        body: (
          <>
            <h1>Token created</h1>
            <p>{`For ${name}, role ${role}. It is shown only now: copy it.`}</p>
            <pre class="panel" tabIndex={0}>
              {token}
            </pre>
            <p>
              <a href="/settings">Back to the settings</a>
            </p>
          </>
        ),
      };
    },
  },
  {
    ...SHARED,
    path: "/settings/tokens/:id/revoke",
    async run({ params }, { database }) {
      const { id } = parseInput(TokenPath, params, "path");
      if (!(await database.revokeToken(id)))
        throw new RequestError(404, "There is no such token in force", "NOT_FOUND");
      return { redirect: "/settings?done=revoked" };
    },
  },
];

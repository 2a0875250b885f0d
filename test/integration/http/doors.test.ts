import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { appRoutes } from "@bull-board/api/dist/routes.js";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { parseConfig } from "../../../src/config/config.ts";
import { grants, ROLES, type Role } from "../../../src/core/access.ts";
import type { Door } from "../../../src/http/access/doors.ts";
import { ROUTES } from "../../../src/http/routes.ts";
import { createDatabase, type Database } from "../../../src/postgres/database.ts";
import { createLogger } from "../../../src/process/logger.ts";
import { bearer, JSON_TYPE, sendRaw } from "../../support/http.ts";
import { createWorld, failureOf, until, type World } from "../../support/world.ts";

const ADMIN_TOKEN = "an-admin-token-of-the-settings-000";
const DOORS: readonly Door[] = ROUTES.flatMap(({ doors }) => doors);

let world: World;
let database: Database;
/** With tokens, bound to loopback; with a trusted proxy; for a local caller. */
let guarded: string;
let proxied: string;
const tokens: Partial<Record<Role, string>> = {};

async function serve(settings: Record<string, string> = {}): Promise<string> {
  const app = await world.startApp(parseConfig({ ...world.settings, ROLE: "web", ...settings }));
  return app.address() ?? "";
}

beforeAll(async () => {
  world = await createWorld();
  database = createDatabase(world.config, createLogger("silent"));
  for (const role of ROLES) tokens[role] = await createToken(role);
  guarded = await serve();
  proxied = await serve({
    TRUSTED_PROXY: "127.0.0.0/8",
    PROXY_ROLES: "ml-emit=emit,ml-view=viewer,ml-ops=operator,ml-admins=admin",
  });
});
afterAll(async () => {
  await database.close();
  await world.close();
});

const createToken = async (role: Role, forSeconds: number | null = null): Promise<string> =>
  (await database.createToken({ name: `a ${role}`, role, createdBy: "a test", forSeconds })).token;

/** A path of a door that changes nothing that matters. */
const toPath = ({ path }: Door): string => path.replaceAll(/:\w+/g, "nothing").replace("*", "js/nothing.js");

const isChange = ({ method }: Door): boolean => method !== "GET";

/** What a caller would send; without a body, so that no change comes about. */
function send(address: string, door: Door, headers: Record<string, string>) {
  // A stream would not end.
  const method = door.path.endsWith("/stream") ? "HEAD" : door.method;
  return sendRaw(address, method, toPath(door), {
    host: new URL(address).host,
    ...(isChange(door) ? { origin: address } : {}),
    ...headers,
  });
}

/** Statuses of the keeper; whatever else comes from the route behind it. */
const KEEPER = [401, 403, 421, 429];

const GUARDED_DOORS = DOORS.filter(({ role }) => role !== "open" && role !== "signed") as (Door & {
  role: Role;
})[];

describe.concurrent("a door", { timeout: 60_000 }, () => {
  const groups: Record<Role, string> = {
    emit: "ml-emit",
    viewer: "ml-view",
    operator: "ml-ops",
    admin: "ml-admins",
  };

  it.each(ROLES)(
    "admits %s by token, session and proxy where its role says so, and nowhere else",
    async (role) => {
      const login = await sendRaw(
        guarded,
        "POST",
        "/login",
        { host: new URL(guarded).host, origin: guarded, ...JSON_TYPE },
        JSON.stringify({ token: tokens[role] }),
      );
      const cookie = login.headers["set-cookie"]?.[0]?.split(";")[0] ?? "";
      const callers: [string, Record<string, string>][] = [
        [guarded, bearer(tokens[role] ?? "")],
        [guarded, { cookie }],
        [proxied, { "x-forwarded-user": "somebody", "x-forwarded-groups": `everyone,${groups[role]}` }],
      ];
      for (const door of GUARDED_DOORS)
        for (const [address, headers] of callers) {
          // What would pass and change all queues is left out: the doors of the same role stand for it.
          if (grants(role, door.role) && isChange(door) && !door.path.includes(":")) continue;
          const { status } = await send(address, door, headers);
          const what = `${role} ${door.method} ${door.path} ${Object.keys(headers).join()}`;
          if (grants(role, door.role)) expect(KEEPER, what).not.toContain(status);
          else expect(status, what).toBe(403);
        }
    },
  );

  it("admits nobody without credentials, or with forged, expired or revoked ones", async () => {
    const admin = tokens.admin ?? "";
    const expired = await createToken("admin", 0.001);
    const revoked = await createToken("admin");
    await database.revokeToken(revoked.split("_")[1] ?? "");
    const forged = admin.slice(0, -1) + (admin.endsWith("A") ? "B" : "A");
    const [door] = GUARDED_DOORS;
    if (!door) throw new Error("there is no door");
    for (const headers of [
      {},
      bearer(forged),
      bearer(expired),
      bearer(revoked),
      bearer("rt_"),
      { authorization: "Basic YWRtaW46YWRtaW4=" },
      { authorization: "" },
      { cookie: "retrigger_session=forged" },
      { "x-forwarded-user": "somebody", "x-forwarded-groups": "ml-admins" },
    ]) {
      const { status, headers: received, json } = await send(guarded, door, headers);
      expect(status, JSON.stringify(headers)).toBe(401);
      expect(received["www-authenticate"]).toContain("Bearer");
      expect(json).toMatchObject({ status: 401, code: "UNAUTHORIZED" });
    }
    for (const each of GUARDED_DOORS) expect((await send(guarded, each, {})).status, each.path).toBe(401);
  });

  it("refuses a proxy's user whose groups have no role", async () => {
    const headers = { "x-forwarded-user": "somebody", "x-forwarded-groups": "everyone" };
    const { status, json } = await sendRaw(proxied, "GET", "/decisions", {
      host: new URL(proxied).host,
      ...headers,
    });
    expect({ status, json }).toMatchObject({
      status: 403,
      json: { detail: expect.stringContaining("PROXY_ROLES") as string },
    });
  });

  it("does not take a caller for a local one behind a proxy", async () => {
    expect((await sendRaw(proxied, "GET", "/decisions", { host: new URL(proxied).host })).status).toBe(401);
  });
});

describe.concurrent("the door keeper", { timeout: 60_000 }, () => {
  const host = () => ({ host: new URL(guarded).host });
  const admin = () => bearer(tokens.admin ?? "");

  it.each([
    "evil.example",
    "127.0.0.1.evil.example",
    "127.0.0.1:1",
    "localhost",
    "127.0.0.1:80@evil.example",
  ])("refuses the Host %j", async (evil) => {
    for (const path of ["/", "/login", "/api/v1/decisions", "/queues/api/queues"])
      expect((await sendRaw(guarded, "GET", path, { host: evil, ...admin() })).status, path).toBeOneOf([
        400, 421,
      ]);
  });

  it("answers to every loopback name with its port, and to PUBLIC_URL", async () => {
    const { port } = new URL(guarded);
    for (const name of ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
      expect((await sendRaw(guarded, "GET", "/login", { host: `${name}:${port}` })).status).toBe(200);
    const open = await serve({ PUBLIC_URL: "https://retrigger.example.com" });
    for (const name of ["retrigger.example.com", "retrigger.example.com:443"])
      expect((await sendRaw(open, "GET", "/login", { host: name })).status).toBe(200);
    expect((await sendRaw(open, "GET", "/login", { host: "retrigger.example.com:8443" })).status).toBe(421);
    // Whoever comes by that name comes from elsewhere.
    expect((await sendRaw(open, "GET", "/decisions", { host: "retrigger.example.com" })).status).toBe(401);
  });

  it("lets probes and scrapers come by any address, and then takes nothing but a token for a role", async () => {
    const pod = { host: "10.1.2.3:9464" };
    const open = await serve();
    for (const address of [open, guarded, proxied])
      for (const path of ["/healthz", "/readyz"])
        expect((await sendRaw(address, "GET", path, pod)).status, path).toBe(200);
    const proxyUser = { "x-forwarded-user": "somebody", "x-forwarded-groups": "ml-admins" };
    const scrape = async (address: string, headers: Record<string, string>) =>
      (await sendRaw(address, "GET", "/metrics", { ...pod, ...headers })).status;
    expect(await scrape(guarded, bearer(tokens.viewer ?? ""))).toBe(200);
    expect(await scrape(guarded, bearer(tokens.emit ?? ""))).toBe(403);
    expect(await scrape(guarded, {})).toBe(401);
    expect(await scrape(proxied, proxyUser)).toBe(421);
    expect(await scrape(proxied, { ...proxyUser, ...bearer("of another program") })).toBe(421);
  });

  it.each([
    "/API/v1/decisions",
    "/Decisions",
    "/decisions/",
    "//decisions",
    "/./decisions",
    "/x/../decisions",
    "/%64ecisions",
    "/decisions%2f",
    "/api%2fv1%2fdecisions",
    "/api/v1/decisions;x=1",
    "/api\\v1\\decisions",
    "/queues/%2e%2e/decisions",
    "/QUEUES/api/queues",
    "/nothing",
    "/%zz",
    "/%ff",
  ])("has one spelling of a path: %s is none", async (path) => {
    expect((await sendRaw(guarded, "GET", path, { ...host(), ...admin() })).status).toBe(404);
  });

  it("refuses a target that is no path of ours", async () => {
    for (const target of ["http://evil.example/decisions", "*"])
      expect((await sendRaw(guarded, "GET", target, { ...host(), ...admin() })).status).toBeOneOf([400, 404]);
  });

  it("knows the methods of a path", async () => {
    const options = await sendRaw(guarded, "OPTIONS", "/decisions", {
      ...host(),
      origin: "https://evil.example",
    });
    expect(options).toMatchObject({ status: 405, headers: { allow: "GET, HEAD" } });
    expect(options.headers["access-control-allow-origin"]).toBeUndefined();
    for (const method of ["POST", "PUT", "DELETE", "PATCH", "TRACE"])
      expect((await sendRaw(guarded, method, "/decisions", { ...host(), ...admin() })).status, method).toBe(
        405,
      );
    expect(await sendRaw(guarded, "HEAD", "/decisions", { ...host(), ...admin() })).toMatchObject({
      status: 200,
      text: "",
    });
    expect((await sendRaw(guarded, "HEAD", "/decisions", host())).status).toBe(401);
  });

  it("lets no other site's page make a change, whoever is logged in", async () => {
    const path = "/queues/api/queues/act/pause";
    const proxyUser = { "x-forwarded-user": "somebody", "x-forwarded-groups": "ml-admins" };
    const evil: Record<string, string>[] = [
      {},
      { origin: "https://evil.example" },
      { origin: "null" },
      { origin: guarded.replace("http:", "https:") },
      { origin: "http://127.0.0.1:1" },
      { "sec-fetch-site": "cross-site" },
      { "sec-fetch-site": "same-site", origin: proxied },
      { "sec-fetch-site": "none" },
      { "sec-fetch-site": "same-origin", origin: "https://evil.example" },
    ];
    for (const headers of evil) {
      const response = await sendRaw(proxied, "PUT", path, {
        host: new URL(proxied).host,
        ...proxyUser,
        ...headers,
      });
      expect(response, JSON.stringify(headers)).toMatchObject({ status: 403, json: { code: "CROSS_SITE" } });
    }
    // A browser adds no token by itself, but a page may not borrow one either.
    const borrowed = await sendRaw(guarded, "PUT", path, {
      ...host(),
      ...admin(),
      origin: "https://evil.example",
    });
    expect(borrowed.status).toBe(403);
    const own = { host: new URL(proxied).host, ...proxyUser, "sec-fetch-site": "same-origin" };
    expect((await sendRaw(proxied, "PUT", path, own)).status).toBe(200);
    expect(
      (await sendRaw(guarded, "PUT", path.replace("pause", "resume"), { ...host(), ...admin() })).status,
    ).toBe(200);
  });

  it.each(["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp"])(
    "takes no change as %j",
    async (type) => {
      const headers = { ...host(), ...admin(), "content-type": type };
      const { status } = await sendRaw(
        guarded,
        "POST",
        "/queues/api/queues/act/add",
        headers,
        '{"name":"x"}',
      );
      expect(status).toBe(415);
    },
  );

  it("sets a strict policy on every response, Bull Board's too, and names no program", async () => {
    for (const path of ["/queues", "/decisions", "/healthz", "/nothing", "/login", "/queues/api/queues"]) {
      const { headers } = await sendRaw(guarded, "GET", path, { ...host(), ...admin() });
      const policy = headers["content-security-policy"] as string;
      expect(policy).toContain("script-src 'self';");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(headers["x-content-type-options"]).toBe("nosniff");
      expect(headers["x-frame-options"]).toBe("DENY");
      expect(headers["referrer-policy"]).toBeDefined();
      expect(headers["x-powered-by"]).toBeUndefined();
      expect(headers["strict-transport-security"]).toBeUndefined();
    }
  });

  it.each([
    ["what is no request", "NONSENSE\r\n\r\n", 400],
    ["headers that are too large", `GET / HTTP/1.1\r\nX: ${"x".repeat(20_000)}\r\n\r\n`, 431],
  ])("answers %s with a problem, and closes the connection", async (_, sent, status) => {
    const { hostname, port } = new URL(guarded);
    const socket = connect(Number(port), hostname);
    socket.write(sent);
    const received = await text(socket);
    expect(received).toMatch(
      new RegExp(`^HTTP/1.1 ${status} [^]*application/problem\\+json[^]*"status":${status}`),
    );
  });

  it("serves Bull Board without anything from another server", async () => {
    const { text, status } = await sendRaw(guarded, "GET", "/queues", { ...host(), ...admin() });
    expect(status).toBe(200);
    expect(text).not.toMatch(/(src|href)="(https?:)?\/\//);
  });
});

describe("Bull Board's own routes", () => {
  it("each have a door, and only those that are known to be harmless are open to operators", () => {
    const own = appRoutes.api.flatMap(({ method, route }) =>
      [method].flat().flatMap((one) => [route].flat().map((path) => `${one.toUpperCase()} /queues${path}`)),
    );
    const doors = DOORS.filter(({ path }) => path.startsWith("/queues/api/"));
    expect(doors.map(({ method, path }) => `${method} ${path}`)).toEqual(own);
    // A new route of Bull Board fails here: decide who may call it.
    expect(
      doors
        .filter(isChange)
        .map(({ method, path, role }) => `${role} ${method} ${path.slice("/queues/api".length)}`),
    ).toMatchInlineSnapshot(`
      [
        "operator PUT /queues/pause",
        "operator PUT /queues/resume",
        "admin POST /queues/:queueName/add",
        "operator PUT /queues/:queueName/retry/:queueStatus",
        "operator PUT /queues/:queueName/promote",
        "admin PUT /queues/:queueName/clean/:queueStatus",
        "operator PUT /queues/:queueName/pause",
        "operator PUT /queues/:queueName/resume",
        "admin PUT /queues/:queueName/concurrency",
        "admin PUT /queues/:queueName/rate-limit",
        "admin PUT /queues/:queueName/rate-limit/release",
        "admin PUT /queues/:queueName/empty",
        "admin PUT /queues/:queueName/obliterate",
        "admin PUT /queues/:queueName/job-schedulers/:schedulerId/remove",
        "admin PATCH /queues/:queueName/job-schedulers/:schedulerId",
        "operator PUT /queues/:queueName/job-schedulers/:schedulerId/run",
        "operator PUT /queues/:queueName/:jobId/retry",
        "admin PUT /queues/:queueName/:jobId/clean",
        "operator PUT /queues/:queueName/:jobId/promote",
        "admin PATCH /queues/:queueName/:jobId/update-data",
        "admin PATCH /queues/:queueName/:jobId/delay",
        "admin PATCH /queues/:queueName/:jobId/priority",
        "admin PUT /queues/:queueName/:jobId/remove-unprocessed-children",
      ]
    `);
  });

  it("are read-only for viewers", async () => {
    const headers = { host: new URL(guarded).host };
    const read = async (role: Role) => {
      const { json } = await sendRaw(guarded, "GET", "/queues/api/queues", {
        ...headers,
        ...bearer(tokens[role] ?? ""),
      });
      return (json as { queues: { readOnlyMode: boolean }[] }).queues.map(({ readOnlyMode }) => readOnlyMode);
    };
    expect(new Set(await read("viewer"))).toEqual(new Set([true]));
    expect(new Set(await read("operator"))).toEqual(new Set([false]));
  });
});

describe("a session", () => {
  const logIn = (token: string, body: Record<string, string> = {}) =>
    sendRaw(
      guarded,
      "POST",
      "/login",
      { host: new URL(guarded).host, origin: guarded, ...JSON_TYPE },
      JSON.stringify({ token, ...body }),
    );
  const cookieOf = ({ headers }: Awaited<ReturnType<typeof logIn>>): string =>
    headers["set-cookie"]?.[0] ?? "";
  const statusWith = async (cookie: string) =>
    (await sendRaw(guarded, "GET", "/decisions", { host: new URL(guarded).host, cookie })).status;

  it("is opened by a token, kept by its hash alone, and ended by logging out", async () => {
    const opened = await logIn(tokens.viewer ?? "", { next: "/decisions?model=films" });
    expect(opened).toMatchObject({ status: 303, headers: { location: "/decisions?model=films" } });
    const cookie = cookieOf(opened);
    expect(cookie).toMatch(/^retrigger_session=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/);
    const own = cookie.split(";")[0] ?? "";
    expect(await statusWith(own)).toBe(200);
    const rows = await world.sql("SELECT row_to_json(s)::text AS row FROM retrigger_sessions s");
    expect(JSON.stringify(rows)).not.toContain(own.split("=")[1]);
    const out = { host: new URL(guarded).host, cookie: own, "sec-fetch-site": "same-origin" };
    expect((await sendRaw(guarded, "POST", "/logout", out)).status).toBe(303);
    expect(await statusWith(own)).toBe(401);
  });

  it.each([
    "//evil.example",
    "/\\evil.example",
    "https://evil.example",
    "javascript:alert(1)",
    "/a\r\nSet-Cookie: x=1",
  ])("never leads to %j", async (next) => {
    expect((await logIn(tokens.viewer ?? "", { next })).headers.location).toBe("/");
  });

  it("ends with its token, when it is idle, and at its limit", async () => {
    const token = await createToken("viewer");
    const own = cookieOf(await logIn(token)).split(";")[0] ?? "";
    expect(await statusWith(own)).toBe(200);
    await database.revokeToken(token.split("_")[1] ?? "");
    expect(await statusWith(own)).toBe(401);
    for (const column of ["last_seen_at", "created_at"]) {
      const other = cookieOf(await logIn(tokens.viewer ?? "")).split(";")[0] ?? "";
      await world.sql(`UPDATE retrigger_sessions SET ${column} = now() - interval '8 days'`);
      expect(await statusWith(other), column).toBe(401);
    }
  });

  it("has a cookie bound to the host under https", async () => {
    const secure = await serve({ PUBLIC_URL: "https://retrigger.example.com" });
    const opened = await sendRaw(
      secure,
      "POST",
      "/login",
      { host: "retrigger.example.com", origin: "https://retrigger.example.com", ...JSON_TYPE },
      JSON.stringify({ token: tokens.viewer }),
    );
    expect(cookieOf(opened)).toMatch(
      /^__Host-retrigger_session=.*; Path=\/; HttpOnly; Secure; SameSite=Strict$/,
    );
    expect(opened.headers["strict-transport-security"]).toBeDefined();
  });

  it("sends a browser without one to the login, and back", async () => {
    const headers = { host: new URL(guarded).host, "sec-fetch-mode": "navigate" };
    const { status, headers: received } = await sendRaw(guarded, "GET", "/decisions?model=a", headers);
    expect({ status, location: received.location }).toEqual({
      status: 302,
      location: "/login?next=%2Fdecisions%3Fmodel%3Da",
    });
  });
});

describe("the audit", () => {
  beforeEach(() => world.sql("TRUNCATE retrigger_audit"));
  const list = () => database.listAudit({ limit: 100, before: null });

  it("has the intent and the result of each change, and refusals", async () => {
    const path = "/queues/api/queues/act/resume";
    // Of one address, a limited number of refusals is recorded in a minute.
    const fresh = await serve();
    const host = new URL(fresh).host;
    await sendRaw(fresh, "PUT", path, { host, ...bearer(tokens.operator ?? "") });
    await sendRaw(fresh, "PUT", path, { host, ...bearer(tokens.viewer ?? "") });
    await sendRaw(fresh, "PUT", path, { host });
    await sendRaw(fresh, "GET", "/decisions", { host, ...bearer(tokens.viewer ?? "") });
    const rows = await until("the results", async () => {
      const found = await list();
      return found.every(({ result }) => result !== null) && found.length === 3 ? found : null;
    });
    const action = "PUT /queues/api/queues/:queueName/resume";
    expect(rows.toReversed()).toEqual([
      {
        id: expect.any(Number) as number,
        at: expect.any(String) as string,
        actor: "a operator",
        role: "operator",
        means: "token",
        address: "127.0.0.1",
        tokenId: tokens.operator?.split("_")[1],
        action,
        target: path,
        result: "done",
        status: 200,
        detail: null,
      },
      expect.objectContaining({ actor: "a viewer", result: "refused", status: 403, detail: "FORBIDDEN" }),
      expect.objectContaining({ actor: "nobody", result: "refused", status: 401, detail: "UNAUTHORIZED" }),
    ]);
  });

  it("refuses a change that cannot be recorded", async () => {
    await world.sql("ALTER TABLE retrigger_audit RENAME TO elsewhere");
    const headers = { host: new URL(guarded).host, ...bearer(tokens.operator ?? "") };
    const { status } = await sendRaw(guarded, "PUT", "/queues/api/queues/act/resume", headers);
    await world.sql("ALTER TABLE elsewhere RENAME TO retrigger_audit");
    expect(status).toBe(503);
  });
});

describe("a local caller", () => {
  it("is an admin on loopback as long as there is no token, from our own pages", async () => {
    const fresh = await createWorld();
    try {
      const app = await fresh.startApp({ role: "web" });
      const address = app.address() ?? "";
      const host = { host: new URL(address).host };
      expect((await sendRaw(address, "GET", "/decisions", host)).status).toBe(200);
      // A page that rebinds DNS to this machine comes under another name.
      expect((await sendRaw(address, "GET", "/metrics", { host: "evil.example" })).status).toBe(401);
      const path = "/queues/api/queues/act/pause";
      expect((await sendRaw(address, "PUT", path, host)).status).toBe(403);
      expect((await sendRaw(address, "PUT", path, { ...host, origin: "https://evil.example" })).status).toBe(
        403,
      );
      expect((await sendRaw(address, "PUT", path, { ...host, origin: address })).status).toBe(200);
      for (const name of ["x-forwarded-for", "x-forwarded-proto", "forwarded", "via", "cf-connecting-ip"])
        expect((await sendRaw(address, "GET", "/decisions", { ...host, [name]: "1.2.3.4" })).status).toBe(
          401,
        );
      const own = createDatabase(fresh.config, createLogger("silent"));
      await own.createToken({ name: "first", role: "viewer", createdBy: "a test", forSeconds: null });
      await own.close();
      const crossSite = { ...host, "sec-fetch-site": "cross-site" };
      expect((await sendRaw(address, "GET", "/metrics", crossSite)).status).toBe(403);
      await until(
        "the token counts",
        async () => (await sendRaw(address, "GET", "/decisions", host)).status === 401,
      );
    } finally {
      await fresh.close();
    }
  });

  it("is not all that a service may listen for beyond loopback", async () => {
    const fresh = await createWorld();
    try {
      const failure = await failureOf(fresh.startApp({ role: "web", host: "0.0.0.0" }));
      expect(failure).toContain("HOST=0.0.0.0 would open the pages to other machines");
      expect(failure).toContain("npx retrigger token create");
      const app = await fresh.startApp({ role: "web", host: "0.0.0.0", adminToken: ADMIN_TOKEN });
      const { port } = new URL(app.address() ?? "");
      const address = `http://127.0.0.1:${port}`;
      const host = { host: `127.0.0.1:${port}` };
      expect((await sendRaw(address, "GET", "/decisions", host)).status).toBe(401);
      expect((await sendRaw(address, "GET", "/decisions", { ...host, ...bearer(ADMIN_TOKEN) })).status).toBe(
        200,
      );
    } finally {
      await fresh.close();
    }
  });
});

describe("an address that tries tokens", () => {
  it("is told to wait, while valid tokens, open doors and other pages stay open", async () => {
    const fresh = await serve();
    const host = { host: new URL(fresh).host };
    const statuses = [];
    for (let index = 0; index < 40; index += 1)
      statuses.push(
        (await sendRaw(fresh, "GET", "/decisions", { ...host, ...bearer(`rt_${index}`) })).status,
      );
    expect(statuses.filter((status) => status === 401)).toHaveLength(30);
    expect(statuses.at(-1)).toBe(429);
    const viewer = bearer(tokens.viewer ?? "");
    expect((await sendRaw(fresh, "GET", "/decisions", { ...host, ...viewer })).status).toBe(200);
    expect((await sendRaw(fresh, "GET", "/healthz", host)).status).toBe(200);
    expect((await sendRaw(fresh, "GET", "/decisions", host)).status).toBe(401);
  });

  it("is not one that sends requests without any, or many valid ones at once", async () => {
    const fresh = await serve();
    const host = { host: new URL(fresh).host };
    for (let index = 0; index < 40; index += 1) await sendRaw(fresh, "POST", "/api/v1/events", host);
    const viewer = bearer(tokens.viewer ?? "");
    const all = await Promise.all(
      Array.from({ length: 60 }, () => sendRaw(fresh, "GET", "/decisions", { ...host, ...viewer })),
    );
    expect(new Set(all.map(({ status }) => status))).toEqual(new Set([200]));
  });
});

describe("credentials that contradict each other", () => {
  it("count in this order: a token, the proxy's user, a session", async () => {
    const host = { host: new URL(proxied).host };
    const login = await sendRaw(
      proxied,
      "POST",
      "/login",
      { ...host, origin: proxied, ...JSON_TYPE },
      JSON.stringify({ token: tokens.admin }),
    );
    const cookie = login.headers["set-cookie"]?.[0]?.split(";")[0] ?? "";
    const status = async (headers: Record<string, string>) =>
      (await sendRaw(proxied, "GET", "/api/v1/tokens", { ...host, ...headers })).status;
    const user = { "x-forwarded-user": "somebody", "x-forwarded-groups": "nothing" };
    expect(await status({ cookie })).toBe(200);
    expect(await status({ cookie, ...user })).toBe(403);
    expect(await status({ cookie, ...user, ...bearer("rt_wrong") })).toBe(401);
    expect(await status({ cookie, "x-forwarded-user": "" })).toBe(200);
    // What was meant for the proxy.
    const admin = { "x-forwarded-user": "somebody", "x-forwarded-groups": "ml-admins" };
    expect(await status({ ...admin, authorization: "Basic YWRtaW46YWRtaW4=" })).toBe(200);
    expect(await status({ ...admin, authorization: "Bearer eyJhbGciOiJub25lIn0.e30." })).toBe(200);
  });
});

describe("Bull Board's router", () => {
  it("does not take a path for another one because it ignores case", async () => {
    const headers = { host: new URL(guarded).host, ...bearer(tokens.operator ?? "") };
    for (const path of ["act/CLEAN/retry", "act/CLEAN/promote", "x/RETRY/clean", "act/Retry/Failed", "PAUSE"])
      expect((await sendRaw(guarded, "PUT", `/queues/api/queues/${path}`, headers)).status, path).toBe(404);
  });
});

describe("a token in the wrong place", () => {
  it("is revoked in full as well as by its id, and its secret is recorded nowhere", async () => {
    const headers = { host: new URL(guarded).host, ...bearer(tokens.admin ?? "") };
    const leaked = await createToken("viewer");
    expect((await sendRaw(guarded, "DELETE", `/api/v1/tokens/${leaked}`, headers)).status).toBe(204);
    const [, , secret = ""] = /^(rt_[a-z0-9]+_)(.*)$/.exec(leaked) ?? [];
    const another = await createToken("viewer");
    const bare = another.slice("rt_".length);
    expect((await sendRaw(guarded, "DELETE", `/api/v1/tokens/${bare}`, headers)).status).toBe(204);
    expect(
      (await sendRaw(guarded, "GET", `/decisions`, { host: headers.host, ...bearer(leaked) })).status,
    ).toBe(401);
    expect((await sendRaw(guarded, "PUT", `/queues/api/queues/${leaked}/pause`, headers)).status).not.toBe(
      200,
    );
    expect(JSON.stringify(await database.listAudit({ limit: 100, before: null }))).not.toMatch(
      new RegExp(`${secret}|${bare.slice("0123456789_".length)}`),
    );
  });
});

import { describe, expect, it } from "vitest";
import { connectionOptions, isLocal, listHosts } from "../../src/postgres/connection.ts";
import { databaseAddress } from "../../src/postgres/explain-error.ts";
import { postgresUrl } from "../../src/settings/schemas.ts";

describe("a host", () => {
  it.each([
    "localhost",
    "db.localhost",
    "127.0.0.1",
    "127.8.0.1",
    "::1",
    "/var/run/postgresql",
    "postgres",
    "nas.local",
    "host.docker.internal",
    "postgres.retrigger.svc",
    "postgres.retrigger.svc.cluster.local",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.1.1",
    "fd00::1",
    "fe80::1",
  ])("is local: %s", (host) => {
    expect(isLocal(host)).toBe(true);
  });

  it.each([
    "db.example.com",
    "ep-x.eu-central-1.aws.neon.tech",
    "local.example.com",
    "svc.example",
    "8.8.8.8",
    "172.32.0.1",
    "192.169.0.1",
    "2001:db8::1",
    "11.0.0.1",
  ])("is elsewhere: %s", (host) => {
    expect(isLocal(host)).toBe(false);
  });
});

describe("TLS", () => {
  const sslOf = (url: string) => connectionOptions(url).ssl;

  it("is verified for a host elsewhere, and only there", () => {
    expect(sslOf("postgres://u:p@db.example.com/db")).toBe(true);
    expect(sslOf("postgres://u:p@postgres:5432/db")).toBeUndefined();
    expect(sslOf("postgres://u:p@postgres,db.example.com/db")).toBe(true);
    expect(sslOf("postgres://u:p@x/db?host=/var/run/postgresql")).toBeUndefined();
  });

  it.each(["sslmode=", "sslmode=requir", "sslnegotiation=postgres", "ssl="])(
    "is verified if the connection string says nothing that pg understands: %s",
    (parameter) => {
      expect(sslOf(`postgres://u:p@db.example.com/db?${parameter}`)).toBe(true);
      expect(sslOf("postgres://u:p@134744072/db")).toBe(true);
    },
  );

  it.each(["sslmode=disable", "sslmode=no-verify", "sslmode=require", "sslrootcert=ca.pem", "ssl=0"])(
    "is left to the connection string that has %s",
    (parameter) => {
      expect(sslOf(`postgres://u:p@db.example.com/db?${parameter}`)).toBeUndefined();
    },
  );

  it.each(["prefer", "require", "verify-ca"])("is verified with sslmode=%s, without a warning", (mode) => {
    const { connectionString } = connectionOptions(`postgres://u:p@db.example.com/db?sslmode=${mode}`);
    expect(connectionString).toContain("sslmode=verify-full");
    const compatible = `postgres://u:p@db.example.com/db?sslmode=${mode}&uselibpqcompat=true`;
    expect(connectionOptions(compatible).connectionString).toBe(compatible);
  });
});

describe("several hosts", () => {
  it.each([
    ["postgres://u:p%40@a:1,b:2/db?target_session_attrs=read-write", "a:1,b:2/db"],
    ["postgres://a,b/db", "a:5432,b:5432/db"],
    ["postgres://[::1]:5,b/db", "::1:5,b:5432/db"],
    ["postgres://u@a/db?host=b,c&port=7", "b:7,c:7/db"],
    ["postgres://a:1/db", "a:1/db"],
    ["postgres://a:1/db?host=&port=", "a:1/db"],
  ])("are read from %s", (text, address) => {
    const url = postgresUrl.parse(text);
    expect(databaseAddress(url)).toBe(address);
    expect(URL.canParse(url)).toBe(true);
    expect(listHosts(url)).toHaveLength(address.split(",").length);
  });

  it("keep the login", () => {
    const { username, password } = new URL(postgresUrl.parse("postgres://u:p%40,x@a:1,b:2/db"));
    expect([username, password]).toEqual(["u", "p%40,x"]);
  });

  it("cannot be chosen by an attribute that is not supported", () => {
    const { error } = postgresUrl.safeParse("postgres://a,b/db?target_session_attrs=prefer-standby");
    expect(error?.issues[0]?.message).toContain("any, read-write or primary");
  });
});

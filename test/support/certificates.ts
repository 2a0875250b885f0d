import { execFile } from "node:child_process";
import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { chooseRootDrop, handOver } from "../../src/embedded/server-process.ts";
import { findProgram } from "../../src/process/find-program.ts";

export const OPENSSL = findProgram(["openssl"]);

const run = promisify(execFile);

/** Makes a certificate for `localhost`, signed by an authority of its own. Returns the settings of a Postgres that uses it. */
export async function makeCertificate(directory: string): Promise<{ settings: string[]; authority: string }> {
  if (OPENSSL === undefined)
    throw new Error("openssl is not on the PATH. Install it with: apt-get install openssl");
  const folder = join(directory, "tls");
  await mkdir(folder);
  const [authority, authorityKey, request, certificate, key] = [
    "ca.pem",
    "ca.key",
    "server.csr",
    "server.pem",
    "server.key",
  ];
  const openssl = (...args: string[]) => run(OPENSSL ?? "", args, { cwd: folder });
  const fresh = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  await openssl(
    "req",
    "-x509",
    ...fresh,
    "-days",
    "2",
    "-subj",
    "/CN=Test authority",
    "-keyout",
    authorityKey,
    "-out",
    authority,
  );
  await openssl(
    "req",
    ...fresh,
    "-subj",
    "/CN=localhost",
    "-addext",
    "subjectAltName=DNS:localhost",
    "-keyout",
    key,
    "-out",
    request,
  );
  await openssl(
    "x509",
    "-req",
    "-days",
    "2",
    "-copy_extensions",
    "copy",
    "-in",
    request,
    "-CA",
    authority,
    "-CAkey",
    authorityKey,
    "-CAcreateserial",
    "-out",
    certificate,
  );
  await chmod(join(folder, key), 0o600);
  await handOver(join(folder, key), chooseRootDrop([folder]));
  return {
    settings: ["ssl=on", `ssl_cert_file=${join(folder, certificate)}`, `ssl_key_file=${join(folder, key)}`],
    authority: join(folder, authority),
  };
}

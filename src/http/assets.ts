import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const DIRECTORY = fileURLToPath(new URL("assets", import.meta.url));

/** The files that pages load, each with its media type. */
export const ASSETS = {
  "style.css": "text/css",
  "live.js": "text/javascript",
  "frame.css": "text/css",
} as const;
type Asset = keyof typeof ASSETS;

const known = new Map<string, Buffer>();

export function readAsset(name: Asset): Buffer {
  const content = known.get(name) ?? readFileSync(join(DIRECTORY, name));
  known.set(name, content);
  return content;
}

const addresses = new Map<string, string>();

/** The address of a file, which changes with its content, so that a browser may keep it. */
export function addressOf(name: Asset): string {
  const hash = (): string => createHash("sha256").update(readAsset(name)).digest("hex").slice(0, 12);
  const address = addresses.get(name) ?? `/assets/${name}?v=${hash()}`;
  addresses.set(name, address);
  return address;
}

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

/** The address of a file, which changes with its content, so that a browser may keep it. */
export function addressOf(name: Asset): string {
  const hash = createHash("sha256").update(readAsset(name)).digest("hex").slice(0, 12);
  return `/assets/${name}?v=${hash}`;
}

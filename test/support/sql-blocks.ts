import { readFile } from "node:fs/promises";

/** The SQL examples of a section of a documentation page, in its order. @param heading Such as `### Roles`. */
export async function readSqlBlocks(page: string, heading: string): Promise<string[]> {
  const text = await readFile(page, "utf8");
  const start = text.indexOf(`\n${heading}\n`);
  if (start === -1) throw new Error(`${page} has no heading "${heading}"`);
  const end = text.slice(start + 2).search(/\n#{2,} /);
  const section = end === -1 ? text.slice(start) : text.slice(start, start + 2 + end);
  return [...section.matchAll(/^```sql\n(.*?)^```$/gms)].map(([, sql = ""]) => sql);
}

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Ajv2020 } from "ajv/dist/2020.js";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
/** RFC 3339, with a zone. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;

/** Returns what is wrong with a run event by the schemas of the OpenLineage project. */
export function createLineageJudge(): (event: object) => string[] {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  ajv.addFormat("uuid", UUID);
  ajv.addFormat("date-time", TIME);
  ajv.addFormat("uri", (text) => URL.canParse(text));
  const read = (name: string): object =>
    JSON.parse(
      readFileSync(fileURLToPath(new URL(`../fixtures/openlineage/${name}`, import.meta.url)), "utf8"),
    ) as object;
  const isEvent = ajv.compile(read("OpenLineage.json"));
  const isParent = ajv.compile(read("ParentRunFacet.json"));
  return (event) => {
    const { parent } = (event as { run: { facets: { parent?: object } } }).run.facets;
    isEvent(event);
    if (parent !== undefined) isParent({ parent });
    const errors = [...(isEvent.errors ?? []), ...((parent && isParent.errors) ?? [])];
    return errors.map(({ instancePath, message }) => `${instancePath} ${message}`);
  };
}

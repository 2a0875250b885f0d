import type { ObservedDecision } from "../faults/auditor.ts";

/** Reads every decision through the API and as a page. Returns what could not be read. */
export async function readEverything(
  address: string,
  decisions: readonly Pick<ObservedDecision, "id">[],
): Promise<string[]> {
  const faults: string[] = [];
  for (const { id } of decisions)
    for (const path of [`/api/v1/decisions/${id}`, `/decisions/${id}`]) {
      const response = await fetch(address + path);
      if (response.status !== 200) faults.push(`${path}: ${response.status} ${await response.text()}`);
    }
  return faults;
}

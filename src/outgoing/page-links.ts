/** The pages of this service that messages link to. @param publicUrl Where people reach it; without one there is no link. */
export function pageOf(
  publicUrl: string | undefined,
  { model, decisionId }: { model: string; decisionId: number | null },
): string | null {
  if (publicUrl === undefined) return null;
  const path = decisionId === null ? `/models/${encodeURIComponent(model)}` : `/decisions/${decisionId}`;
  return publicUrl.replace(/\/$/, "") + path;
}

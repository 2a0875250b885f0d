/**
 * Where Bull Board shows a queue, or one job of it: at the public URL, else on this machine, as far as the settings say.
 */
export function boardOf(
  {
    publicUrl,
    host = "localhost",
    port = 3000,
  }: { publicUrl: string | undefined; host?: string; port?: number },
  queue: string,
  jobId?: string,
): string {
  const name = ["0.0.0.0", "::"].includes(host) ? "localhost" : host;
  const origin = publicUrl?.replace(/\/$/, "") ?? `http://${name.includes(":") ? `[${name}]` : name}:${port}`;
  return `${origin}/queues/queue/${queue}${jobId === undefined ? "" : `/${encodeURIComponent(jobId)}`}`;
}

/** The pages of this service that messages link to. @param publicUrl Where people reach it; without one there is no link. */
export function pageOf(
  publicUrl: string | undefined,
  { model, decisionId }: { model: string; decisionId: number | null },
): string | null {
  if (publicUrl === undefined) return null;
  const path = decisionId === null ? `/models/${encodeURIComponent(model)}` : `/decisions/${decisionId}`;
  return publicUrl.replace(/\/$/, "") + path;
}

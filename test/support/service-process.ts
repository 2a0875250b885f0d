import { collectLogLines, spawnScript } from "./process.ts";
import { until, type World } from "./world.ts";

/** Starts the service in a separate process and collects its log. */
export function startService({ settings }: Pick<World, "settings">, changes: Record<string, string> = {}) {
  const child = spawnScript("src/main.ts", [], { ...settings, LOG_LEVEL: "info", ...changes });
  const lines = collectLogLines(child.stdout);
  const untilLogged = (message: string) =>
    until(`"${message}" is logged`, async () => lines.find(({ msg }) => msg.includes(message)));
  return {
    child,
    lines,
    untilLogged,
    async untilReady() {
      const { address } = await untilLogged("Retrigger is ready");
      const get = async (path: string, method = "GET") => {
        const response = await fetch(String(address) + path, { method });
        const body = await response.text();
        return { status: response.status, body };
      };
      const readiness = async () => {
        const { status, body } = await get("/readyz");
        return { status, body: JSON.parse(body) as object };
      };
      return { get, readiness };
    },
    warnings: () => lines.filter(({ level }) => level >= 40).map(({ msg }) => msg),
    infos: (part: string) => lines.filter(({ level, msg }) => level === 30 && msg.includes(part)).length,
  };
}

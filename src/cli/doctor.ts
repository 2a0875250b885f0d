import { Command } from "commander";
import { parseConfig } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { createLogger } from "../process/logger.ts";
import { diagnose } from "../use-cases/doctor/doctor.ts";
import { print, printNotes } from "./output.ts";

const ICONS = { ok: "✅", warning: "⚠️ ", fault: "❌" } as const;

/** `retrigger doctor` */
export function createDoctor(): Command {
  return new Command("doctor")
    .description("check servers, tables, migrations, policies, schedules and trainer, and suggest fixes")
    .action(async () => {
      const config = parseConfig(loadEnvironment());
      printNotes(config);
      const findings = await diagnose(config, createLogger("silent"));
      for (const { level, text, remedy } of findings) {
        print(`${ICONS[level]} ${text}`);
        if (remedy) print(`   → ${remedy}`);
      }
      if (findings.some(({ level }) => level === "fault")) process.exitCode = 1;
    });
}

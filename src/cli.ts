import { Command } from "commander";
import { COMMANDS } from "./cli/commands.ts";
import { printNote } from "./cli/output.ts";
import { messageOf } from "./core/errors.ts";
import { escapeControls } from "./process/terminal.ts";

// A reader that has seen enough, such as head, is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

/** The command line: `npx retrigger`. */
const program = new Command("retrigger")
  .description(
    "Decides when a machine-learning model is retrained. Settings come from the environment, .env and the YAML file that RETRIGGER_CONFIG names.",
  )
  .configureOutput({ writeErr: (text) => void process.stderr.write(escapeControls(text)) })
  .showHelpAfterError("(see --help)");
for (const create of COMMANDS) {
  const command = create().copyInheritedSettings(program);
  for (const subcommand of command.commands) subcommand.copyInheritedSettings(command);
  program.addCommand(command);
}

await program.parseAsync().catch((error: unknown) => {
  printNote(messageOf(error));
  process.exitCode = 1;
});

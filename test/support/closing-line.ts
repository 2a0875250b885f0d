import type { Reporter, TestModule } from "vitest/node";
import { CHROMIUM } from "./chromium.ts";

const NO_BROWSER =
  "The tests of the pages were skipped: they need Chromium or Chrome. Install it (apt-get install chromium), or set CHROMIUM to its path";

/** Ends the output with one plain line, "N passed, N failed, N skipped", for programs that read it. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const count = (state: string): number => tests.filter((test) => test.result().state === state).length;
    // After the other reporters' summaries.
    setImmediate(() => {
      if (CHROMIUM === undefined) console.log(NO_BROWSER);
      console.log(`${count("passed")} passed, ${count("failed")} failed, ${count("skipped")} skipped`);
    });
  }
}

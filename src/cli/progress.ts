/** Shows how far a long piece of work is, on one line of a terminal, once it has taken a second. */
export interface Progress {
  /** @param share From 0 to 1. @param detail What has been done, such as "1,000 of 5,000 rows". */
  show(share: number, detail?: string): void;
  /** Removes the line. */
  end(): void;
}

const DELAY_MS = 1_000;
const WIDTH = 30;
const ERASE = "\r\u001B[K";

/** @param what The work: "Replaying". */
export function createProgress(what: string): Progress {
  const { stderr } = process;
  const startedAt = performance.now();
  let shown = "";
  return {
    show(share, detail = "") {
      if (!stderr.isTTY || performance.now() - startedAt < DELAY_MS) return;
      const bar = "#".repeat(Math.floor(share * WIDTH)).padEnd(WIDTH, ".");
      const line = `${what} [${bar}] ${Math.floor(share * 100)} %  ${detail}`.trimEnd();
      if (line === shown) return;
      shown = line;
      stderr.write(`${ERASE}${line}`);
    },
    end() {
      if (shown !== "") stderr.write(ERASE);
      shown = "";
    },
  };
}

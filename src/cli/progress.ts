/** Shows how far a long piece of work is, on a terminal, once it has taken a second. */
export interface Progress {
  /** @param share From 0 to 1. */
  show(share: number): void;
  /** Removes the bar. */
  end(): void;
}

const DELAY_MS = 1_000;
const WIDTH = 40;

export function createProgress(what: string): Progress {
  const startedAt = performance.now();
  let shown = -1;
  return {
    show(share) {
      if (!process.stderr.isTTY || performance.now() - startedAt < DELAY_MS) return;
      const percent = Math.floor(share * 100);
      if (percent === shown) return;
      shown = percent;
      const full = Math.round(share * WIDTH);
      process.stderr.write(
        `\r${what} [${"#".repeat(full)}${".".repeat(WIDTH - full)}] ${String(percent).padStart(3)} %`,
      );
    },
    end() {
      if (shown >= 0) process.stderr.write("\r\u001b[K");
    },
  };
}

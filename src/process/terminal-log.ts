import { styleText } from "node:util";
import { escapeControls } from "./terminal.ts";

const LEVELS: Readonly<Record<number, { label: string; color: "gray" | "green" | "yellow" | "red" }>> = {
  10: { label: "TRACE", color: "gray" },
  20: { label: "DEBUG", color: "gray" },
  30: { label: "INFO ", color: "green" },
  40: { label: "WARN ", color: "yellow" },
  50: { label: "ERROR", color: "red" },
  60: { label: "FATAL", color: "red" },
};

/** "10:14:37 INFO  ": later lines of one entry begin beneath its message. */
const INDENT = " ".repeat(15);

/**
 * Renders a line of the JSON log for people: time, level, message, then the fields as name=value, wrapped to the width of the
 * terminal. Objects are left out, because they are for programs; of an error, the stack follows.
 *
 * @param isColored Whether to use colors; texts from outside cannot.
 */
export function renderForTerminal(line: string, width: number, isColored: boolean): string {
  const { level, time, msg, err, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const paint = (color: Parameters<typeof styleText>[0], text: string): string =>
    isColored ? styleText(color, text, { validateStream: false }) : text;
  const { label, color } = LEVELS[Number(level)] ?? { label: "     ", color: "gray" };
  const words = [
    ...toText(msg).split(" "),
    ...Object.entries(fields).flatMap(([name, value]) => {
      const text = toText(value);
      return text === "" ? [] : [`${escapeControls(name)}=${text}`];
    }),
  ];
  const head = `${formatTime(toText(time))} ${paint(color, label)} `;
  return [`${head}${wrap(words, width)}`, ...listErrorLines(err).map((text) => INDENT + paint("gray", text))]
    .join("\n")
    .concat("\n");
}

/** The local time of the clock, without the date. */
function formatTime(iso: string): string {
  const at = new Date(iso);
  return Number.isNaN(at.getTime()) ? "--:--:--" : at.toTimeString().slice(0, 8);
}

/** A value as text without control characters; empty for an object, and for what is absent. */
function toText(value: unknown): string {
  if (value === undefined || value === null) return "";
  if (Array.isArray(value)) return value.map(toText).join(",");
  if (typeof value === "string") return escapeControls(value);
  return typeof value === "number" || typeof value === "boolean" ? String(value) : "";
}

/** A line break of a text starts a line, too, but never at the left edge: it must not look like another entry. */
function wrap(words: readonly string[], width: number): string {
  let text = "";
  let column = INDENT.length;
  for (const [index, word] of words.entries()) {
    const [first = "", ...rest] = word.split("\n");
    const isFull = index > 0 && column + 1 + first.length > width;
    const gap = index === 0 ? "" : isFull ? `\n${INDENT}` : " ";
    text += gap + first;
    column = (isFull ? INDENT.length : column + gap.length) + first.length;
    for (const part of rest) {
      text += `\n${INDENT}${part}`;
      column = INDENT.length + part.length;
    }
  }
  return text;
}

function listErrorLines(err: unknown): string[] {
  const { stack, message } = (typeof err === "object" && err !== null ? err : { message: err }) as {
    stack?: unknown;
    message?: unknown;
  };
  const text = toText(stack ?? message);
  return text === "" ? [] : text.split("\n").map((each) => each.trimEnd());
}

import { InvalidArgumentError, Option } from "commander";
import { duration } from "../core/duration.ts";
import { PointInTime } from "../core/point-in-time.ts";
import { escapeControls } from "../process/terminal.ts";

/** Prints a line of output. */
export const print = (line: string): void => console.log(escapeControls(line));

/** Prints a message to stderr, separate from the output. */
export const printNote = (line: string): void => console.error(escapeControls(line));

/** Prints what the user should know about the settings although nothing is wrong. */
export function printNotes({ notes }: { notes: readonly string[] }): void {
  for (const note of notes) printNote(note);
}

export const modelOption = (): Option => new Option("-m, --model <name>", "the model").default("default");

/** Parses a whole number. @throws InvalidArgumentError, which commander reports. */
export function parseBetween(min: number, max: number) {
  return (text: string): number => {
    const number = Number(text);
    if (Number.isInteger(number) && number >= min && number <= max) return number;
    throw new InvalidArgumentError(`Must be a whole number from ${min} to ${max}.`);
  };
}

/** Parses a duration such as 3d. @throws InvalidArgumentError, which commander reports. */
export function parseDuration(text: string): string {
  const parsed = duration().safeParse(text);
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError("Must be a duration such as 3d, 12h or 30m.");
}

/** Parses a line of text. @throws InvalidArgumentError, which commander reports. */
export function parseText(text: string): string {
  const trimmed = text.trim();
  if (trimmed !== "" && trimmed.length <= 500 && !/[\p{Cc}\p{Cs}]/u.test(trimmed)) return trimmed;
  throw new InvalidArgumentError("Must be 1 to 500 characters on one line.");
}

/** Parses an age, a date or a time; returns the text. @throws InvalidArgumentError, which commander reports. */
export function parsePointInTime(text: string): string {
  if (PointInTime.safeParse(text).success) return text;
  throw new InvalidArgumentError(
    "Must be an age such as 90d, a date such as 2026-01-01 or a time such as 2026-01-01T06:00:00Z.",
  );
}

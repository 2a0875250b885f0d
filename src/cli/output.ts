import { InvalidArgumentError, Option } from "commander";

/** Prints a line of output. */
export const print = (line: string): void => console.log(line);

/** Prints a message to stderr, separate from the output. */
export const printNote = (line: string): void => console.error(line);

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

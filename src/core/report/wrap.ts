const WIDTH = 80;

/**
 * Breaks a line so that it fits a terminal of 80 columns; continuations are indented by two more than the line. A longer word
 * stays whole.
 */
export function wrapLine(line: string): string[] {
  const indent = " ".repeat(line.length - line.trimStart().length + 2);
  const lines: string[] = [];
  let current = "";
  // Each word with the blanks before it, because columns are separated by several.
  for (const word of line.split(/(?<=\S)(?= )/)) {
    if (current === "" || current.length + word.length <= WIDTH) current += word;
    else {
      lines.push(current);
      current = indent + word.trimStart();
    }
  }
  return [...lines, current];
}

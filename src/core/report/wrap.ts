const WIDTH = 80;

/** Breaks a line so that it fits a terminal of 80 columns; what follows is indented. A longer word stays whole. */
export function wrapLine(line: string, indent: string): string[] {
  const lines: string[] = [];
  let current = "";
  for (const word of line.split(/(?<=\S) +/)) {
    const longer = current === "" ? word : `${current} ${word}`;
    if (longer.length <= WIDTH || current === "") current = longer;
    else {
      lines.push(current);
      current = indent + word;
    }
  }
  return [...lines, current];
}

/** One sample of a scrape. */
interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

/** What a scrape returned. */
export interface Scrape {
  /** The value of the only sample with this name and these labels; undefined if there is none. */
  value(name: string, labels?: Record<string, string>): number | undefined;
  /** The samples with this name. */
  list(name: string): Sample[];
  text: string;
}

/** Parses the text format of Prometheus, and throws if a line is malformed or a sample occurs twice. */
export function parseScrape(text: string): Scrape {
  const samples = text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map(parseSample);
  const keys = new Set(samples.map(({ name, labels }) => JSON.stringify([name, labels])));
  if (keys.size !== samples.length) throw new Error("A sample occurs twice");
  const list = (name: string): Sample[] => samples.filter((sample) => sample.name === name);
  return {
    text,
    list,
    value(name, wanted = {}) {
      const found = list(name).filter(({ labels }) =>
        Object.entries(wanted).every(([label, value]) => labels[label] === value),
      );
      if (found.length > 1)
        throw new Error(`${found.length} samples of ${name} have ${JSON.stringify(wanted)}`);
      return found[0]?.value;
    },
  };
}

const LABEL = String.raw`[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*"`;
const SAMPLE = new RegExp(String.raw`^([a-zA-Z_:][\w:]*)(?:\{(${LABEL}(?:,${LABEL})*)?\})? (\S+)$`);

function parseSample(line: string): Sample {
  const [, name, labels = "", value = ""] = SAMPLE.exec(line) ?? [];
  if (name === undefined || !/^(-?[\d.]+(e[+-]?\d+)?|\+Inf|Nan)$/.test(value))
    throw new Error(`Malformed sample: ${line}`);
  const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)];
  return {
    name,
    labels: Object.fromEntries(pairs.map(([, label, text = ""]) => [label, unescape(text)])),
    value: Number(value),
  };
}

function unescape(text: string): string {
  return text.replaceAll(/\\(.)/g, (_, character: string) => (character === "n" ? "\n" : character));
}

/** Scrapes a server. */
export async function scrape(address: string, headers: Record<string, string> = {}): Promise<Scrape> {
  const response = await fetch(`${address}/metrics`, { headers });
  if (!response.ok) throw new Error(`/metrics returned ${response.status}: ${await response.text()}`);
  return parseScrape(await response.text());
}

import type { Tone } from "../../core/standing.ts";

const FILLS: Readonly<Record<Tone, string>> = {
  bad: "#c8102e",
  act: "#b35900",
  busy: "#0b62c4",
  good: "#1a7f4b",
  wait: "#6b4fbb",
  calm: "#5b6675",
};

/** The icon of a page, whose colour and sign carry its state. */
export function renderIcon(tone: Tone): string {
  const sign = {
    bad: `<path d="M16 8v10m0 5v.5" stroke="#fff" stroke-width="4" stroke-linecap="round"/>`,
    act: `<path d="M11 12a5 5 0 1 1 6.500 4.800c-1.300.5-1.500 1.200-1.500 2.700m0 4.500v.5" stroke="#fff" stroke-width="3.500" fill="none" stroke-linecap="round"/>`,
    busy: `<circle cx="16" cy="16" r="7" fill="none" stroke="#fff" stroke-width="3.500" stroke-dasharray="30 14"/>`,
    good: `<path d="M9 16.500l5 5 9-10" stroke="#fff" stroke-width="4" fill="none" stroke-linecap="round" stroke-linejoin="round"/>`,
    wait: `<path d="M12 10v12m8-12v12" stroke="#fff" stroke-width="4" stroke-linecap="round"/>`,
    calm: `<circle cx="16" cy="16" r="5" fill="#fff"/>`,
  }[tone];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="${FILLS[tone]}"/>${sign}</svg>`;
}

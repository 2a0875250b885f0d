import { formatCount, formatRatio } from "../../core/format.ts";

/** How much of what is required is there, as a bar and in figures. */
export function Bar({
  actual,
  required,
  unit = "",
  isMet = actual >= required,
}: {
  actual: number;
  required: number;
  unit?: string | undefined;
  isMet?: boolean;
}) {
  const share = required <= 0 ? 1 : Math.max(0, Math.min(1, actual / required));
  return (
    <span class="measure">
      <Track share={share} isMet={isMet} />
      <span class="figures">{`${figure(actual)}${unit === "" ? "" : ` ${unit}`}, ${figure(required)} required`}</span>
    </span>
  );
}

/** A share from 0 to 1 as a bar. The figures beside it say the same. */
export function Track({ share, isMet }: { share: number; isMet: boolean }) {
  return (
    <svg
      class={`bar ${isMet ? "met" : ""}`}
      viewBox="0 0 100 6"
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      <rect class="track" width="100" height="6" />
      <rect width={(share * 100).toFixed(2)} height="6" />
    </svg>
  );
}

function figure(value: number): string {
  return Number.isInteger(value) ? formatCount(value) : formatRatio(value);
}

import type { ComponentChildren } from "preact";

/** A column: its name, and whether it holds figures. */
export type Column = string | { label: string; isNumber: true };

/** A table that scrolls within its own width. With `cards`, each row is a card of its own on a narrow screen. */
export function Table({
  label,
  columns,
  cards = false,
  children,
}: {
  label: string;
  columns: readonly Column[];
  cards?: boolean;
  children: ComponentChildren;
}) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={label}>
      <table class={cards ? "cards" : undefined}>
        <thead>
          <tr>
            {columns.map((column) =>
              typeof column === "string" ? (
                <th scope="col">{column}</th>
              ) : (
                <th scope="col" class="number">
                  {column.label}
                </th>
              ),
            )}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

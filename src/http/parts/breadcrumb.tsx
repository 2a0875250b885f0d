/** The way to a page, from the outermost. */
export function Breadcrumb({ links }: { links: readonly (readonly [label: string, path: string])[] }) {
  return (
    <p class="soft">
      {links.map(([label, path]) => (
        <>
          <a href={path}>{label}</a> /{" "}
        </>
      ))}
    </p>
  );
}

import type { Role } from "../../core/access.ts";

/** Who may pass: everybody, callers whose signature the route itself checks, or callers with a role. */
export type DoorRole = "open" | "signed" | Role;

/** One line of the table of everything that the server answers. */
export interface Door {
  /** In capitals. GET also serves HEAD. */
  method: string;
  /** Segments; `:name` stands for one that is not empty, and a final `*` for one or more. */
  path: string;
  role: DoorRole;
  /** Whether it takes an HTML form instead of JSON. */
  takesForm?: true;
  /**
   * Whether it also opens under a name that is not ours: probes and Prometheus address each process by its own IP. Then only a
   * token admits, which a page that rebinds DNS to us cannot know; what is open to everybody stays so.
   */
  anyHost?: true;
  /**
   * What no placeholder may stand for, in small letters: the router behind the door reads these words in any case, and would
   * take the path for another one.
   */
  reserved?: ReadonlySet<string>;
}

/** Finds the door of a request. `allowed` lists the methods of the path; none if there is no such path. */
export interface DoorTable {
  find(method: string, path: string): { door: Door | null; allowed: string[] };
}

/** Compiles the table. A path of fixed segments wins over one with a placeholder in the same position. */
export function createDoorTable(doors: readonly Door[]): DoorTable {
  const parsed = doors
    .map((door) => ({ door, segments: door.path.split("/") }))
    .toSorted((a, b) => countPlaceholders(a.segments) - countPlaceholders(b.segments));
  return {
    find(method, path) {
      const segments = path.split("/");
      const found = parsed.filter(({ door, segments: own }) => matches(own, segments, door.reserved));
      const wanted = method === "HEAD" ? "GET" : method;
      // The most exact path decides, whatever its methods are.
      const best = found.filter(({ door }) => door.path === found[0]?.door.path);
      const door = best.find((entry) => entry.door.method === wanted)?.door ?? null;
      const methods = best.map((entry) => entry.door.method);
      return {
        door,
        allowed: methods.includes("GET") ? ["HEAD", ...methods].toSorted() : methods.toSorted(),
      };
    },
  };
}

const NONE: ReadonlySet<string> = new Set();

function countPlaceholders(segments: readonly string[]): number {
  return segments.filter((segment) => segment.startsWith(":")).length + (segments.at(-1) === "*" ? 100 : 0);
}

function matches(
  pattern: readonly string[],
  segments: readonly string[],
  reserved: ReadonlySet<string> = NONE,
): boolean {
  const isOpenEnded = pattern.at(-1) === "*";
  if (isOpenEnded ? segments.length < pattern.length : segments.length !== pattern.length) return false;
  return pattern.every((part, index) => {
    const segment = segments[index];
    if (part === "*" || part.startsWith(":"))
      return segment !== undefined && segment !== "" && !reserved.has(segment.toLowerCase());
    return part === segment;
  });
}

/**
 * Whether a path has one spelling only: no empty, `.` or `..` segment, no backslash, and no escape of a character that needs
 * none, of a slash or of a control character. A proxy in front may read any other spelling as another path.
 */
export function isNormal(path: string): boolean {
  if (!path.startsWith("/") || /[\\;]/.test(path)) return false;
  // A final slash makes another path, for which there may be a door.
  const segments = path.split("/").slice(1);
  if (segments.slice(0, -1).includes("") || segments.some((segment) => [".", ".."].includes(segment)))
    return false;
  for (const [, hex = ""] of path.matchAll(/%(..?)?/g)) {
    if (!/^[0-9A-F]{2}$/i.test(hex)) return false;
    const code = Number.parseInt(hex, 16);
    if (code < 0x20 || code === 0x7f || /[/\\A-Za-z0-9._~-]/.test(String.fromCharCode(code))) return false;
  }
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
}

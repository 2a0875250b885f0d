import { renderBare } from "./layout.tsx";

export interface LoginForm {
  /** Where to go then: a path of ours. */
  next: string;
  fault: string | null;
}

/** Takes a token, which starts a session. */
export function renderLogin({ next, fault }: LoginForm): string {
  return renderBare({
    title: "Log in",
    tone: fault === null ? "calm" : "bad",
    children: (
      <>
        <h1>Log in</h1>
        {fault !== null && (
          <p class="notice" role="alert">
            {fault}
          </p>
        )}
        <form method="post" action="/login" class="filter">
          <input type="hidden" name="next" value={next} />
          <label>
            Token{" "}
            <input
              name="token"
              type="password"
              required
              autofocus
              autocomplete="current-password"
              placeholder="rt_…"
              size={34}
            />
          </label>
          <button class="main">Log in</button>
        </form>
        <p class="soft">
          No token? An admin makes one: <code>npx retrigger token create --role viewer --name NAME</code>
        </p>
      </>
    ),
  });
}

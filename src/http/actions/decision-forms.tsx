import type { DispatchState } from "../../core/dispatch/dispatch.ts";
import { decisionPath } from "../parts/links.tsx";
import { ReasonField } from "./fields.tsx";

/** Approve or reject the training that a decision awaits. */
export function ApprovalForms({ id }: { id: number }) {
  return (
    <>
      <details class="action">
        <summary>Approve</summary>
        <p>
          The evidence is gathered again. If the policy still holds, the training is requested. Your name and
          reason are recorded.
        </p>
        <form method="post" action={`${decisionPath(id)}/approve`}>
          <ReasonField />
          <button class="main">{`Approve decision #${id}`}</button>
        </form>
      </details>
      <details class="action">
        <summary>Reject</summary>
        <p>
          No training is requested now. If the policy still holds later, another decision requests an approval
          again.
        </p>
        <form method="post" action={`${decisionPath(id)}/reject`}>
          <ReasonField />
          <button class="main">{`Reject decision #${id}`}</button>
        </form>
      </details>
    </>
  );
}

/** What an operator may do about a dispatch that does not go on by itself; nothing for any other. */
export function DispatchForms({ id, trainer, state }: { id: number; trainer: string; state: DispatchState }) {
  if (state === "rejected")
    return (
      <details class="action">
        <summary>Retry the request</summary>
        <p>{`${trainer} refused the request, so no training runs. It is sent once more: fix the cause first.`}</p>
        <form method="post" action={`${decisionPath(id)}/retry`}>
          <button class="main">Retry the request</button>
        </form>
      </details>
    );
  if (state !== "unknown") return null;
  return (
    <>
      <details class="action">
        <summary>It started: confirm</summary>
        <p>{`Name the training that ${trainer} runs for this request: its number or its address. It is then followed to its end.`}</p>
        <form method="post" action={`${decisionPath(id)}/confirm`}>
          <label>
            Training <input name="training" required maxLength={500} size={32} autocomplete="off" />
          </label>
          <button class="main">Confirm the training</button>
        </form>
      </details>
      <details class="action">
        <summary>It did not start: resend</summary>
        <p>{`The request is sent again. If a training did start after all, a second one begins: look at ${trainer} first.`}</p>
        <form method="post" action={`${decisionPath(id)}/resend`}>
          <button class="main">Resend the request</button>
        </form>
      </details>
    </>
  );
}

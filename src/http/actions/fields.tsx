/** Why somebody intervenes: one line, which is recorded. */
export function ReasonField() {
  return (
    <label>
      Reason <input name="reason" required maxLength={500} size={32} autocomplete="off" />
    </label>
  );
}

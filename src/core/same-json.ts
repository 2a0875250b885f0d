/** Whether two values have the same JSON form, whatever the order of their keys: an undefined field is a missing one. */
export function isSameJson(one: unknown, other: unknown): boolean {
  // 0 and -0 are the same number in JSON.
  if (one === other) return true;
  if (typeof one !== "object" || typeof other !== "object" || one === null || other === null) return false;
  if (Array.isArray(one) || Array.isArray(other))
    return (
      Array.isArray(one) &&
      Array.isArray(other) &&
      one.length === other.length &&
      one.every((value, index) => isSameJson(value, other[index]))
    );
  return hasFieldsOf(one as Fields, other as Fields) && hasFieldsOf(other as Fields, one as Fields, false);
}

type Fields = Readonly<Record<string, unknown>>;

/** @param comparesValues Whether to compare the values too, not only which fields there are. */
function hasFieldsOf(one: Fields, other: Fields, comparesValues = true): boolean {
  return Object.keys(one).every((key) => {
    if (one[key] === undefined) return true;
    const value = Object.hasOwn(other, key) ? other[key] : undefined;
    return comparesValues ? isSameJson(one[key], value) : value !== undefined;
  });
}

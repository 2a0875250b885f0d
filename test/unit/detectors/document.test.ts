import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseDocument } from "../../../src/detectors/document.ts";

describe("a document as Python writes it", () => {
  it.each([
    ['{"a": NaN, "b": [-Infinity, Infinity]}', { a: null, b: [-Infinity, Infinity] }],
    ['{"NaN": "NaN, \\"NaN\\\\", "b": NaN}', { NaN: 'NaN, "NaN\\', b: null }],
    ['{"a": 1}', { a: 1 }],
    ['{"a": NaN', undefined],
    ['"NaN', undefined],
    ["{a: NaN}", undefined],
    ["NaNs", undefined],
  ])("%s", (text, document) => {
    expect(parseDocument(text)).toEqual(document);
  });

  it("is read as JSON.parse reads it if it is JSON", () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(parseDocument(text)).toEqual(JSON.parse(text));
      }),
    );
  });
});

/** What one encoder makes of a text. Different programs escape different characters, so there are several of each kind. */
type Encode = (text: string) => string;

const toJson: Encode = (text) => JSON.stringify(text).slice(1, -1);

/** How a character is written in JSON by its code: `\u003c`. */
const toUnicodeEscape: Encode = (character) =>
  [...Array(character.length).keys()]
    .map((index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, "0")}`)
    .join("");

const JSON_ESCAPES: readonly Encode[] = [
  toJson,
  (text) => toJson(text).replaceAll("/", "\\/"),
  // Python escapes what is not ASCII, Go what HTML would read.
  (text) => toJson(text).replaceAll(/[^\0-\x7f]/g, toUnicodeEscape),
  (text) => toJson(text).replaceAll(/[<>&]/g, toUnicodeEscape),
];

const toPercents: Encode = (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`;

const URL_ESCAPES: readonly Encode[] = [
  encodeURIComponent,
  // RFC 3986, as Python and PHP encode.
  (text) => encodeURIComponent(text).replaceAll(/[!'()*]/g, toPercents),
  // A form: a space becomes a plus sign.
  (text) => new URLSearchParams([["", text]]).toString().slice(1),
  encodeURI,
  toUserInfo,
];

/** As in the login of a URL that was parsed and printed again. */
function toUserInfo(text: string): string {
  const url = new URL("http://host");
  url.password = text;
  return url.password;
}

const lowerPercents: Encode = (text) => text.replaceAll(/%[0-9A-F]{2}/g, (code) => code.toLowerCase());

const HTML_NAMES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
};
const toNames = (text: string, characters: RegExp): string =>
  text.replaceAll(characters, (character) => HTML_NAMES[character] ?? character);

const HTML_ESCAPES: readonly Encode[] = [
  // Slack.
  (text) => toNames(text, /[&<>]/g),
  (text) => toNames(text, /[&<>"]/g),
  ...["&#39;", "&#x27;", "&apos;"].map(
    (quote) =>
      (text: string): string =>
        toNames(text, /[&<>"]/g).replaceAll("'", quote),
  ),
  // Our own pages.
  (text) => text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`),
];

const ESCAPES: readonly Encode[] = [
  ...JSON_ESCAPES,
  ...URL_ESCAPES,
  ...URL_ESCAPES.map((encode) => (text: string) => lowerPercents(encode(text))),
  ...HTML_ESCAPES,
];

/**
 * The forms in which a text may appear: plain; escaped once or twice for JSON, a URL or HTML; in hex; and in base64, also as a
 * part of a longer text, such as the password in a Basic header.
 */
export function listForms(text: string): Set<string> {
  const isPlain = /^[\w-]*$/.test(text);
  const once = new Set(isPlain ? [text] : [text, ...ESCAPES.map((encode) => encode(text))]);
  const twice = isPlain ? [] : [...once].flatMap((form) => ESCAPES.map((encode) => encode(form)));
  const bytes = Buffer.from(text);
  const hex = bytes.toString("hex");
  const base64 = [0, 1, 2].flatMap((offset) => {
    const inner = toInnerBase64(bytes, offset);
    return [inner, encodeURIComponent(inner), inner.replaceAll("+", "-").replaceAll("/", "_")];
  });
  return new Set([...once, ...twice, hex, hex.toUpperCase(), ...base64]);
}

/** Only the plain form and JSON, for a long text whose parts have forms of their own. */
export function listShortForms(text: string): Set<string> {
  return new Set([text, toJson(text), toJson(toJson(text))]);
}

/** What a text becomes in base64 after `offset` (0 to 2) bytes, without the characters that also depend on its neighbours. */
function toInnerBase64(bytes: Buffer, offset: number): string {
  const encoded = Buffer.concat([Buffer.alloc(offset), bytes]).toString("base64");
  return encoded.slice(Math.ceil((offset * 8) / 6), Math.floor(((offset + bytes.length) * 8) / 6));
}

/** The text as it was before it was written into a URL; unchanged if it is not encoded. */
export function decodeLeniently(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

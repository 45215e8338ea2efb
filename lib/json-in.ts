/** What a text is as JSON; undefined for what is none. Without the parser's own error: that quotes the text, which may hold a secret. */
export function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** AWS X-Ray, "Tracing header": `Root=1-<8 hex>-<24 hex>` among fields with semicolons between. */
const ROOT = /(?:^|;)\s*Root=(1-[0-9a-f]{8}-[0-9a-f]{24})\s*(?:;|$)/;

/** W3C Trace Context, "traceparent Header". Later versions may add fields; version 00 has none, and ff is none. */
const TRACEPARENT =
  /^(?:00-(?<first>[0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}|(?!00|ff)[0-9a-f]{2}-(?<later>[0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?)$/;

const NO_ID = /^[0-9a-f]{2}-(?:0{32}-|[0-9a-f]{32}-0{16}-)/;

/** The trace id of an X-Ray header, `1-…`; undefined when it holds none, or is of another form. */
export function traceIdInXRayHeader(header: string | undefined): string | undefined {
  return ROOT.exec(header ?? '')?.[1];
}

/** The trace id of a `traceparent`, 32 hex digits; undefined when it is not valid. */
export function traceIdInTraceparent(header: string | undefined): string | undefined {
  const groups = header === undefined || NO_ID.test(header) ? undefined : TRACEPARENT.exec(header)?.groups;
  return groups?.first ?? groups?.later;
}

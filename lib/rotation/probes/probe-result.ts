/** What a probe found. `code` is stable and holds nothing of the value. */
export type ProbeResult = { readonly ok: true } | { readonly ok: false; readonly code: string };

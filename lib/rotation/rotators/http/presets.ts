import * as z from 'zod';
import { type ApiKeyRequests, apiKeyRequestsSchema } from './api-key-requests.ts';
import { nvidiaNgcRequests, nvidiaNgcSchema } from './nvidia-ngc.ts';
import { withOverrides } from './request-overrides.ts';

const presetSchema = z.discriminatedUnion('preset', [nvidiaNgcSchema]);
type Preset = z.infer<typeof presetSchema>;
type PresetInput = z.input<typeof presetSchema>;

/** The requests of a preset before they are parsed. */
function declaredBy(preset: Preset): unknown {
  switch (preset.preset) {
    case 'nvidia-ngc':
      return withOverrides(nvidiaNgcRequests(preset), preset);
  }
}

/** A preset as a specification names it, with options and overrides; read as the requests that come of it. */
const fromPreset = presetSchema.transform((preset, context): ApiKeyRequests => {
  const requests = apiKeyRequestsSchema.safeParse(declaredBy(preset));
  if (requests.success) return requests.data;
  for (const { path, message } of requests.error.issues) {
    context.addIssue({ code: 'custom', path: [...path], message, input: preset });
  }
  return z.NEVER;
});

/** The requests of a preset with overrides. Throws a ZodError for what does not fit. */
export function presetOf<Name extends PresetInput['preset']>(
  name: Name,
  overrides: Omit<Extract<PresetInput, { preset: Name }>, 'preset'>,
): ApiKeyRequests {
  return fromPreset.parse({ ...overrides, preset: name });
}

const inFull = apiKeyRequestsSchema
  .safeExtend({ preset: z.undefined().optional() })
  .transform(({ preset: _none, ...requests }): ApiKeyRequests => requests);

/** Requests in full, or a preset: `{preset: nvidia-ngc, org: …}`. Read as requests in both cases. */
export const keyProviderSchema = z.discriminatedUnion('preset', [inFull, fromPreset]);

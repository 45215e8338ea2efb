import { describe, expect, it } from 'vitest';
import {
  type AuditInput,
  type AuditLine,
  auditLineSchema,
  createAudit,
  hashLease,
} from '../../lib/telemetry/audit.ts';
import { createLogger } from '../../lib/telemetry/log.ts';

const LEASE = 'lotabots/database/creds/api-gateway/GkLpQAMc2UVQoQxTtTuFoS2U';
const CANARY = 'canary-7f3a';

const access: AuditInput = {
  who: {
    entity: 'e-1',
    role: 'api-gateway',
    service_account: 'lotabots/api-gateway',
    display_name: 'k8s-gw',
  },
  action: 'issue',
  path: 'database/creds/api-gateway',
  outcome: 'ok',
  latency_ms: 12.5,
  request_id: 'r-1',
  vault_request_id: 'v-1',
  lease_id: LEASE,
};

function written(input: AuditInput): AuditLine[] {
  const lines: AuditLine[] = [];
  createAudit({ write: (line) => lines.push(line), now: () => 0 })(input);
  return lines;
}

describe('hashLease', () => {
  it('is the first 16 hex digits of SHA-256', () => {
    // printf %s abc | sha256sum
    expect(hashLease('abc')).toBe('ba7816bf8f01cfea');
    expect(hashLease(LEASE)).not.toBe(hashLease(`${LEASE}x`));
  });
});

describe('createAudit', () => {
  it('writes one line for an access, the lease hashed', () => {
    const { lease_id: _, ...shown } = access;

    expect(written(access)).toEqual([
      { audit: true, time: '1970-01-01T00:00:00.000Z', ...shown, lease: hashLease(LEASE) },
    ]);
  });

  it('says the same through a logger, whatever the level of that', () => {
    const lines: string[] = [];
    const destination = { write: (line: string) => void lines.push(line) };
    const logger = createLogger({ level: 'error', name: 'fetch', destination, now: () => 0 });

    createAudit({ logger })(access);

    expect(lines).toHaveLength(1);
    expect(lines[0]?.match(/"time":/g)).toHaveLength(1);
    expect(auditLineSchema.parse(JSON.parse(lines.join('')))).toEqual(written(access)[0]);
    expect(logger.level).toBe('error');
  });

  it('writes no lease id', () => {
    expect(JSON.stringify(written(access))).not.toContain('GkLpQAMc2UVQoQxTtTuFoS2U');
  });

  it('has no room for a value', () => {
    const careless = { ...access, value: CANARY, data: { x: CANARY }, who: { ...access.who, token: CANARY } };

    expect(JSON.stringify(written(careless))).not.toContain(CANARY);
  });

  it('names the wrong fields, and not what was in them', () => {
    const wrong = { ...access, action: Object(CANARY), request_id: '', latency_ms: Number.NaN };

    expect(() => written(wrong)).toThrow(
      expect.objectContaining({
        code: 'audit_entry_invalid',
        message: 'The audit entry is wrong in: action, latency_ms, request_id',
      }),
    );
    expect(() => written(wrong)).not.toThrow(CANARY);
  });
});

import { expect, it } from 'vitest';
import * as z from 'zod';
import { costTable, ENDPOINTS, FIXED } from '../../bench/aws-costs.ts';
import { resourcesOf } from '../serverless/deployment.ts';
import { readProjectFile } from './documents.ts';

it('the costs that docs/deploy-aws.md tells are those that are worked out', () => {
  const [, told = ''] =
    /<!-- costs -->\n(.*?)\n<!-- \/costs -->/s.exec(readProjectFile('docs/deploy-aws.md')) ?? [];
  expect(told).toBe(costTable());
  expect(readProjectFile('docs/deploy-aws.md')).toContain(`$${ENDPOINTS.toFixed(0)}`);
});

it('what costs money whatever is kept is what there is', () => {
  const [, metrics] = /made (\d+):/.exec(readProjectFile('docs/metrics.md')) ?? [];
  const [, fetches] = /^\| `fetch` \| (\d+) \|/m.exec(readProjectFile('docs/metrics.md')) ?? [];
  expect(FIXED.metrics).toBe(Number(metrics) + Number(fetches));
  const queries = readProjectFile('aws/query-alarms.cjs').match(/^ {2}\w+: \{$/gm) ?? [];
  expect(FIXED.alarms).toBe(resourcesOf('AWS::CloudWatch::Alarm', z.unknown()).size + queries.length);
});

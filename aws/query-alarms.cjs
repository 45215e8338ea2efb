/**
 * Alarms on all values of a label, and all functions: each is a query of CloudWatch Metrics Insights, for any other alarm would be one for each
 * combination. `queryAlarms: 'false'` leaves them out, where CloudWatch knows no such alarm.
 */
const { prefixOf, readParams } = require('./params.cjs');
const topic = require('./topic.cjs');

/** Every name in quotation marks: many words are reserved. The dimensions are all that the metric has. */
const QUERIED = {
  AgendaTroubles: {
    name: 'agenda-troubles',
    description:
      'A shard of the agenda is full or cannot be read, or a message to it. docs/runbook.md#a-shard-of-the-agenda-is-full',
    metric: 'leasekeeper_agenda_troubles_total',
    dimensions: ['book', 'kind', 'service'],
    most: 0,
  },
  LoginsFailing: {
    name: 'logins-failing',
    description: 'Logins to Vault fail, those of a function or of a caller. docs/runbook.md#logins-fail',
    metric: 'vault_auth_failures_total',
    dimensions: ['method', 'reason', 'service'],
    most: 3,
  },
  Drift: {
    name: 'drift',
    description: 'Something was changed behind our back. docs/runbook.md#a-published-value-was-changed',
    metric: 'leasekeeper_drift_total',
    dimensions: ['service', 'what'],
    most: 0,
  },
};

function alarm({ name, description, metric, dimensions, most }, { prefix, namespace, actions }) {
  const schema = [namespace, ...dimensions].map((one) => `"${one}"`).join(', ');
  return {
    Type: 'AWS::CloudWatch::Alarm',
    Properties: {
      AlarmName: `${prefix}-${name}`,
      AlarmDescription: description,
      Metrics: [{ Id: 'all', Expression: `SELECT SUM("${metric}") FROM SCHEMA(${schema})`, Period: 900 }],
      EvaluationPeriods: 1,
      Threshold: most,
      ComparisonOperator: 'GreaterThanThreshold',
      TreatMissingData: 'notBreaching',
      AlarmActions: actions,
      OKActions: actions,
    },
  };
}

/** Their logical ids without `Alarm`, or none. */
async function names(resolveVariable) {
  const { queryAlarms } = await readParams(resolveVariable, ['queryAlarms']);
  if (queryAlarms === 'false') return [];
  if (queryAlarms === 'true') return Object.keys(QUERIED);
  throw new Error('The parameter queryAlarms is true or false.');
}

module.exports = {
  names,
  resources: async ({ resolveVariable }) => {
    const { metricsNamespace: namespace } = await readParams(resolveVariable, ['metricsNamespace']);
    const prefix = await prefixOf(resolveVariable);
    const actions = [await topic.arn({ resolveVariable })];
    const alarms = (await names(resolveVariable)).map((id) => [
      `${id}Alarm`,
      alarm(QUERIED[id], { prefix, namespace, actions }),
    ]);
    return { Resources: Object.fromEntries(alarms) };
  },
};

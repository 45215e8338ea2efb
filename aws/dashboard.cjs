/** The dashboard in CloudWatch: what needs a person comes first. Its text is JSON, in which CloudFormation puts the names of what it has made. */
const { prefixOf, readParams } = require('./params.cjs');
const queryAlarms = require('./query-alarms.cjs');

const WORKERS = ['Renew', 'Rotate', 'Notify'];
const FUNCTIONS = ['Scan', ...WORKERS, 'Fetch', 'Manage'];
const DEAD_LETTERS = [...WORKERS, 'Rule', 'Schedule'];
const BOOKS = ['leases', 'rotations', 'deliveries'];

/** Those of alarms.yml. CloudFormation refuses one that is not there; that none is missing, a test looks. */
const ALARMS = [
  ...['NotScanning', 'VaultAway', 'LeasesOverdue', 'RotationsOverdue', 'DeliveriesOverdue'],
  ...DEAD_LETTERS.map((name) => `${name}DeadLetters`),
  ...WORKERS.map((name) => `${name}Age`),
  ...FUNCTIONS.map((name) => `${name}Errors`),
  ...['FetchThrottles', 'ManageThrottles', 'ApiErrors', 'LeaseLost', 'RenewalsFailing'],
  ...['RotationFailing', 'RetireFailing', 'EndpointGone'],
];

/** @param {string} title @param {unknown[]} metrics @param {object} [more] */
const graph = (title, metrics, more = {}) => ({
  type: 'metric',
  properties: { title, region: `\${AWS::Region}`, view: 'timeSeries', period: 60, metrics, ...more },
});
const sum = { stat: 'Sum' };
const maximum = { stat: 'Maximum' };

function widgetsFor(namespace, prefix, alarms) {
  const own = (name, labels, options) => [namespace, name, ...Object.entries(labels).flat(), options];
  /** All series of a metric, whatever the values of its labels. */
  const all = (name, labels, stat = 'Sum') => [
    {
      expression: `SEARCH('{"${namespace}",${labels.join(',')}} MetricName="${name}"', '${stat}', 300)`,
      label: '',
      id: 'all',
    },
  ];
  const queue = (id, metric, label) => ['AWS/SQS', metric, 'QueueName', `\${${id}.QueueName}`, { label }];
  const lambda = (name, metric) => [
    'AWS/Lambda',
    metric,
    'FunctionName',
    `\${${name}LambdaFunction}`,
    { label: name },
  ];
  const api = (metric, options) => ['AWS/ApiGateway', metric, 'ApiId', `\${HttpApi}`, options];
  const logs = FUNCTIONS.map((name) => `SOURCE '/aws/lambda/${prefix}-${name.toLowerCase()}'`).join(' | ');

  return [
    [{ type: 'alarm', properties: { title: 'Alarms', alarms: alarms.map((id) => `\${${id}Alarm.Arn}`) } }],
    [
      graph(
        'Overdue, in seconds',
        BOOKS.map((book) =>
          own(
            'leasekeeper_agenda_oldest_overdue_seconds',
            { service: 'scan', book },
            { label: book, ...maximum },
          ),
        ),
      ),
      graph(
        'Due',
        BOOKS.map((book) =>
          own('leasekeeper_agenda_due', { service: 'scan', book }, { label: book, ...maximum }),
        ),
      ),
      graph(
        'Scans that succeeded',
        [
          own(
            'leasekeeper_last_scan_timestamp_seconds',
            { service: 'scan' },
            { label: 'scans', stat: 'SampleCount' },
          ),
        ],
        { yAxis: { left: { min: 0 } } },
      ),
    ],
    [
      graph('Renewals', [all('leasekeeper_lease_renewals_total', ['outcome', 'service'])]),
      graph('Renewals that failed, by reason', [
        all('vault_lease_renewal_errors_total', ['reason', 'service']),
      ]),
      graph('Rotations', [all('leasekeeper_rotations_total', ['outcome', 'service'])]),
    ],
    [
      graph('Deliveries', [all('leasekeeper_deliveries_total', ['outcome', 'service'])]),
      graph('Secrets handed out', [all('leasekeeper_fetches_total', ['outcome', 'service'])]),
      graph('Logins that failed', [all('vault_auth_failures_total', ['method', 'reason', 'service'])]),
    ],
    [
      graph('Vault: answers', [all('leasekeeper_vault_requests_total', ['operation', 'outcome', 'service'])]),
      graph('Vault is there', [all('leasekeeper_vault_up', ['service'], 'Minimum')], {
        yAxis: { left: { min: 0, max: 1 } },
      }),
      graph('Agenda in trouble', [all('leasekeeper_agenda_troubles_total', ['book', 'kind', 'service'])]),
    ],
    [
      graph(
        'Oldest message, in seconds',
        WORKERS.map((name) => queue(`${name}Queue`, 'ApproximateAgeOfOldestMessage', name)),
        maximum,
      ),
      graph(
        'Messages that wait',
        WORKERS.map((name) => queue(`${name}Queue`, 'ApproximateNumberOfMessagesVisible', name)),
        maximum,
      ),
      graph(
        'Dead letters',
        DEAD_LETTERS.map((name) => queue(`${name}DeadLetters`, 'ApproximateNumberOfMessagesVisible', name)),
        maximum,
      ),
    ],
    [
      graph(
        'Errors',
        FUNCTIONS.map((name) => lambda(name, 'Errors')),
        sum,
      ),
      graph(
        'Duration, ms (p95)',
        FUNCTIONS.map((name) => lambda(name, 'Duration')),
        { stat: 'p95' },
      ),
      graph(
        'At once',
        FUNCTIONS.map((name) => lambda(name, 'ConcurrentExecutions')),
        maximum,
      ),
    ],
    [
      graph('HTTP: requests', [api('Count', { label: 'all' }), api('4xx', {}), api('5xx', {})], sum),
      graph('HTTP: latency, ms', [
        api('Latency', { label: 'p50', stat: 'p50' }),
        api('Latency', { label: 'p99', stat: 'p99' }),
      ]),
      graph(
        'Throttled',
        FUNCTIONS.map((name) => lambda(name, 'Throttles')),
        sum,
      ),
    ],
    [
      {
        type: 'log',
        properties: {
          title: 'Errors in the logs',
          region: `\${AWS::Region}`,
          view: 'table',
          query: `${logs} | fields @timestamp, name, msg, err.code, err.message | filter level in ["error", "fatal"] | sort @timestamp desc | limit 50`,
        },
      },
    ],
  ];
}

/** Rows one below the other, each as wide as the dashboard. @param {object[][]} rows */
function laidOut(rows) {
  const HEIGHT = 6;
  return rows.flatMap((row, y) =>
    row.map((widget, x) => ({
      ...widget,
      x: (24 / row.length) * x,
      y: HEIGHT * y,
      width: 24 / row.length,
      height: HEIGHT,
    })),
  );
}

module.exports = async ({ resolveVariable }) => {
  const { metricsNamespace } = await readParams(resolveVariable, ['metricsNamespace']);
  const prefix = await prefixOf(resolveVariable);
  const alarms = [...ALARMS, ...(await queryAlarms.names(resolveVariable))];
  const body = { start: '-PT6H', widgets: laidOut(widgetsFor(metricsNamespace, prefix, alarms)) };
  return {
    Resources: {
      Dashboard: {
        Type: 'AWS::CloudWatch::Dashboard',
        Properties: {
          // CloudWatch shows the dashboards of all regions in one list.
          DashboardName: { 'Fn::Sub': `${prefix}-\${AWS::Region}` },
          DashboardBody: { 'Fn::Sub': JSON.stringify(body) },
        },
      },
    },
  };
};

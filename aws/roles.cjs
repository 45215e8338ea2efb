/**
 * One role for each function, with what that function does and nothing else: write its own log, read what it logs in to Vault with, take from
 * its own queue, publish on the one bus. fetch publishes nothing. What a function may do in Vault is in vault/policies/.
 *
 * The names do not change, because the AWS logins bind Vault's roles to them. They have the region in them: IAM is one for all regions.
 */
const { loginOf } = require('./login.cjs');
const network = require('./network.cjs');
const { prefixOf } = require('./params.cjs');

/** @type {Record<string, { takesFrom?: string, publishes?: true }>} */
const WORK = {
  scan: { publishes: true },
  renew: { takesFrom: 'RenewQueue', publishes: true },
  rotate: { takesFrom: 'RotateQueue', publishes: true },
  notify: { takesFrom: 'NotifyQueue', publishes: true },
  fetch: {},
  manage: { publishes: true },
};

const allow = (action, resource) => ({ Effect: 'Allow', Action: action, Resource: resource });
const arnOf = (id) => ({ 'Fn::GetAtt': [id, 'Arn'] });
const capitalized = (name) => name.charAt(0).toUpperCase() + name.slice(1);

function roleOf(name, { takesFrom, publishes }, { prefix, login, vpc }) {
  const arnHere = (service, rest) => ({
    'Fn::Sub': `arn:\${AWS::Partition}:${service}:\${AWS::Region}:\${AWS::AccountId}:${rest}`,
  });
  const log = arnHere('logs', `log-group:/aws/lambda/${prefix}-${name}:log-stream:*`);
  const statements = [
    allow(['logs:CreateLogStream', 'logs:PutLogEvents'], log),
    ...login.statements(name),
    ...(takesFrom === undefined
      ? []
      : [allow(['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'], arnOf(takesFrom))]),
    ...(publishes ? [allow('events:PutEvents', arnOf('Bus'))] : []),
    ...network.statements(vpc, arnHere('lambda', `function:${prefix}-${name}`)),
  ];
  return {
    Type: 'AWS::IAM::Role',
    Properties: {
      RoleName: { 'Fn::Sub': `${prefix}-\${AWS::Region}-${name}` },
      Description: `What the function ${prefix}-${name} may do`,
      AssumeRolePolicyDocument: {
        Version: '2012-10-17',
        Statement: [
          { Effect: 'Allow', Principal: { Service: 'lambda.amazonaws.com' }, Action: 'sts:AssumeRole' },
        ],
      },
      Policies: [{ PolicyName: name, PolicyDocument: { Version: '2012-10-17', Statement: statements } }],
    },
  };
}

module.exports = async ({ resolveVariable }) => {
  const stage = {
    prefix: await prefixOf(resolveVariable),
    login: await loginOf(resolveVariable),
    vpc: await network.networkOf(resolveVariable),
  };
  const roles = Object.entries(WORK).map(([name, work]) => [
    `${capitalized(name)}Role`,
    roleOf(name, work, stage),
  ]);
  const outputs = Object.keys(WORK).map((name) => [
    `${capitalized(name)}RoleArn`,
    { Description: `Role of ${name}: Vault's AWS logins bind it`, Value: arnOf(`${capitalized(name)}Role`) },
  ]);
  return { Resources: Object.fromEntries(roles), Outputs: Object.fromEntries(outputs) };
};

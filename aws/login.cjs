/** How the functions log in to Vault, by the parameter `vaultAuth`: docs/authentication.md says what each needs on Vault's side. */
const { readParams } = require('./params.cjs');

const FUNCTIONS = ['scan', 'renew', 'rotate', 'notify', 'fetch', 'manage'];
const HERE = `\${AWS::Region}:\${AWS::AccountId}`;

/**
 * For each value of `vaultAuth`: LEASEKEEPER_AUTH, where the credentials of a function lie, and what its role needs to read them.
 * A name that is blank counts as not set.
 * @typedef {{ method: string, parameter: (name: string) => string, secret: (name: string) => string, statements: (name: string) => object[] }} Login
 * @type {Record<string, (params: Record<string, string>) => Login>}
 */
const LOGINS = {
  'approle-parameter': (params) => {
    const parameter = (name) => `${params.appRoleParameters}/${name}`;
    const arn = (name) => ({ 'Fn::Sub': `arn:\${AWS::Partition}:ssm:${HERE}:parameter${parameter(name)}` });
    return {
      method: 'approle',
      parameter,
      secret: () => '',
      statements: (name) => [
        { Effect: 'Allow', Action: 'ssm:GetParameter', Resource: arn(name) },
        ...decrypt(params.kmsKeyArn, 'ssm', {
          StringEquals: { 'kms:EncryptionContext:PARAMETER_ARN': arn(name) },
        }),
      ],
    };
  },

  'approle-secret': (params) => {
    const secret = (name) => `${params.appRoleSecrets}/${name}`;
    // The six characters that Secrets Manager ends every ARN with.
    const arn = (name) => ({
      'Fn::Sub': `arn:\${AWS::Partition}:secretsmanager:${HERE}:secret:${secret(name)}-??????`,
    });
    return {
      method: 'approle',
      parameter: () => '',
      secret,
      statements: (name) => [
        { Effect: 'Allow', Action: 'secretsmanager:GetSecretValue', Resource: arn(name) },
        ...decrypt(params.kmsKeyArn, 'secretsmanager', {
          StringLike: { 'kms:EncryptionContext:SecretARN': arn(name) },
        }),
      ],
    };
  },

  // sts:GetCallerIdentity, which Vault sends, needs no permission.
  'aws-iam': () => ({ method: 'aws-iam', parameter: () => '', secret: () => '', statements: () => [] }),

  'aws-web-identity': ({ jwtAudience }) => {
    if (jwtAudience === '') throw new Error('vaultAuth=aws-web-identity needs the parameter jwtAudience.');
    return {
      method: 'aws-web-identity',
      parameter: () => '',
      secret: () => '',
      // The action knows no resource: docs/authentication.md, "AWS web identity".
      statements: () => [
        {
          Effect: 'Allow',
          Action: 'sts:GetWebIdentityToken',
          Resource: '*',
          Condition: { 'ForAllValues:StringEquals': { 'sts:IdentityTokenAudience': jwtAudience } },
        },
      ],
    };
  },
};

/** For a key of one's own: only through the service that keeps the credentials, and only for those of the function. */
function decrypt(key, service, context) {
  if (key === '') return [];
  const via = { 'kms:ViaService': { 'Fn::Sub': `${service}.\${AWS::Region}.\${AWS::URLSuffix}` } };
  const { StringEquals = {}, ...others } = context;
  return [
    {
      Effect: 'Allow',
      Action: 'kms:Decrypt',
      Resource: key,
      Condition: { StringEquals: { ...via, ...StringEquals }, ...others },
    },
  ];
}

/** @returns {Promise<Login>} */
async function loginOf(resolveVariable) {
  const params = await readParams(resolveVariable, [
    'vaultAuth',
    'appRoleParameters',
    'appRoleSecrets',
    'jwtAudience',
    'kmsKeyArn',
  ]);
  const login = LOGINS[params.vaultAuth];
  if (login !== undefined) return login(params);
  throw new Error(`The parameter vaultAuth is one of ${Object.keys(LOGINS).join(', ')}.`);
}

const byFunction =
  (what) =>
  async ({ resolveVariable }) => {
    const login = await loginOf(resolveVariable);
    return Object.fromEntries(FUNCTIONS.map((name) => [name, login[what](name)]));
  };

module.exports = {
  loginOf,
  method: async ({ resolveVariable }) => (await loginOf(resolveVariable)).method,
  parameter: byFunction('parameter'),
  secret: byFunction('secret'),
};

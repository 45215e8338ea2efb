/** The network of the functions: AWS Lambda's own, or the subnets of the parameter `vpcSubnetIds`, for a Vault that is private. */
const { listed, readParams } = require('./params.cjs');

async function networkOf(resolveVariable) {
  const params = await readParams(resolveVariable, ['vpcSubnetIds', 'vpcSecurityGroupIds']);
  const subnetIds = listed(params.vpcSubnetIds);
  const securityGroupIds = listed(params.vpcSecurityGroupIds);
  if (subnetIds.length === 0 && securityGroupIds.length === 0) return undefined;
  if (subnetIds.length > 0 && securityGroupIds.length > 0) return { subnetIds, securityGroupIds };
  throw new Error('The parameters vpcSubnetIds and vpcSecurityGroupIds are given together, or neither.');
}

const CHANGE = [
  'ec2:CreateNetworkInterface',
  'ec2:DeleteNetworkInterface',
  'ec2:AssignPrivateIpAddresses',
  'ec2:UnassignPrivateIpAddresses',
];
const DESCRIBE = ['ec2:DescribeNetworkInterfaces', 'ec2:DescribeSubnets'];

/**
 * What AWS Lambda does in a VPC by the role of the function: AWS Lambda Developer Guide, "Giving Lambda functions access to resources in an
 * Amazon VPC". Descriptions know no resource, and to delete an interface all must be named. The code of the function may do none of it,
 * by the condition that the guide gives.
 */
function statements(network, functionArn) {
  if (network === undefined) return [];
  // A subnet that is shared with this account belongs to another.
  const shared = network.subnetIds.map((id) => ({
    'Fn::Sub': `arn:\${AWS::Partition}:ec2:\${AWS::Region}:*:subnet/${id}`,
  }));
  const own = { 'Fn::Sub': `arn:\${AWS::Partition}:ec2:\${AWS::Region}:\${AWS::AccountId}:*/*` };
  return [
    { Effect: 'Allow', Action: CHANGE, Resource: [own, ...shared] },
    { Effect: 'Allow', Action: DESCRIBE, Resource: '*' },
    {
      Effect: 'Deny',
      Action: [...CHANGE, ...DESCRIBE],
      Resource: '*',
      Condition: { ArnEquals: { 'lambda:SourceFunctionArn': functionArn } },
    },
  ];
}

module.exports = {
  networkOf,
  statements,
  vpc: async ({ resolveVariable }) => (await networkOf(resolveVariable)) ?? null,
};

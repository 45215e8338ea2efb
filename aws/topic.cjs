/**
 * Where all alarms go: a topic of the stack, or the one that `alarmTopicArn` names. It is not encrypted: CloudWatch cannot publish to a topic
 * with the key that AWS manages, and an alarm holds no secret.
 */
const { prefixOf, readParams } = require('./params.cjs');

const params = (resolveVariable) => readParams(resolveVariable, ['alarmTopicArn', 'alarmEmail']);

module.exports = {
  arn: async ({ resolveVariable }) => (await params(resolveVariable)).alarmTopicArn || { Ref: 'AlarmTopic' },

  resources: async ({ resolveVariable }) => {
    const { alarmTopicArn, alarmEmail } = await params(resolveVariable);
    const prefix = await prefixOf(resolveVariable);
    const output = {
      Description: 'Topic that all alarms go to',
      Value: alarmTopicArn || { Ref: 'AlarmTopic' },
    };
    if (alarmTopicArn !== '') return { Outputs: { AlarmTopicArn: output } };
    return {
      Resources: {
        AlarmTopic: { Type: 'AWS::SNS::Topic', Properties: { TopicName: `${prefix}-alarms` } },
        AlarmTopicPolicy: policy(prefix),
        ...(alarmEmail === '' ? {} : { AlarmEmail: subscription(alarmEmail) }),
      },
      Outputs: { AlarmTopicArn: output },
    };
  },
};

/** Only alarms of this stack may publish. */
function policy(prefix) {
  const alarms = `arn:\${AWS::Partition}:cloudwatch:\${AWS::Region}:\${AWS::AccountId}:alarm:${prefix}-*`;
  return {
    Type: 'AWS::SNS::TopicPolicy',
    Properties: {
      Topics: [{ Ref: 'AlarmTopic' }],
      PolicyDocument: {
        Version: '2012-10-17',
        Statement: [
          {
            Effect: 'Allow',
            Principal: { Service: 'cloudwatch.amazonaws.com' },
            Action: 'sns:Publish',
            Resource: { Ref: 'AlarmTopic' },
            Condition: {
              StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } },
              ArnLike: { 'aws:SourceArn': { 'Fn::Sub': alarms } },
            },
          },
        ],
      },
    },
  };
}

/** AWS sends a message with a link to it first, which must be followed. */
const subscription = (email) => ({
  Type: 'AWS::SNS::Subscription',
  Properties: { TopicArn: { Ref: 'AlarmTopic' }, Protocol: 'email', Endpoint: email },
});

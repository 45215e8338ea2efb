/**
 * Every outcome that was on the bus, for `archiveDays`, to be replayed (docs/aws-stack.md, "Replay"). Commands are not kept: scans send them
 * again. With `archiveDays` 0 there is none.
 */
const { integer, prefixOf, readParams } = require('./params.cjs');

const COMMANDS = ['leases.due', 'rotation.due', 'delivery.due'];

module.exports = async ({ resolveVariable }) => {
  const params = await readParams(resolveVariable, ['archiveDays']);
  const days = integer('archiveDays', params.archiveDays, 0);
  if (days === 0) return {};
  const name = `${await prefixOf(resolveVariable)}-outcomes`;
  return {
    Resources: {
      Archive: {
        Type: 'AWS::Events::Archive',
        Properties: {
          ArchiveName: name,
          Description: 'Outcomes, to replay',
          SourceArn: { 'Fn::GetAtt': ['Bus', 'Arn'] },
          EventPattern: { source: ['leasekeeper'], 'detail-type': [{ 'anything-but': COMMANDS }] },
          RetentionDays: days,
        },
      },
    },
    Outputs: { ArchiveName: { Description: 'Archive of outcomes', Value: { Ref: 'Archive' } } },
  };
};

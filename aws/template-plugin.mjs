/**
 * A plugin of the Serverless Framework: finishes the template. Every resource that can have tags gets those of `provider.tags`, which the framework
 * gives to its own only; and what a reference makes CloudFormation wait for need not be said again by DependsOn (cfn-lint: W3005).
 */

/** Types that take tags as a list. API Gateway takes an object, and the framework has given it that. */
const TAGGED = new Set([
  'AWS::CloudWatch::Alarm',
  'AWS::Events::EventBus',
  'AWS::Events::Rule',
  'AWS::IAM::Role',
  'AWS::Lambda::EventSourceMapping',
  'AWS::Lambda::Function',
  'AWS::Logs::LogGroup',
  'AWS::S3::Bucket',
  'AWS::SNS::Topic',
  'AWS::SQS::Queue',
]);

/** Logical ids that a value refers to. @param {unknown} value @returns {string[]} */
function referencesIn(value) {
  if (Array.isArray(value)) return value.flatMap(referencesIn);
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    if (key === 'Ref') return [inner];
    if (key === 'Fn::GetAtt') return [Array.isArray(inner) ? inner[0] : inner.split('.')[0]];
    return referencesIn(inner);
  });
}

function tag(resource, tags) {
  if (!TAGGED.has(resource.Type)) return;
  resource.Properties = { ...resource.Properties, Tags: tags };
}

function leaveOutImplied(resource) {
  if (resource.DependsOn === undefined) return;
  const implied = new Set(referencesIn(resource.Properties));
  const left = [resource.DependsOn].flat().filter((id) => !implied.has(id));
  if (left.length > 0) resource.DependsOn = left;
  else delete resource.DependsOn;
}

export default class TemplatePlugin {
  constructor({ service }) {
    this.hooks = {
      'after:aws:package:finalize:mergeCustomProviderResources': () => {
        const { provider } = service;
        const tags = Object.entries(provider.tags).map(([Key, Value]) => ({ Key, Value }));
        for (const resource of Object.values(provider.compiledCloudFormationTemplate.Resources)) {
          tag(resource, tags);
          leaveOutImplied(resource);
        }
      },
    };
  }
}

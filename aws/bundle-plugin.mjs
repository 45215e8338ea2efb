/** A plugin of the Serverless Framework: bundles the functions before they are packaged, so that no stale bundle is deployed. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const script = path.join(path.dirname(path.dirname(fileURLToPath(import.meta.url))), 'scripts/bundle.mjs');
const bundle = () => void execFileSync(process.execPath, [script], { stdio: ['ignore', 2, 2] });

export default class BundlePlugin {
  hooks = {
    'before:package:createDeploymentArtifacts': bundle,
    'before:deploy:function:packageFunction': bundle,
  };
}

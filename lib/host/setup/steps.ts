import { joinPath } from '../../vault/addressing.ts';
import type { SetupBody, SetupStep } from './step.ts';

/** A secrets engine at `mount`, within `namespace`. */
export function mountStep(
  namespace: string,
  mount: string,
  type: string,
  options: SetupBody = {},
): SetupStep {
  const hasOptions = Object.keys(options).length > 0;
  const wanted = { type, ...(hasOptions ? { options } : {}) };
  return {
    title: `secrets engine ${joinPath(namespace, mount)}`,
    ours: false,
    foundation: true,
    read: { path: joinPath(namespace, 'sys/mounts'), at: ['data', `${mount}/`], wanted },
    write: { method: 'POST', path: joinPath(namespace, 'sys/mounts', mount), body: wanted },
  };
}

/** A KV v2 mount. */
export function kvMountStep(namespace: string, mount: string): SetupStep {
  return mountStep(namespace, mount, 'kv', { version: '2' });
}

/** An auth method at `mount`, within `namespace`. */
export function authMountStep(namespace: string, mount: string, type: string): SetupStep {
  return {
    title: `auth method ${joinPath(namespace, 'auth', mount)}`,
    ours: false,
    foundation: true,
    read: { path: joinPath(namespace, 'sys/auth'), at: ['data', `${mount}/`], wanted: { type } },
    write: { method: 'POST', path: joinPath(namespace, 'sys/auth', mount), body: { type } },
  };
}

/** An ACL policy, compared to the letter. */
export function policyStep(namespace: string, name: string, policy: string): SetupStep {
  const path = joinPath(namespace, 'sys/policies/acl', name);
  return {
    title: `policy ${joinPath(namespace, name)}`,
    ours: true,
    foundation: false,
    read: { path, at: ['data'], wanted: { policy } },
    write: { method: 'PUT', path, body: { policy } },
  };
}

/** Anything that is written at a path and read back at the same one: roles, configurations. */
export function objectStep(title: string, path: string, body: SetupBody, wanted = body): SetupStep {
  return {
    title,
    ours: true,
    foundation: false,
    read: { path, at: ['data'], wanted },
    write: { method: 'POST', path, body },
  };
}

/** A KV v2 document that is written once and then belongs to whoever uses it. Only its presence is looked at. */
export function documentStep(title: string, mount: string, path: string, data: SetupBody): SetupStep {
  return {
    title,
    ours: false,
    foundation: false,
    read: { path: joinPath(mount, 'metadata', path), at: ['data'], wanted: {} },
    write: { method: 'PUT', path: joinPath(mount, 'data', path), body: { data, options: { cas: 0 } } },
  };
}

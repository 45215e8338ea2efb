/**
 * The arrows between the rooms, as docs/architecture.md draws them:
 * functions → lib/host → leases, rotation, notices, access → agenda, vault, bus, telemetry. Arrows may skip a row.
 */
const BOTTOM = '^lib/(agenda|vault|bus|telemetry)/';
const MIDDLE = '^lib/(leases|rotation|notices|access)/';

/** A rule that keeps one package to the rooms that may know it. */
const onlyIn = (name, comment, rooms, packages) => ({
  name,
  comment,
  severity: 'error',
  from: { path: '^(lib|functions)/', pathNot: rooms },
  to: { path: packages.map((one) => `(^|/)node_modules/${one}(/|$)`) },
});

const forbid = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to });

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    forbid(
      'no-cycles',
      'Files that need each other can be understood, tested and loaded only together.',
      {},
      { circular: true },
    ),
    forbid(
      'errors-know-nothing',
      'Every room throws LeasekeeperError; if it needed a room, that room would need itself.',
      { path: '^lib/errors\\.ts$' },
      { path: '^(lib|functions)/' },
    ),
    forbid(
      'bottom-knows-nothing-above',
      'The agenda, Vault, the bus and telemetry serve the domain; they work the same whatever is built on them.',
      { path: BOTTOM },
      { path: ['^functions/', MIDDLE, '^lib/(host|cli|secrets-manager)/'] },
    ),
    forbid(
      'domain-knows-no-host',
      'What a lease or a rotation does is the same on Lambda and in one process, so it cannot ask where it runs.',
      { path: MIDDLE },
      { path: ['^functions/', '^lib/(host|cli|secrets-manager)/'] },
    ),
    forbid(
      'host-knows-no-local-servers',
      'The deployed functions load lib/host; servers for one machine must not come along.',
      { path: '^lib/host/', pathNot: '^lib/host/local/' },
      { path: ['^functions/', '^lib/(cli|host/local)/'] },
    ),
    forbid(
      'functions-call-the-host',
      'A function is a middleware chain and one call into a room: what that room needs, the host has built.',
      { path: '^functions/' },
      {
        path: '^lib/',
        pathNot: ['^lib/host/(?!local/)', MIDDLE, '^lib/bus/events\\.ts$', '^lib/errors\\.ts$'],
      },
    ),
    forbid(
      'cli-calls-the-host',
      'A command does not run a deployed handler itself; the one-process host does.',
      { path: '^lib/cli/' },
      { path: '^functions/' },
    ),
    forbid(
      'secrets-manager-is-light',
      'Services embed it: it brings along Vault and telemetry, not rotation or a host.',
      { path: '^lib/secrets-manager/' },
      {
        path: '^(lib|functions)/',
        pathNot: ['^lib/(secrets-manager|vault|telemetry)/', '^lib/errors\\.ts$'],
      },
    ),
    onlyIn(
      'undici-at-the-edges',
      'Requests leave from few places, where timeouts, bounds and address rules are applied.',
      ['^lib/(vault|notices|host/local)/', '^lib/rotation/(rotators|probes)/'],
      ['undici'],
    ),
    onlyIn(
      'aws-sdk-in-two-rooms',
      'It takes 200 ms to load; a function that publishes nothing must never load it.',
      ['^lib/bus/', '^lib/vault/auth/', '^lib/host/local/'],
      ['@aws-sdk', '@smithy'],
    ),
    onlyIn(
      'middy-around-functions',
      'Middleware belongs to Lambda; the domain takes plain arguments.',
      ['^functions/', '^lib/host/', '^lib/secrets-manager/middleware\\.ts$'],
      ['@middy'],
    ),
    onlyIn(
      'mysql-where-it-is-tested',
      'Only a test of a new value ever speaks to MySQL.',
      ['^lib/rotation/probes/'],
      ['mysql2'],
    ),
    onlyIn(
      'postgres-where-it-is-tested',
      'Only rotation tries a database login, and only the one-process host runs a database.',
      ['^lib/rotation/', '^lib/host/local/'],
      ['pg', '@types/pg'],
    ),
    forbid(
      'no-test-code-shipped',
      'Test support holds root tokens and superusers.',
      { path: '^(lib|functions|bin|scripts)/' },
      { path: '^test/' },
    ),
    forbid(
      'no-dev-dependency-shipped',
      'Who installs the package does not get devDependencies: such an import would fail there.',
      { path: '^(lib|functions|bin)/' },
      {
        dependencyTypes: ['npm-dev'],
        dependencyTypesNot: ['type-only'],
        pathNot: '(^|/)node_modules/@types/',
      },
    ),
    forbid(
      'everything-resolves',
      'An import that leads nowhere escapes every rule above.',
      {},
      { couldNotResolve: true },
    ),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // Type-only imports count: they are dependencies in thought, and turn into real ones unnoticed.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
      mainFields: ['module', 'main', 'types', 'typings'],
    },
  },
};

import { pino } from 'pino';
import { serializeError } from './error-fields.ts';
import { logFields } from './log-fields.ts';
import { redact } from './redaction.ts';

/** The logger every room takes as an argument. */
export type Logger = pino.Logger;

export interface LoggerOptions {
  readonly level: pino.LevelWithSilent;
  /** Printed on each line as `name`: the function or the process. */
  readonly name: string;
  /** Where lines go; standard output, written synchronously, when left out. */
  readonly destination?: pino.DestinationStream;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/**
 * A logger that writes JSON lines with `level` as a word and `time` as an ISO date. Everything handed to it, child
 * bindings and format arguments included, goes through {@link redact} first. Each line also has the {@link logFields} of the work
 * that wrote it.
 */
export function createLogger(options: LoggerOptions): Logger {
  const { level, name, now = Date.now } = options;
  const settings: pino.LoggerOptions = {
    level,
    base: { name },
    timestamp: () => `,"time":"${new Date(now()).toISOString()}"`,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { err: (value: unknown) => (value instanceof Error ? serializeError(value) : value) },
    // pino puts the line's own fields over these.
    mixin: () => logFields(),
    hooks: {
      logMethod(args, method) {
        method.apply(this, cleanArguments(args));
      },
    },
  };
  // pino's own default would write when there is time: a process that is frozen or killed after its answer has none.
  const destination = options.destination ?? pino.destination({ dest: 1, sync: true });
  return redactBindings(pino(settings, destination));
}

/** A leading Error stays one: pino files it under `err`, and the serializer reduces it there. */
function cleanArguments<A extends unknown[]>(args: A): A {
  args.forEach((argument, index) => {
    if (index > 0 || !(argument instanceof Error)) args[index] = redact(argument);
  });
  return args;
}

/** pino runs no hook and no formatter over child bindings. Children inherit from the logger, so they get this too. */
function redactBindings(logger: Logger): Logger {
  const { child, setBindings } = logger;
  const cleaned = (bindings: pino.Bindings): pino.Bindings => Object(redact(bindings));
  return Object.defineProperties(logger, {
    child: {
      value(this: Logger, bindings: pino.Bindings, options?: pino.ChildLoggerOptions) {
        return Reflect.apply(child, this, [cleaned(bindings), options]);
      },
    },
    setBindings: {
      value(this: Logger, bindings: pino.Bindings) {
        Reflect.apply(setBindings, this, [cleaned(bindings)]);
      },
    },
  });
}

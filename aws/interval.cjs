/** How often scan runs: the rate of its schedule and the same in seconds are two parameters, which must agree. */
const { integer, readParams } = require('./params.cjs');

const SECONDS = { minute: 60, hour: 3_600 };

async function intervalOf(resolveVariable) {
  const params = await readParams(resolveVariable, ['scanRate', 'scanInterval', 'overdueAfter']);
  const seconds = integer('scanInterval', params.scanInterval, 60);
  const [, count, unit = '', plural] = /^rate\((\d{1,4}) (minute|hour)(s?)\)$/.exec(params.scanRate) ?? [];
  if (Number(count) * SECONDS[unit] !== seconds || (plural === '') !== (count === '1')) {
    throw new Error(
      'The parameters scanRate, as rate(1 minute) or rate(5 minutes), and scanInterval, in seconds, differ.',
    );
  }
  const overdue = params.overdueAfter === '' ? 2 * seconds : integer('overdueAfter', params.overdueAfter, 1);
  return { rate: params.scanRate, seconds, overdue };
}

const part =
  (name) =>
  async ({ resolveVariable }) =>
    (await intervalOf(resolveVariable))[name];

module.exports = {
  rate: part('rate'),
  seconds: part('seconds'),
  /** Seconds after which what is due is overdue: two intervals, unless a parameter says otherwise. */
  overdue: part('overdue'),
};

/**
 * How many instances of a function are kept for it, and are the most there can be. `none` keeps none: an account whose quota is 10, as that of a new
 * one is, cannot keep any. What works on a queue needs no such bound, its event source has one.
 */
const { integer, readParams } = require('./params.cjs');

const reserved =
  (name) =>
  async ({ resolveVariable }) => {
    const { [name]: value } = await readParams(resolveVariable, [name]);
    return value === 'none' ? null : integer(name, value, 1);
  };

module.exports = {
  scan: reserved('scanConcurrency'),
  fetch: reserved('fetchConcurrency'),
  manage: reserved('manageConcurrency'),
};

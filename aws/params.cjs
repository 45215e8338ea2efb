/**
 * Reads the parameters that serverless.yml lists under `params`, for the files beside this one that leave out what a stage has not.
 * CommonJS, because the framework loads no other kind. Whatever is wrong with a parameter ends `package` before anything is made.
 */

/**
 * @param {(variable: string) => Promise<unknown>} resolveVariable
 * @param {readonly string[]} names
 * @returns {Promise<Record<string, string>>} each as text, without blanks around it
 */
exports.readParams = async (resolveVariable, names) => {
  const values = await Promise.all(names.map((name) => resolveVariable(`param:${name}`)));
  return Object.fromEntries(names.map((name, index) => [name, String(values[index] ?? '').trim()]));
};

/**
 * What the names of all that a stage has begin with.
 * @param {(variable: string) => Promise<unknown>} resolveVariable
 */
exports.prefixOf = async (resolveVariable) =>
  `${await resolveVariable('self:service')}-${await resolveVariable('sls:stage')}`;

/** Texts with commas between them; a blank one is none. @param {string} text */
exports.listed = (text) =>
  text
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');

/** @param {string} name @param {string} value @param {number} least */
exports.integer = (name, value, least) => {
  if (/^\d{1,9}$/.test(value) && Number(value) >= least) return Number(value);
  throw new Error(`The parameter ${name} is not a whole number of at least ${least}.`);
};

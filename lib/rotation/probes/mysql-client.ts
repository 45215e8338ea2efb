/** Imported only by `import()`. A bundle has no names of a CommonJS package that is loaded so itself; of a module it has them. */
export { createConnection } from 'mysql2';

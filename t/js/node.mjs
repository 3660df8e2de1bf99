// Runs the cases in Node.js: node.mjs PACKAGE OPTIONS.json

import { readFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { run } from './cases.js';

const { atls } = await import(pathToFileURL(`${process.argv[2]}/index.js`));
const options = JSON.parse(await readFile(process.argv[3], 'utf8'));

console.log(JSON.stringify(await run(atls, options)));

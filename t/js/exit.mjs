// Node.js does not exit before close() has sent a close_notify, although there
// is nothing else to wait for: exit.mjs PACKAGE, with stub/module.js.

import { endpoint } from './endpoint.mjs';
import { pathToFileURL } from 'node:url';

const { atls } = await import(pathToFileURL(`${process.argv[2]}/index.js`));

const server = await endpoint();

server.unref();
server.on('connection', socket => socket.unref());

const later = response => setTimeout(() => response.end(), 500).unref();

server.fault = ({ body }) => body[0] === 0x43 ? later : null;

const f = await atls({ via: server.via, host: 'localhost', ca: 'any' });
const hanging = f('/hang').catch(e => e.code);

await (await f('/a')).text();

const closing = f.close();

console.log(await hanging);
await closing;
console.log('closed');


// ATLS with Node.js 18 or later: a tls.TLSSocket on a Duplex.
//
//     node node.mjs [options] URL PATH ...

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import { parseArgs } from 'node:util';


// What the TLSSocket has for a connection: what it writes goes out in POSTs,
// what they are answered is what it reads.

class Posts extends Duplex {
    #url;
    #cookie;
    #out = [];
    #busy = false;
    #over = false;
    #wanted = () => {};
    count = 0;

    constructor(url) {
        super();
        this.#url = url;
    }

    // A flight comes in several writes, and each POST costs a round trip: what
    // was written is sent once nothing more comes.  One POST at a time: records
    // have numbers, and the server answers 409 to the second one.

    _write(data, encoding, done) {
        if (!this.#over) {
            this.#out.push(data);
            this.#send();
        }

        done();
    }

    #send() {
        if (this.#busy) {
            return;
        }

        this.#busy = true;

        setImmediate(async () => {
            try {
                while (this.#out.length > 0) {
                    await this.#post(Buffer.concat(this.#out.splice(0)));
                    await new Promise(setImmediate);
                }

                this.#busy = false;

            } catch (e) {
                this.destroy(e);
            }
        });
    }

    async #post(body) {
        this.count++;

        const response = await new Promise((resolve, reject) => {
            http.request(this.#url, {
                method: 'POST',
                agent: false,                   // a connection for each
                headers: {
                    'Content-Type': 'application/atls+octet-stream',
                    'Content-Length': body.length,
                    ...this.#cookie && { Cookie: this.#cookie },
                },
            }).on('response', resolve).on('error', reject).end(body);
        });

        // 410, or a cookie that is taken back: the session is over, as if the
        // connection had been closed.  A real client begins a new one.

        const cookie = response.headers['set-cookie']?.[0].split(';')[0];

        this.#cookie = cookie ?? this.#cookie;
        this.#over = response.statusCode === 410 || cookie === 'atls=';

        if (response.statusCode === 410) {
            response.resume();

        } else if (response.statusCode !== 200) {
            const problem = (await response.toArray()).join('');
            throw new Error(`HTTP: status ${response.statusCode}: ${problem}`);

        } else {
            for await (const data of response) {
                if (!this.push(data)) {
                    await new Promise(resolve => this.#wanted = resolve);
                }
            }
        }

        // else the end of the response is no end of the stream

        if (this.#over) {
            this.push(null);
        }
    }

    _read() {
        this.#wanted();
    }
}


const { values: options, positionals: [ url, ...paths ] } = parseArgs({
    allowPositionals: true,
    options: {
        'tls1.2': { type: 'boolean' },
        'tls1.3': { type: 'boolean' },
        ca: { type: 'string' },
        name: { type: 'string' },
        resume: { type: 'boolean' },
        export: { type: 'string' },
        psk: { type: 'string' },
    },
});

const name = options.name ?? new URL(url).hostname;

const [ , identity, key ] = options.psk?.match(/(.*):(.*)/) ?? [];

const context = tls.createSecureContext({
    ca: options.ca && readFileSync(options.ca),
    minVersion: options['tls1.3'] ? 'TLSv1.3' : 'TLSv1.2',
    maxVersion: options['tls1.2'] ? 'TLSv1.2' : 'TLSv1.3',
    ciphers: identity && tls.DEFAULT_CIPHERS.replace(':!PSK', ''),
});


// Whoever is between ends the outer TLS, so the certificate is what protects:
// rejectUnauthorized is left at its default.  Servername is the name to ask for
// and to verify; without it, the certificate is to be one of "localhost".

function connect(posts, session) {
    return tls.connect({
        socket: posts,
        secureContext: context,
        servername: name,
        session,
        ...identity && {
            pskCallback: () => ({ identity, psk: Buffer.from(key, 'hex') }),

            // there is none, if the key was used, nor if there should be one:
            // that has failed by now

            checkServerIdentity: (host, certificate) =>
                certificate?.subject || certificate?.subjectaltname
                ? tls.checkServerIdentity(host, certificate) : undefined,
        },
    });
}


// What is written before 'secureConnect' goes out together with our last
// flight, and not before the certificate was verified.

async function request(socket, path, out) {
    const response = await new Promise((resolve, reject) => {
        http.get({
            path,
            headers: { Host: name, Connection: 'keep-alive' },
            createConnection: () => socket,
        }).on('response', resolve).on('error', reject);
    });

    for await (const data of response) {
        if (out && !out.write(data)) {
            await once(out, 'drain');
        }
    }
}


let ticket;

for (let left = options.resume ? 2 : 1; left > 0; left--) {
    const posts = new Posts(url);
    const socket = connect(posts, ticket);

    // in TLS 1.3 after the handshake, and several times

    socket.on('session', session => ticket = session);

    try {
        for (const path of paths) {
            await request(socket, path, left === 1 ? process.stdout : null);
        }

        const exported = options.export
                         && socket.exportKeyingMaterial(32, options.export);
        const protocol = socket.getProtocol();
        const resumed = socket.isSessionReused() ? 1 : 0;

        socket.end();                           // close_notify

        if (!socket.destroyed) {
            await once(socket, 'close');
        }

        if (left === 1) {
            console.error(`protocol ${protocol} resumed ${resumed} exporter `
                          + `${exported ? exported.toString('hex') : '-'} `
                          + `posts ${posts.count}`);
        }

    } catch (e) {
        console.error(`TLS: ${e.message}`);
        process.exit(1);
    }
}

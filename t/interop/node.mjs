
// ATLS with Node.js 18 or later: a tls.TLSSocket on a Duplex.
//
//     node node.mjs [options] URL PATH ...

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import { parseArgs } from 'node:util';


// The transport of the TLSSocket: data written are sent in POSTs, and data read
// are the bodies of the responses.

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

    // A flight consists of several writes, and each POST takes a round trip, so
    // data are collected before a POST.  Send one POST at a time: records are
    // numbered, and a concurrent POST gets 409.

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

    // Later POSTs are sent to the URI of the session, if it has one.

    #follow(location) {
        const url = new URL(location ?? '', this.#url);

        if (url.origin !== new URL(this.#url).origin) {
            throw new Error(`HTTP: Location: ${location}`);
        }

        this.#url = url;
    }

    async #post(body) {
        this.count++;

        const response = await new Promise((resolve, reject) => {
            http.request(this.#url, {
                method: 'POST',
                agent: false,                   // one connection per POST
                headers: {
                    'Content-Type': 'application/atls+octet-stream',
                    'Content-Length': body.length,
                    ...this.#cookie && { Cookie: this.#cookie },
                },
            }).on('response', resolve).on('error', reject).end(body);
        });

        // 410 or an expired cookie: the session is closed, like a connection.
        // A real client opens a new one.

        const cookie = response.headers['set-cookie']?.[0].split(';')[0];

        this.#cookie = cookie ?? this.#cookie;
        this.#over = response.statusCode === 410 || cookie === 'atls=';

        if (response.statusCode === 410) {
            response.resume();

        } else if (response.statusCode !== 200 && response.statusCode !== 201) {
            const problem = (await response.toArray()).join('');
            throw new Error(`HTTP: status ${response.statusCode}: ${problem}`);

        } else {
            if (response.statusCode === 201) {
                this.#follow(response.headers.location);
            }

            for await (const data of response) {
                if (!this.push(data)) {
                    await new Promise(resolve => this.#wanted = resolve);
                }
            }
        }

        // otherwise, the end of the response is not the end of the stream

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


// A proxy may terminate the outer TLS: only this verification counts, so do not
// change rejectUnauthorized.  servername is the name for SNI and verification;
// it is "localhost" by default.

function connect(posts, session) {
    return tls.connect({
        socket: posts,
        secureContext: context,
        servername: name,
        session,
        ...identity && {
            pskCallback: () => ({ identity, psk: Buffer.from(key, 'hex') }),

            // the handshake failed if a certificate was required, so a missing
            // one means that the key was used

            checkServerIdentity: (host, certificate) =>
                certificate?.subject || certificate?.subjectaltname
                ? tls.checkServerIdentity(host, certificate) : undefined,
        },
    });
}


// Data written before 'secureConnect' are sent with the last flight, after the
// certificate was verified.

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

    // with TLS 1.3: after the handshake, once for each ticket

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

// A device: TLS of Node.js, carried by coap of npm to a gateway.  Requests
// /exact of localhost, and prints the body of the response.
//
//     node coap_device.js PORT CA-FILE

'use strict';

const coap = require('coap');
const fs = require('fs');
const tls = require('tls');
const { Duplex } = require('stream');

const [port, ca] = process.argv.slice(2);

let path = '/.well-known/atls';


// Calls done with the payload of the response.

function post(bytes, done) {
    const request = coap.request({ host: '127.0.0.1', port, method: 'POST',
                                   pathname: path });

    request.setOption('Content-Format', Buffer.from([65000 >> 8, 65000 & 255]));

    request.on('error', fail);
    request.on('response', (response) => {
        const segments = response.options
            .filter((option) => option.name === 'Location-Path')
            .map((option) => option.value.toString());

        if (response.code === '2.01') {
            path = '/' + segments.join('/').replace(/^\/+/, '');
        } else if (response.code !== '2.04') {
            fail(new Error(response.code));
        }

        done(response.payload);
    });

    request.end(bytes);
}


function fail(error) {
    console.error(error);
    process.exit(1);
}


// What TLS writes in one turn of the event loop is one POST.

class Carrier extends Duplex {
    pending = [];
    busy = false;

    _read() { }

    _write(bytes, encoding, done) {
        this.pending.push(bytes);
        setImmediate(() => this.flush());
        done();
    }

    flush() {
        if (this.busy || this.pending.length === 0) {
            return;
        }

        const bytes = Buffer.concat(this.pending);

        this.pending = [];
        this.busy = true;

        post(bytes, (payload) => {
            this.busy = false;
            this.push(payload);

            // after the response, the agent closes its socket

            setImmediate(() => this.flush());
        });
    }
}


// coap sends no blocks: the ClientHello fits into one datagram without the key
// share of a post-quantum group.

const socket = tls.connect({ socket: new Carrier(), servername: 'localhost',
                             ecdhCurve: 'X25519', ca: fs.readFileSync(ca) });

let response = '';

socket.on('error', fail);
socket.on('secureConnect', () => {
    socket.write('GET /exact HTTP/1.1\r\nHost: localhost\r\n\r\n');
});

socket.on('data', (bytes) => {
    response += bytes;

    const at = response.indexOf('\r\n\r\n');

    if (at !== -1 && response.endsWith('exactly\n')) {
        process.stdout.write(response.slice(at + 4), () => process.exit(0));
    }
});

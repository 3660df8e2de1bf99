// A WebSocket client: ws of npm.  Sends messages to /echo at once, and counts
// those that return in order; receives those of /push; pings.  Prints the
// results.
//
//     node websocket.js URL MESSAGES PUSHED MILLISECONDS [CA-FILE]

'use strict';

const fs = require('fs');
const WebSocket = require('ws');

const [url, messages, pushed, pause, ca] = process.argv.slice(2);
const options = ca ? { ca: fs.readFileSync(ca) } : {};


function fail(error) {
    console.error(error);
    process.exit(1);
}


// Calls ready with the connection, and message with each message; resolves with
// the code of the close frame of the server.

function connect(path, ready, message) {
    return new Promise((resolve) => {
        const ws = new WebSocket(url + path, options);

        ws.on('error', fail);
        ws.on('open', () => ready(ws));
        ws.on('message', (data) => message(ws, data.toString()));
        ws.on('close', resolve);
    });
}


async function echo() {
    let n = 0;

    const code = await connect('/echo?of=js', (ws) => {
        for (let i = 1; i <= messages; i++) {
            ws.send('message ' + i);
        }
    }, (ws, text) => {
        if (text !== 'message ' + ++n) {
            fail(new Error(text));
        }

        if (n == messages) {
            ws.close(1000);
        }
    });

    return `echo ${n} ${code}`;
}


async function push() {
    let n = 0;

    const code = await connect(`/push?n=${pushed}&ms=${pause}`, () => { },
        (ws, text) => {
            if (text !== String(++n)) {
                fail(new Error(text));
            }

            if (n == pushed) {
                ws.close(1000);
            }
        });

    return `push ${n} ${code}`;
}


async function ping() {
    let got;

    const code = await connect('/echo?ping', (ws) => {
        ws.on('pong', (data) => {
            got = data.toString();
            ws.close(1001, 'bye');
        });

        ws.ping('there?');
    }, () => { });

    return `pong ${got} ${code}`;
}


(async () => {
    console.log(await echo());
    console.log(await push());
    console.log(await ping());
})().catch(fail);

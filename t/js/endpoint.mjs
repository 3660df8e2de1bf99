// An endpoint for stub/module.js, with the retries of docs/protocol.md, and the
// path to it.
//
//     const server = await endpoint();
//     server.fault = post => ...
//
// A fault is 'request' or 'response', which is lost; 'half' of the response is,
// or a middlebox has made it 'short', with a new length; { instead: { status,
// headers, body } } of processing the POST; or a function that gets the response
// of Node.js.

import http from 'node:http';

const KEPT = 4096;                              // as atls_retry_buffer
const TYPE = 'application/atls+octet-stream';


export function record(type, data = '') {
    const bytes = Buffer.from(data);
    const records = [];
    let at = 0;

    do {
        const piece = bytes.subarray(at, at + 16384);

        records.push(Buffer.from([ type.charCodeAt(0), piece.length >> 8,
                                   piece.length & 255 ]), piece);
        at += piece.length;
    } while (at < bytes.length);

    return Buffer.concat(records);
}


export const problem = (status, name) => ({
    status, headers: { 'Content-Type': 'application/problem+json' },
    body: JSON.stringify({ type: `tag:atls,2026:${name}`, status }),
});


const tls = (status, body, headers = {}) => ({
    status, body, headers: { 'Content-Type': TYPE, ...headers },
});


export async function endpoint() {
    const server = http.createServer(async (request, response) => {
        const pieces = [];

        for await (const piece of request) {
            pieces.push(piece);
        }

        const post = { method: request.method, url: request.url,
                       headers: request.headers, body: Buffer.concat(pieces) };

        server.posts.push(post);

        const fault = server.fault?.(post);

        if (typeof fault === 'function') {
            fault(response);
            return;
        }

        if (fault === 'request') {
            response.destroy();
            return;
        }

        send(response, fault?.instead ?? answer(server, post), fault);
    });

    Object.assign(server, { posts: [], sessions: new Map(), counts: {},
                            alerts: [], flight: 'flight', last: 0 });

    server.keepAliveTimeout = 0;                // connections are kept

    await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));

    server.origin = `http://127.0.0.1:${server.address().port}`;
    server.via = `${server.origin}/atls`;

    server.stop = () => {
        server.closeAllConnections();
        server.close();
    };

    return server;
}


function send(response, { status, headers, body, forever }, fault) {
    if (forever) {
        return;
    }

    if (fault === 'response') {
        response.destroy();
        return;
    }

    if (fault === 'short') {
        body = body.subarray(0, body.length / 2);
    }

    response.writeHead(status, { 'Content-Length': body.length, ...headers });

    if (fault === 'half') {
        response.write(body.subarray(0, body.length / 2));
        setTimeout(() => response.destroy(), 30);
        return;
    }

    response.end(body);
}


function answer(server, { url, body }) {
    const id = /^\/atls\/(\d+)$/.exec(url)?.[1];
    const session = server.sessions.get(id);

    if (url === '/atls' && body[0] === 0x48) {
        const created = { id: String(++server.last), input: '', last: body };

        created.answer = tls(201, record('H', server.flight),
                             { Location: `/atls/${created.id}`,
                               'Set-Cookie': 'a=b' });
        server.sessions.set(created.id, created);

        return created.answer;
    }

    if (!session) {
        return problem(410, 'session-unknown');
    }

    if (body.length === 0) {
        return tls(200, Buffer.alloc(0));
    }

    if (session.last?.equals(body)) {
        return session.answer.body.length > KEPT ? problem(410, 'answer-lost')
                                                 : session.answer;
    }

    session.last = body;
    session.answer = tls(200, Buffer.concat(records(server, session, body)));

    return session.forever ? { forever: true } : session.answer;
}


function records(server, session, body) {
    const answers = [];

    for (let at = 0; at < body.length; ) {
        const end = at + 3 + body.readUInt16BE(at + 1);
        const data = body.subarray(at + 3, end);

        switch (String.fromCharCode(body[at])) {

        case 'A':
            server.alerts.push(data.toString());
            server.sessions.delete(session.id);
            break;

        case 'C':
            server.sessions.delete(session.id);
            break;

        case 'D':
            session.input += data.toString('latin1');
            answers.push(...requests(server, session));
        }

        at = end;
    }

    return answers;
}


// The request, if it is complete.

function requests(server, session) {
    const { input } = session;
    const end = input.indexOf('\r\n\r\n') + 4;

    if (end === 3) {
        return [];
    }

    const header = input.slice(0, end);
    const [ , method, path ] = /^(\S+) (\S+)/.exec(header);
    const length = Number(/^Content-Length: (\d+)/m.exec(header)?.[1] ?? 0);
    const chunked = /^Transfer-Encoding: chunked/m.test(header);
    let body = input.slice(end);

    if (chunked ? !body.endsWith('0\r\n\r\n') : body.length < length) {
        if (!path.startsWith('/early') || session.early) {
            return [];
        }

        session.early = true;

        return respond(server, session, { header, method, path, body });
    }

    if (chunked) {
        body = body.replace(/[\da-f]+\r\n([^]*?)\r\n/g, '$1');
    }

    session.input = '';

    const name = `${method} ${path} ${body}`.slice(0, 80).trim();

    server.counts[name] = (server.counts[name] ?? 0) + 1;

    if (session.early) {
        session.early = false;
        return [];
    }

    return respond(server, session, { header, method, path, body });
}


function respond(server, session, { header, method, path, body }) {
    const [ , name, value ] = /^\/(\w*)\/?(.*)$/.exec(path);
    const text = (status, content, headers = {}) => record('D', Buffer.concat([
        Buffer.from([ `HTTP/1.1 ${status} OK`,
            ...Object.entries({ 'Content-Length': content.length, ...headers })
                .filter(field => field[1] !== null)
                .map(field => field.join(': ')), '\r\n' ].join('\r\n'),
                    'latin1'),
        Buffer.from(method === 'HEAD' ? '' : content, 'latin1') ]));

    switch (name) {

    case 'hang':
        session.forever = true;
        return [];

    case 'body':
        return [ text(200, body) ];

    case 'early':
        return [ text(Number(value), 'early') ];

    case 'fields':
        return [ text(200, header) ];

    case 'live':
        return [ text(200, /^X-Live: (\d+)/m.exec(header)[1]) ];

    case 'big':
        return [ text(200, 'x'.repeat(Number(value))) ];

    case 'status':
        return [ text(Number(value), 'y'.repeat(300000)) ];

    case 'eof':
        return [ text(200, 'to the end', { 'Content-Length': null }),
                 record('C') ];

    case 'cut':
        return [ text(200, 'cut', { 'Content-Length': null }) ];

    case 'to': {
        const [ , code, to ] = /^(\d+)\/(.*)$/.exec(value);

        return [ text(Number(code), 'z'.repeat(code === '302' ? 1000000 : 1),
                      { Location: decodeURIComponent(to) }) ];
    }

    case 'header':
        return [ text(200, '', { 'X-A': decodeURIComponent(value) }) ];
    }

    return [ text(200, `${method} ${path} ${session.id}`) ];
}

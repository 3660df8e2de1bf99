#!/usr/bin/env python3
"""An endpoint that does not do as it should, for tests of clients.

    evil_server.py PORT CERTIFICATE KEY LOG

The path of a POST says in what way: /WHAT[/ARGUMENT].  OUTER has ways that
have nothing to do with TLS, INNER those of a server that makes a handshake and
then gives these bytes as the answer to a request.  The log gets a line
"PATH METHOD" for each inner request.
"""

import random
import re
import socket
import socketserver
import ssl
import sys
import threading
import time

TYPE = b"application/atls+octet-stream"
OK = b"HTTP/1.1 200 OK\r\n"
HELLO = OK + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

CLOSE = object()        # close_notify
DROP = object()         # the connection is closed, without an answer
ALERT = object()        # a fatal alert


# name: what is written for a request, in one POST after the other

INNER = {
    "good": [HELLO],
    "length-0": [OK + b"Content-Length: 0\r\n\r\n"],
    "interim": [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n"
                b"Link: </a>\r\n\r\n" + HELLO],
    "chunks": [CHUNKED + b"5;a=b;c=\"d\"\r\nhello\r\n006 \r\n world\r\n0\r\n"
               b"X-Trailer: yes\r\n\r\n"],
    "no-reason": [b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"],
    "spaces": [OK + b"X-A:\r\nX-B: \t b \t\r\nX-C:c\r\n"
               b"Content-Length:\t5 \r\n\r\nhello"],
    "http-1.0": [(b"HTTP/1.0 200 OK\r\n\r\nhello", CLOSE)],
    "to-the-end": [(OK + b"\r\nhello", CLOSE)],
    "close": [(OK + b"Content-Length: 5\r\nConnection: close\r\n\r\nhello",
               CLOSE)],
    "says-close": [OK + b"Connection: x, Close\r\nContent-Length: 5\r\n\r\n"
                   b"hello"],
    "extra": [HELLO + b"HTTP/1.1 200 OK\r\n\r\n"],
    "no-content": [b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n"],

    "to-no-end": [OK + b"\r\nhello"],
    "short": [(OK + b"Content-Length: 6\r\n\r\nhello", CLOSE)],
    "short-open": [OK + b"Content-Length: 6\r\n\r\nhello"],
    "half-header": [(OK + b"X: y\r\n", CLOSE)],
    "half-chunk": [(CHUNKED + b"6\r\nhello", CLOSE)],
    "no-last-chunk": [(CHUNKED + b"5\r\nhello\r\n", CLOSE)],
    "no-trailer-end": [(CHUNKED + b"0\r\nA: b\r\n", CLOSE)],
    "nothing": [b""],
    "closes": [(b"", CLOSE)],
    "interim-only": [(b"HTTP/1.1 100 Continue\r\n\r\n", CLOSE)],

    "status-text": [b"HTTP/1.1 2OO OK\r\n\r\n"],
    "status-short": [b"HTTP/1.1 20\r\n\r\n"],
    "status-long": [b"HTTP/1.1 2000 OK\r\n\r\n"],
    "status-0": [b"HTTP/1.1 000 OK\r\n\r\n"],
    "version-2": [b"HTTP/2.0 200 OK\r\n\r\n"],
    "version-11": [b"HTTP/1.11 200 OK\r\n\r\n"],
    "http-0.9": [b"<html>hello</html>\n"],
    "not-http": [b"SSH-2.0-OpenSSH\r\n"],
    "empty-line": [b"\r\n" + HELLO],
    "lf": [b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"],
    "lf-in-header": [OK + b"A: b\nC: d\r\n\r\n"],
    "cr-in-header": [OK + b"A: b\rC: d\r\n\r\n"],
    "nul-in-header": [OK + b"A: b\0\r\n\r\n"],
    "control": [OK + b"A: b\x1b[2J\r\n\r\n"],
    "c1": [b"HTTP/1.1 200 O\x9b1K \xc2\x9bK\r\nContent-Length: 5\r\n"
           b"X-One: \x9b2J\x9d0;title\x9c\r\n"
           b"X-Two: \xc2\x9b2J \xe2\x80\xaertl \xe2\x80\xa8 \xf5\xc0\xaf\r\n"
           b"X-Good: \xe2\x80\x9cgood\xe2\x80\x9d\r\n\r\nhello"],
    "control-in-reason": [b"HTTP/1.1 200 O\x07K\r\n\r\n"],
    "fold": [OK + b"A: b\r\n c\r\n\r\n"],
    "no-colon": [OK + b"Header\r\n\r\n"],
    "no-name": [OK + b": value\r\n\r\n"],
    "space-before-colon": [OK + b"Content-Length : 5\r\n\r\nhello"],
    "huge-header": [OK + b"A: " + b"b" * 70000 + b"\r\n\r\n"],
    "many-headers": [OK + b"A: b\r\n" * 20000 + b"\r\n"],
    "huge-line": [b"H" * 100000],
    "long-status": [b"HTTP/1.1 200 " + b"O" * 70000 + b"\r\n\r\n"],
    "endless-interim": [b"HTTP/1.1 100 Continue\r\n\r\n" * 10000],
    "switch": [b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"],
    "lengths": [OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"],
    "same-lengths": [OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n"],
    "length-list": [OK + b"Content-Length: 5, 5\r\n\r\nhello"],
    "length-minus": [OK + b"Content-Length: -5\r\n\r\nhello"],
    "length-plus": [OK + b"Content-Length: +5\r\n\r\nhello"],
    "length-hex": [OK + b"Content-Length: 0x5\r\n\r\nhello"],
    "length-none": [OK + b"Content-Length: \r\n\r\nhello"],
    "length-large": [OK + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nhello"],
    "length-and-chunks": [OK + b"Content-Length: 5\r\nTransfer-Encoding: "
                          b"chunked\r\n\r\n0\r\n\r\n"],
    "chunks-1.0": [b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                   b"0\r\n\r\n"],
    "gzip": [OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"],
    "chunked-twice": [OK + b"Transfer-Encoding: chunked\r\n"
                      b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    "chunk-letter": [CHUNKED + b"g\r\n"],
    "chunk-empty": [CHUNKED + b"\r\n"],
    "chunk-minus": [CHUNKED + b"-1\r\n"],
    "chunk-large": [CHUNKED + b"f" * 16 + b"\r\n"],
    "chunk-larger": [CHUNKED + b"1" + b"0" * 30 + b"\r\n"],
    "chunk-zeros": [CHUNKED + b"0" * 70000],
    "chunk-lf": [CHUNKED + b"5\nhello\r\n0\r\n\r\n"],
    "chunk-long": [CHUNKED + b"5\r\nhello!\r\n0\r\n\r\n"],
    "chunk-extension": [CHUNKED + b"5;" + b"x" * 70000 + b"\r\nhello\r\n"],
    "trailers": [CHUNKED + b"0\r\n" + b"A: b\r\n" * 20000 + b"\r\n"],

    "second-closes": [HELLO, (b"", CLOSE)],
    "second-alerts": [HELLO, ALERT],
    "second-drops": [HELLO, DROP],
    "second-cut": [HELLO, (HELLO[:-1], CLOSE)],
    "second-409": [HELLO, 409],
    "second-410": [HELLO, 410],
    "second-503": [HELLO, 503],
    "second-empty": [HELLO, b""],
    "alerts": [ALERT],
    "drops": [DROP],
    "gone": [410],
}


class Evil(socketserver.BaseRequestHandler):

    sessions = {}
    lock = threading.Lock()

    def handle(self):
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.request.makefile("rb")
        try:
            while self.serve():
                pass
        except (OSError, ValueError):
            pass

    def serve(self):
        line = self.file.readline()
        if not line:
            return False

        self.path = line.split()[1].decode()
        self.cookie, length = None, 0

        while True:
            header = self.file.readline().strip()
            if not header:
                break
            name, _, value = header.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
            if name.lower() == b"cookie":
                match = re.search(rb"atls=(\w+)", value)
                self.cookie = match and match.group(1)

        body = self.file.read(length)
        what, _, argument = self.path[1:].partition("/")
        return getattr(self, "do_" + what.replace("-", "_"))(argument, body)

    def send(self, data):
        self.request.sendall(data)
        return True

    def answer(self, status, body=b"", kind=TYPE, *headers):
        kind = [b"Content-Type: " + kind] if kind else []
        lines = [b"HTTP/1.1 %d Some" % status, *kind,
                 b"Content-Length: %d" % len(body), *headers, b"", body]
        return self.send(b"\r\n".join(lines))

    # OUTER

    def do_status(self, argument, body):
        status = int(argument)
        problem = (b'{"type":"about:blank","title":"Some","status":%d,'
                   b'"more":[{"detail":"no"},"\\"}"],'
                   b'"detail":"the \\u201creason\\u201d\\n of %d\\u001b[2J"}'
                   % (status, status))
        more = [b"Retry-After: 7"] if status == 503 else []
        return self.answer(status, problem, b"application/problem+json",
                           *more)

    # what a terminal takes for an order, in all that is quoted

    def do_c1(self, argument, body):
        c1 = b"\x9b2J \xc2\x9b2J \xe2\x80\xae \xe2\x80\x9cgood\xe2\x80\x9d"
        if argument == "detail":
            return self.answer(400, b'{"detail":"%s"}' % c1,
                               b"application/problem+json")
        if argument == "type":
            return self.answer(200, b"", b"text/" + c1)
        if argument == "redirect":
            return self.answer(302, b"", b"text/html",
                               b"Location: https://elsewhere.example/" + c1)
        self.send(b"HTTP/1.1 400 " + c1 + b"\r\nX: " + c1
                  + b"\r\nContent-Length: 0\r\n\r\n")
        return False

    def do_html(self, argument, body):
        return self.answer(int(argument), b"<html>" * 100, b"text/html")

    def do_large(self, argument, body):
        return self.answer(int(argument), b"<html>" * 1000000, b"text/html")

    def do_problem(self, argument, body):
        kinds = {
            "none": b"",
            "open": b'{"detail":"',
            "escape": b'{"detail":"\\',
            "unicode": b'{"detail":"\\u00',
            "deep": b'{"x":' + b"[" * 8000,
            "other": b'{"detail":{"detail":"no"}}',
            "array": b'["detail","x"]',
            "title": b'{"status":400,"title":"only a title"}',
            "random": random.Random(len(body)).randbytes(500),
        }
        return self.answer(400, kinds[argument], b"application/problem+json")

    def do_redirect(self, argument, body):
        return self.answer(int(argument), b"", b"text/html",
                           b"Location: https://elsewhere.example/atls")

    def do_type(self, argument, body):
        return self.answer(200, b"<html>", b"text/html; charset=utf-8")

    def do_no_type(self, argument, body):
        return self.answer(200, b"", None)

    def do_type_case(self, argument, body):
        self.kind = b"Application/ATLS+Octet-Stream ; charset=binary"
        return self.do_inner("good", body)

    def do_empty(self, argument, body):
        return self.answer(200)

    def do_bytes(self, argument, body):
        return self.answer(200, bytes.fromhex(argument))

    def do_echo(self, argument, body):
        return self.answer(200, body)

    def do_garbage(self, argument, body):
        return self.answer(200, random.Random(argument).randbytes(10000))

    def do_ccs(self, argument, body):
        return self.answer(200, b"\x14\x03\x03\x00\x01\x01" * 10000)

    def do_warnings(self, argument, body):
        return self.answer(200, b"\x15\x03\x03\x00\x02\x01\x5a" * 10000)

    def do_close(self, argument, body):
        return False

    def do_cut(self, argument, body):
        self.send(b"HTTP/1.1 200 OK\r\nContent-Type: " + TYPE
                  + b"\r\nContent-Length: 1000\r\n\r\n\x16\x03")
        return False

    def do_raw(self, argument, body):
        self.send(b"not HTTP at all\r\n\r\n")
        return False

    def do_headers(self, argument, body):
        self.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            self.send(b"X-Header: " + b"x" * 1000 + b"\r\n")

    def do_header(self, argument, body):
        self.send(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            self.send(b"x" * 10000)

    def do_interim(self, argument, body):
        while True:
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)

    def do_slow(self, argument, body):
        self.send(b"HTTP/1.1 200 OK\r\nContent-Type: " + TYPE
                  + b"\r\nContent-Length: 1000\r\n\r\n")
        while True:
            self.send(b"\x16")
            time.sleep(0.3)

    def do_hang(self, argument, body):
        self.file.read(1)
        return False

    # a good answer with some bytes changed

    def do_fuzz(self, argument, body):
        self.fuzz = random.Random(argument)
        return self.do_inner("good", body)

    # INNER

    def do_inner(self, name, body):
        with self.lock:
            session = self.sessions.get(self.cookie)

        headers = []

        if session is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(sys.argv[2], sys.argv[3])
            received, to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context.wrap_bio(received, to_send, server_side=True)
            cookie = b"%016x" % random.getrandbits(64)
            session = {"tls": tls, "in": received, "out": to_send, "n": 0}
            with self.lock:
                self.sessions[cookie] = session
            headers = [b"Set-Cookie: atls=" + cookie + b"; HttpOnly"]

        session["in"].write(body)
        act = self.act(session, name)

        if act is DROP:
            return False
        if isinstance(act, int):
            return self.do_status(str(act), body)

        data = session["out"].read()
        if hasattr(self, "fuzz"):
            return self.mangle(data, headers)
        return self.answer(200, data, getattr(self, "kind", TYPE), *headers)

    def act(self, session, name):
        tls = session["tls"]

        try:
            tls.do_handshake()
            if name == "eager":
                tls.write(HELLO)        # nobody has asked yet
            request = tls.read(65536)
        except ssl.SSLError:
            return None

        # all bodies are small here

        if not request:
            return None

        with open(sys.argv[4], "a") as log:
            log.write(self.path + " " + request.split()[0].decode() + "\n")

        acts = INNER["good" if name == "eager" else name]
        act = acts[min(session["n"], len(acts) - 1)]
        session["n"] += 1

        if act is ALERT:
            session["in"].write(b"\x17\x03\x03\x00\x20" + b"x" * 32)
            try:
                tls.read()
            except ssl.SSLError:
                pass
            return None

        data, close = act if isinstance(act, tuple) else (act, None)

        if data is DROP or isinstance(data, int):
            return data

        tls.write(data) if data else None

        if close is CLOSE:
            try:
                tls.unwrap()
            except ssl.SSLError:
                pass

        return None

    def mangle(self, data, headers):
        lines = [b"HTTP/1.1 200 OK", b"Content-Type: " + TYPE,
                 b"Content-Length: %d" % len(data), *headers, b"", data]
        all = bytearray(b"\r\n".join(lines))

        for _ in range(self.fuzz.randint(1, 5)):
            at = self.fuzz.randrange(len(all))
            how = self.fuzz.randrange(4)
            if how == 0:
                all[at] ^= 1 << self.fuzz.randrange(8)
            elif how == 1:
                del all[at:at + self.fuzz.randint(1, 10)]
            elif how == 2:
                all[at:at] = self.fuzz.randbytes(self.fuzz.randint(1, 10))
            else:
                all[at] = self.fuzz.randrange(256)

        self.send(bytes(all))
        return False


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64


Server(("127.0.0.1", int(sys.argv[1])), Evil).serve_forever()

#!/usr/bin/env python3
"""Proxies in front of an HTTP server that do to POSTs what middleboxes do.

    meddler.py CERTIFICATE KEY SERVER_PORT [PORT WHAT ...]

WHAT is "nothing", or NAME[=ARGUMENT], or several of these with commas between:

    to requests:    no-cookie request-type gzip-request change-request
                    no-request-body get
                    no-path         removes the identifier of a session
                    repeat          POSTs twice, returns the second response
                    repeat-first    the first one
                    overlap         without a body, while one is in progress
                    change-post=N   changes the Nth POST of a connection
                    buffer-requests
    responses       page portal login blocked bad-gateway limit=BYTES
    with state:     cache cache-all (also of POSTs with a cookie)
                    gateway-timeout=N   from the Nth POST on, which is passed on
                    busy=N              the same, with a 503
                    no-http=N           the same, not HTTP
                    hang-up=N           the same, a part of a header
                    slow=SECONDS        if a POST takes longer
    to responses:   no-set-cookie cookie-path media-type gzip-response
                    change-response no-response-body half-response via
                    buffer-responses no-location
                    change-response=N   only that to the Nth POST
                    location=PREFIX     before the identifier in Location
    other:          scattered=PORT  every second POST goes to another server
                    later=SECONDS   delays a POST while one is in progress
                    idle=SECONDS    closes idle connections of clients
                    tls             clients use TLS

With "nothing", bodies are passed on as they come, both ways at the same time.
A line is printed for each request and response.
"""

import asyncio
import contextlib
import gzip
import re
import ssl
import sys

CHUNK = 65536

FORGED = {
    "gateway-timeout": b"HTTP/1.1 504 Gateway Timeout\r\n"
                       b"Content-Length: 0\r\n\r\n",
    "busy": b"HTTP/1.1 503 Service Unavailable\r\n"
            b"Retry-After: 1\r\nContent-Length: 0\r\n\r\n",
    "no-http": b"Hello\r\n\r\n",
    "hang-up": b"HTTP/1.1 200 OK\r\n",
}


class Closed(Exception):
    pass


class Message:
    """The head of a request or a response, and how its body ends."""

    def __init__(self, line, fields):
        self.line, self.fields = line, fields

    @classmethod
    async def read(cls, reader):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            raise Closed from None
        lines = head.decode("latin-1").split("\r\n")
        return cls(lines[0], [tuple(part.strip() for part in x.split(":", 1))
                              for x in lines[1:] if x])

    def get(self, name, default=None):
        return next((v for n, v in self.fields if n.lower() == name.lower()),
                    default)

    def remove(self, *names):
        self.fields = [(n, v) for n, v in self.fields
                       if n.lower() not in [x.lower() for x in names]]

    def set(self, name, value):
        self.remove(name)
        self.fields.append((name, value))

    def bytes(self):
        lines = [self.line] + [f"{n}: {v}" for n, v in self.fields]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    @property
    def status(self):
        return int(self.line.split()[1])

    @property
    def chunked(self):
        return "chunked" in self.get("Transfer-Encoding", "").lower()

    async def pieces(self, reader, request=False):
        """The body, as it comes, without the framing of chunks."""
        while self.chunked:
            left = size = int((await reader.readline()).split(b";")[0], 16)
            while left:
                piece = await self.piece(reader, left)
                left -= len(piece)
                yield piece
            await reader.readline()
            if not size:
                return

        length = self.get("Content-Length")
        if length is None and not request:
            while piece := await reader.read(CHUNK):
                yield piece

        left = int(length or 0)
        while left:
            piece = await self.piece(reader, left)
            left -= len(piece)
            yield piece

    async def piece(self, reader, size):
        piece = await reader.read(min(size, CHUNK))
        if not piece:
            raise Closed
        return piece

    async def body(self, reader, request=False):
        return b"".join([x async for x in self.pieces(reader, request)])

    async def forward(self, reader, writer, request=False):
        """Passes the body on as it comes."""
        async for piece in self.pieces(reader, request):
            if self.chunked:
                piece = b"%x\r\n%b\r\n" % (len(piece), piece)
            writer.write(piece)
            await writer.drain()
        if self.chunked:
            writer.write(b"0\r\n\r\n")


def page(status, text, *fields):
    body = f"<html><body>{text}</body></html>\n".encode()
    return Message(f"HTTP/1.1 {status}", [("Content-Type", "text/html"),
                                          *fields]), body


class Meddler:
    """What is done on one port."""

    def __init__(self, server, what):
        self.server = server
        self.cached = None
        self.posts = 0
        self.open = 0
        self.what = dict(item.partition("=")[::2] for item in what.split(","))

    def does(self, *names):
        return any(name in self.what for name in names)

    def number(self, name):
        return float(self.what[name]) if name in self.what else None

    async def serve(self, reader, writer):
        """A client's connection, until the client leaves."""
        task = asyncio.ensure_future(self.requests(reader, writer))
        while not task.done() and not reader.at_eof():
            await asyncio.wait([task], timeout=.05)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, asyncio.TimeoutError,
                                 Closed, OSError):
            await task
        writer.close()

    async def requests(self, reader, writer):
        keep = True
        while keep:
            request = await asyncio.wait_for(Message.read(reader),
                                             self.number("idle"))
            print(request.line, "cookie" if request.get("Cookie") else "-",
                  flush=True)
            self.posts += 1
            async with contextlib.AsyncExitStack() as stack:
                if self.open and self.does("later"):
                    await asyncio.sleep(self.number("later"))
                self.open += 1
                stack.callback(self.done)
                keep = await self.request(request, reader, writer, stack)

    def done(self):
        self.open -= 1

    async def request(self, request, reader, writer, stack):
        answer = self.own_answer(request)
        if answer:
            await request.body(reader, request=True)
            return await self.write(writer, *answer)

        if self.does("repeat", "repeat-first", "overlap", "gzip-request",
                     "change-request", "change-post", "no-request-body",
                     "buffer-requests", "get"):
            body = await request.body(reader, request=True)
            return await self.whole(request, body, writer, stack)

        try:
            return await asyncio.wait_for(
                self.stream(request, reader, writer, stack),
                self.number("slow"))
        except asyncio.TimeoutError:
            await self.write(writer, *page("504 Gateway Timeout", "too slow"))
            return False

    async def connect(self, stack):
        port = self.server
        if self.does("scattered") and self.posts % 2 == 0:
            port = int(self.what["scattered"])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        stack.callback(writer.close)
        return reader, writer

    def own_answer(self, request):
        """A response without the server."""
        limit = self.number("limit")
        if limit and int(request.get("Content-Length", 0)) > limit:
            return page("413 Content Too Large", "too large")
        if self.does("page"):
            return page("200 OK", "Welcome to the network")
        if self.does("portal"):
            return page("302 Found", "Log in",
                        ("Location", "http://portal.test/login"))
        if self.does("login"):
            return page("511 Network Authentication Required", "Log in")
        if self.does("blocked"):
            return page("403 Forbidden", "Category: unknown")
        if self.does("bad-gateway"):
            return page("502 Bad Gateway", "no server")
        if self.cached and (self.does("cache-all")
                            or not request.get("Cookie")):
            response, body = self.cached
            return Message(response.line, response.fields + [("Age", "7")]), \
                body
        return None

    def change_request(self, request, body=None):
        request.remove("Connection")
        if self.does("no-cookie"):
            request.remove("Cookie")
        if self.does("no-path"):
            request.line = re.sub(r"/[\w-]{24} ", " ", request.line)
        if self.does("request-type"):
            request.set("Content-Type", "application/octet-stream")
        if self.does("get"):
            request.line = request.line.replace("POST", "GET")
            body = b""
        if body and self.does("gzip-request"):
            body = gzip.compress(body)
            request.set("Content-Encoding", "gzip")
        if body and (self.does("change-request")
                     or self.number("change-post") == self.posts):
            body = body[:-1] + bytes([body[-1] ^ 1])
        if self.does("no-request-body"):
            body = b""
        if body is not None:
            request.remove("Transfer-Encoding")
            request.set("Content-Length", len(body))
        return body

    def change_response(self, response):
        response.remove("Connection")
        cookie = response.get("Set-Cookie")
        if self.does("no-set-cookie"):
            response.remove("Set-Cookie")
        if cookie and self.does("cookie-path"):
            response.set("Set-Cookie",
                         cookie.replace("Path=/", "Path=/elsewhere/"))
        if self.does("no-location"):
            response.remove("Location")
        if self.does("location") and response.get("Location"):
            response.set("Location", self.what["location"]
                         + response.get("Location").rpartition("/")[2])
        if self.does("media-type") and response.status == 200:
            response.set("Content-Type", "application/octet-stream")
        if self.does("via"):
            response.fields += [("Via", "1.1 gate.test (meddler)"),
                                ("X-Cache", "MISS from gate.test")]

    def change_body(self, response, body):
        if self.does("gzip-response") and response.status == 200:
            body = gzip.compress(body)
            response.set("Content-Encoding", "gzip")
        if body and self.does("change-response") \
                and self.what["change-response"] in ("", str(self.posts)):
            body = body[:-1] + bytes([body[-1] ^ 1])
        if self.does("no-response-body"):
            body = b""
        if self.does("half-response"):
            body = body[:len(body) // 2]
        return body

    async def whole(self, request, body, writer, stack):
        """A request whose body was read."""
        body = self.change_request(request, body)
        if self.does("overlap") and request.get("Cookie") and body:
            return await self.overlap(request, body, writer, stack)

        answers = []
        for _ in range(2 if self.does("repeat", "repeat-first") else 1):
            upstream, to = await self.connect(stack)
            to.write(request.bytes() + body)
            response = await Message.read(upstream)
            if not self.does("repeat", "repeat-first"):
                return await self.answer(response, upstream, writer)
            answers.append((response, await response.body(upstream)))

        response, body = answers[0 if self.does("repeat-first") else 1]
        self.change_response(response)
        return await self.write(writer, response, body)

    async def overlap(self, request, body, writer, stack):
        _, first = await self.connect(stack)
        first.write(request.bytes() + body)
        request.set("Content-Length", 0)
        while True:
            upstream, to = await self.connect(stack)
            to.write(request.bytes())
            response = await Message.read(upstream)
            body = await response.body(upstream)
            if response.status != 200:
                return await self.write(writer, response, body)

    async def stream(self, request, reader, writer, stack):
        """A request whose body is passed on as it comes."""
        upstream, to = await self.connect(stack)
        post = self.posts
        self.change_request(request)
        to.write(request.bytes())
        sending = asyncio.ensure_future(request.forward(reader, to, True))
        stack.callback(sending.cancel)

        response = await Message.read(upstream)
        forged = next((answer for what, answer in FORGED.items()
                       if (self.number(what) or 1e9) <= post), None)
        if forged:
            await response.body(upstream)
            await sending
            writer.write(forged)
            await writer.drain()
            return False

        if (self.does("cache", "cache-all") and not self.cached
                and response.status == 200):
            self.cached = response, await response.body(upstream)
            return await self.write(writer, *self.cached)

        keep = await self.answer(response, upstream, writer)
        await sending
        return keep

    async def answer(self, response, upstream, writer):
        self.change_response(response)

        if self.does("gzip-response", "change-response", "no-response-body",
                     "half-response", "buffer-responses"):
            body = await response.body(upstream)
            return await self.write(writer, response,
                                    self.change_body(response, body))

        print(response.line, flush=True)
        writer.write(response.bytes())
        await response.forward(upstream, writer)
        await writer.drain()
        return response.chunked or response.get("Content-Length") is not None

    async def write(self, writer, response, body):
        print(response.line, flush=True)
        response.remove("Transfer-Encoding", "Connection")
        response.set("Content-Length", len(body))
        writer.write(response.bytes() + body)
        await writer.drain()
        return True


async def main(certificate, key, server, *pairs):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    servers = []

    # the first port is the last to listen

    for port, what in reversed(list(zip(pairs[::2], pairs[1::2]))):
        meddler = Meddler(int(server), what)
        servers.append(await asyncio.start_server(
            meddler.serve, "127.0.0.1", int(port), limit=1 << 20,
            ssl=context if meddler.does("tls") else None))

    await asyncio.gather(*[x.serve_forever() for x in servers])


asyncio.run(main(*sys.argv[1:]))

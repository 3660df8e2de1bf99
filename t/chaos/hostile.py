"""Hostile clients: garbage, floods, and incomplete handshakes and requests."""

import asyncio
import ssl
import time

import http1
from outer import MEDIA_TYPE, abort

URIS = ("/.well-known/atls", "/pinned", "/mutual", "/rotating", "/raw",
        "/another")


class Hostile:
    DEEDS = (("garbage", 4), ("flood", 2), ("unfinished", 3), ("headers", 2),
             ("half_open", 2), ("cookies", 3), ("leaver", 3), ("methods", 1),
             ("slow", 2), ("hello_pieces", 2))

    def __init__(self, world, port, h2_port):
        self.world, self.ledger = world, world.ledger
        self.port, self.h2_port = port, h2_port or port

    async def run(self, name, until):
        """Runs one action after the other until a time."""
        random = self.world.content.random("hostile", name)
        while time.time() < until:
            deed = random.choices([n for n, _ in self.DEEDS],
                                  [w for _, w in self.DEEDS])[0]
            self.ledger.count[f"hostile: {deed}"] += 1
            try:
                async with asyncio.timeout(self.world.patience):
                    await getattr(self, deed)(random)
            except (OSError, http1.Broken, http1.Malformed):
                pass
            except TimeoutError:
                self.ledger.violation(f"hostile: {deed} is not answered")
            await asyncio.sleep(random.random())

    def hello(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        going = ssl.MemoryBIO()
        tls = context.wrap_bio(ssl.MemoryBIO(), going,
                               server_hostname="localhost")
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return going.read()

    async def post(self, uri, body, cookie=None, fields=(), wait=True,
                   length=None):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            lines = [f"POST {uri} HTTP/1.1", "Host: localhost",
                     f"Content-Type: {MEDIA_TYPE}", "Connection: close",
                     f"Content-Length: {len(body) if length is None else length}",
                     *fields]
            if cookie is not None:
                lines.append(f"Cookie: atls={cookie}")
            writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            await writer.drain()
            if not wait:
                return None
            parser = http1.Parser(method="POST")
            await http1.read_message(reader, parser)
            return parser
        finally:
            if wait:
                writer.close()
            else:
                abort(writer)

    # actions

    async def garbage(self, r):
        n = r.choice((1, 5, 6, r.randrange(300), r.randrange(40000)))
        body = r.choice((b"", b"\x16\x03\x01", b"\x17\x03\x03", b"\x80\x2e\x01",
                         b"GET / HTTP/1.1\r\n\r\n")) + r.randbytes(n)
        # the server waits for the rest of a possible ClientHello
        await self.post(r.choice(URIS), body)

    async def flood(self, r):
        """Handshakes that are not continued."""
        hello, uri = self.hello(), r.choice(URIS[:5])
        await asyncio.gather(*(self.post(uri, hello) for _ in range(20)),
                             return_exceptions=True)

    async def unfinished(self, r):
        hello = self.hello()
        await self.post(r.choice(URIS), hello[:r.randrange(1, len(hello))])

    async def headers(self, r):
        """Headers that are too large or too many."""
        fields = r.choice((["X-A: " + "a" * 40000],
                           [f"X-{i}: {'b' * 1000}" for i in range(60)],
                           ["Cookie: atls=" + "c" * 3000]))
        await self.post(r.choice(URIS), self.hello(), fields=fields)

    async def half_open(self, r):
        """An idle connection, or one with half of a request."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", r.choice((self.port, self.h2_port)))
        writer.write(r.choice((b"", b"POST /raw HTTP/1.1\r\nHost: lo",
                               b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                               r.randbytes(100))))
        await asyncio.sleep(r.random() * 5)
        if r.random() < .5:
            abort(writer)
        else:
            writer.close()

    async def cookies(self, r):
        """Guessed session cookies."""
        body = r.choice((b"", b"\x17\x03\x03\x00\x20" + r.randbytes(32),
                         b"\x15\x03\x03\x00\x02\x02\x00", b"\x17"))
        cookie = r.choice(("A" * 24, "", "%00", "x" * 500, "A" * 23 + "="))
        await self.post(r.choice(URIS), body, cookie)

    async def leaver(self, r):
        """Closes before the response, or before the end of the POST."""
        hello = self.hello()
        await self.post(r.choice(URIS), hello[:r.randrange(1, len(hello) + 1)],
                        wait=False, length=len(hello) + r.choice((0, 10)))

    async def methods(self, r):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            method = r.choice(("GET", "PUT", "OPTIONS", "DELETE", "BREW"))
            writer.write(f"{method} {r.choice(URIS)} HTTP/1.1\r\n"
                         "Host: localhost\r\nConnection: close\r\n\r\n"
                         .encode())
            parser = http1.Parser(method=method)
            await http1.read_message(reader, parser)
            if parser.head.status == 200 and method != "OPTIONS":
                self.ledger.violation(f"{method} to an endpoint: 200")
        finally:
            writer.close()

    async def slow(self, r):
        """A ClientHello, byte by byte."""
        hello = self.hello()[:40]
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(f"POST {r.choice(URIS)} HTTP/1.1\r\nHost: x\r\n"
                         f"Content-Type: {MEDIA_TYPE}\r\n"
                         "Content-Length: 1000\r\n\r\n".encode())
            for byte in hello:
                writer.write(bytes((byte,)))
                await writer.drain()
                await asyncio.sleep(.05)
        finally:
            abort(writer)

    async def hello_pieces(self, r):
        """A ClientHello in many POSTs, then garbage instead of a flight."""
        hello, uri, cookie, at = self.hello(), r.choice(URIS[:5]), None, 0
        while at < len(hello):
            n = r.randrange(6, 120)
            parser = await self.post(uri, hello[at:at + n], cookie)
            at += n
            if parser.head.status != 200:
                return
            for value in parser.head.all("set-cookie"):
                cookie = value.partition(";")[0].partition("=")[2]
        await self.post(uri, r.randbytes(r.randrange(1, 300)), cookie)

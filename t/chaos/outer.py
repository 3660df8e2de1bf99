"""The outer connection: sequential POSTs over any HTTP version."""

import asyncio
import struct
import socket

import http1
import http2

MEDIA_TYPE = "application/atls+octet-stream"
VERSIONS = ("http10", "http11", "chunked", "h2")


class Lost(Exception):
    """There was no response, or an incomplete one."""

    def __init__(self, what, reused=False):
        super().__init__(what)
        self.reused = reused


class Answer:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    def all(self, name):
        return [value for field, value in self.fields if field == name]

    @property
    def type(self):
        return (self.all("content-type") or [""])[0]


def abort(writer):
    """Resets a connection."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            struct.pack("ii", 1, 0))
        except OSError:
            pass
    writer.transport.abort()


class Outer:
    def __init__(self, port, version, keepalive, patience, name, opened):
        self.port, self.version, self.keepalive = port, version, keepalive
        self.patience, self.name, self.opened = patience, name, opened
        self.reader = self.writer = self.h2 = None
        self.used = 0
        self.posts = 0

    async def open(self):
        if self.writer and not self.writer.is_closing():
            return
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self.port, limit=1 << 18)
        self.opened(self.writer)
        self.used = 0
        if self.version == "h2":
            self.h2 = http2.Connection(self.reader, self.writer)

    def close(self):
        if self.writer:
            self.writer.close()
        self.reader = self.writer = self.h2 = None

    async def post(self, uri, body, cookie, pieces=None):
        """Returns an Answer or raises Lost.  pieces: sizes of chunks."""
        self.posts += 1
        reused = False
        try:
            async with asyncio.timeout(self.patience):
                while True:
                    await self.open()
                    reused = self.used > 0
                    self.used += 1
                    try:
                        return await self.exchange(uri, body, cookie, pieces)
                    except http2.Refused:
                        self.close()
        except TimeoutError:
            self.close()
            raise Lost(f"no answer within {self.patience} seconds") from None
        except (http1.Broken, http1.Malformed, OSError) as error:
            self.close()
            raise Lost(f"{error}", reused) from None
        except asyncio.CancelledError:
            self.close()
            raise

    async def exchange(self, uri, body, cookie, pieces):
        # the error log has the request line of a POST
        uri += f"?{self.name}/{self.posts}"
        fields = [("content-type", MEDIA_TYPE), ("host", "localhost")]
        if cookie:
            fields.append(("cookie", f"atls={cookie}"))

        if self.version == "h2":
            fields = ([(":method", "POST"), (":scheme", "http"),
                       (":authority", "localhost"), (":path", uri)]
                      + [f for f in fields if f[0] != "host"]
                      + [("content-length", str(len(body)))])
            answer = Answer(*await self.h2.post(fields, body))
            if not self.keepalive:
                self.close()
            return answer

        await self.send(uri, fields, body, pieces)
        parser = http1.Parser(method="POST")
        rest = b""
        while True:
            rest = await http1.read_message(self.reader, parser, rest)
            if parser.head.status >= 200:
                break
            parser = http1.Parser(method="POST")

        if (not self.keepalive or self.version == "http10" or rest
                or (parser.head.get("connection") or "").lower() == "close"):
            self.close()
        return Answer(parser.head.status, parser.head.fields,
                      bytes(parser.body))

    async def send(self, uri, fields, body, pieces):
        version = "1.0" if self.version == "http10" else "1.1"
        head = [f"POST {uri} HTTP/{version}"]
        if self.version == "chunked":
            fields = fields + [("transfer-encoding", "chunked")]
        else:
            fields = fields + [("content-length", str(len(body)))]
        if not self.keepalive and version == "1.1":
            fields = fields + [("connection", "close")]
        head += [f"{name}: {value}" for name, value in fields]
        head = "\r\n".join(head).encode() + b"\r\n\r\n"

        # an error response may come before the end of the POST
        try:
            if self.version != "chunked":
                self.writer.write(head + body)
            else:
                self.writer.write(head)
                at = 0
                for n in [*(pieces or []), len(body)]:
                    self.writer.write(http1.chunk(body[at:at + n]))
                    at += n
                    if at >= len(body):
                        break
                    await self.writer.drain()
                    await asyncio.sleep(0.002)
                self.writer.write(b"0\r\n\r\n")
            await self.writer.drain()
        except OSError:
            pass

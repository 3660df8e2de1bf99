"""The backend.  The ledger checks all requests that it receives.

    GET  ?t=TOKEN&n=SIZE&how=length|chunked|slow|late       its body
    POST ?t=TOKEN&how=late                          "TOKEN METHOD SIZE DIGEST"
    POST .../early?t=TOKEN                          an immediate response
    GET  /cache/NAME?n=SIZE                         the body of the name
    POST /raw                                       "AT SIZE DIGEST"
    GET  /up?t=TOKEN, Upgrade                       an echo
"""

import asyncio
from urllib.parse import parse_qs, urlsplit

import http1
from content import digest


class Backend:
    def __init__(self, ledger, content):
        self.ledger, self.content = ledger, content
        self.server = None

    async def start(self, port):
        self.server = await asyncio.start_server(
            self.connection, "127.0.0.1", port, backlog=1024, limit=1 << 18)

    async def connection(self, reader, writer):
        rest = b""
        try:
            while True:
                parser = http1.Parser(request=True)
                rest = await self.head(reader, parser, rest)
                if rest is None:
                    break
                rest = await self.serve(reader, writer, parser, rest)
                if rest is None:
                    break
        except (http1.Broken, OSError, asyncio.CancelledError):
            pass
        except http1.Malformed as error:
            self.ledger.violation(f"backend: {error}")
        finally:
            writer.close()

    async def head(self, reader, parser, rest):
        """Reads a header; further data are left in the parser."""
        while True:
            if rest:
                rest = parser.feed(rest)
            if parser.head:
                return rest
            data = await reader.read(65536)
            if not data:
                if parser.buffer:
                    self.ledger.log("backend: half a head")
                return None
            rest = data

    async def serve(self, reader, writer, parser, rest):
        head = parser.head
        uri = head.line.split(" ")[1]
        url = urlsplit(uri)
        query = {name: value[0] for name, value in parse_qs(url.query).items()}

        if url.path.startswith("/cache/"):
            rest = await http1.read_message(reader, parser, rest)
            name = url.path.rpartition("/")[2]
            await self.answer(writer, name,
                              self.content.body(name, int(query["n"])))
            return rest
        if head.get("x-endpoint") == "raw":
            return await self.raw(reader, writer, parser, rest)

        token = query.get("t", "")
        request = self.ledger.begins(head, token)
        if request is None:
            return None

        if url.path.endswith("/early"):
            await self.answer(writer, token, f"{token} early\n".encode(),
                              close=True)
        try:
            rest = await http1.read_message(reader, parser, rest)
        except http1.Broken:
            self.ledger.ends(request, bytes(parser.body), False)
            raise
        self.ledger.ends(request, bytes(parser.body), True)
        if query.get("how") == "late":
            await asyncio.sleep(.2)
            request.abandoned = reader.at_eof()

        if url.path.endswith("/early"):
            return None
        if head.get("upgrade"):
            try:
                await self.upgraded(reader, writer, request, rest)
            finally:
                request.closed_at_backend = True
            return None
        if request.method == "POST":
            await self.answer(writer, token,
                              f"{token} POST {len(parser.body)}"
                              f" {digest(parser.body)}\n".encode())
        else:
            await self.answer(writer, token,
                              self.content.body(token, int(query["n"])),
                              query.get("how"), request.method == "HEAD")
        return rest

    async def answer(self, writer, token, body, how="length", head=False,
                     close=False):
        lines = ["HTTP/1.1 200 OK", f"X-Token: {token}"]
        if close:
            lines.append("Connection: close")
        if how in ("length", "late", None):
            lines.append(f"Content-Length: {len(body)}")
        else:
            lines.append("Transfer-Encoding: chunked")
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")

        if head:
            pass
        elif how in ("length", "late", None):
            writer.write(body)
        else:
            size = max(1, len(body) // 5)
            for at in range(0, len(body), size):
                writer.write(http1.chunk(body[at:at + size]))
                await writer.drain()
                if how == "slow":
                    await asyncio.sleep(0.02)
            writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def raw(self, reader, writer, parser, rest):
        """Serves a part of a raw stream, which is split anywhere."""
        ledger = self.ledger
        identifier = parser.head.get("x-session")
        broken = None
        try:
            rest = await http1.read_message(reader, parser, rest)
        except http1.Broken as error:
            broken = error
        body = bytes(parser.body)
        sid = ledger.hashes.get(identifier)
        if sid is None and body:
            # the first one names it, if nothing has taken its beginning
            sid = body[:32].partition(b" ")[0].decode("latin-1")
        record = ledger.sessions.get(sid)
        if record is None:
            if body:
                ledger.violation(f"raw: who is this? {body[:60]!r}")
            return None
        ledger.identity(record, identifier, "raw", "")
        at = ledger.raw(record, body)
        record.log(f"backend: raw {at} {len(body)}"
                   f"{' broke off' if broken else ''}")
        if broken:
            raise broken
        await self.answer(writer, sid,
                          f"{at} {len(body)} {digest(body)}\n".encode())
        return rest

    async def upgraded(self, reader, writer, request, rest):
        """Echo.  What comes is as the client's stream has it: body of the
        request, for the ledger."""
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\n"
                     b"Connection: Upgrade\r\nUpgrade: echo\r\n"
                     b"X-Token: %b\r\n\r\n" % request.token.encode())
        came = bytearray()
        data = rest
        while True:
            if data:
                came += data
                if request.tunnelled[:len(came)] != came:
                    self.ledger.violation("101: other bytes came",
                                          request.record.sid)
                    return
                writer.write(bytes(data))
                await writer.drain()
            data = await reader.read(65536)
            if not data:
                return

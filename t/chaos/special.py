"""Special sessions: data after the end, interrupted requests, raw payload, and
upgraded connections."""

import asyncio
import time

import http1
from content import digest
from datagram import Datagram
from inner import Request
from outer import MEDIA_TYPE, Lost, abort
from session import Ended, Session


class Sleeper(Session):
    """Is idle until the timeout, between requests or within one."""

    async def rounds(self):
        self.plan.rounds = min(self.plan.rounds, 2)
        await super().rounds()
        if self.ended or self.may_close or self.waiting:
            return
        limits = self.world.limits
        request = self.kinds.make("get")
        half = self.random.choice((0, len(request.wire) // 2))
        self.expect([request])
        if half:
            self.tls.write(request.wire[:half])
            await self.send()
        self.record.log("sleeps")
        since = time.time()
        await asyncio.sleep(limits.idle + limits.slack)
        request.sent = time.time()
        self.tls.write(request.wire[half:])
        await self.send()
        if (not self.waiting
                and request.sent - since > limits.idle + limits.slack):
            self.violation("the session was idle for too long, and answered")
        self.ledger.count["sessions that overslept"] += 1
        raise Ended("slept")

    def excuse(self):
        if time.time() - self.alive > self.world.limits.idle - 1:
            return "it overslept"
        return super().excuse()


class Endless(Session):
    """Each POST ends in the middle of a request."""

    async def rounds(self):
        limits = self.world.limits
        request = self.kinds.make("get")
        half = len(request.wire) // 2
        self.expect([request])
        self.write(request.wire[:half], [request])
        until = time.time() + limits.lifetime + 3 * limits.slack
        while time.time() < until:
            await self.send()
            if self.ended:
                break
            await asyncio.sleep(min(.7, limits.idle / 4))
            rest = request.wire[half:]
            request = self.kinds.make("get")
            half = len(request.wire) // 2
            self.expect([request])
            self.write(rest + request.wire[:half], [request])
        self.ledger.count["sessions without a pause"] += 1
        raise Ended("its time is over")


class Replayer(Session):
    """Sends POSTs after close_notify."""

    last = None

    async def post(self, body, pieces=None):
        self.last = body
        await super().post(body, pieces)

    async def end(self):
        old = self.cookie
        last = self.last
        await super().end()
        if self.record.disturbed or not self.tls.closed:
            return
        for body in (last, self.last):
            self.outer.close()
            try:
                answer = await self.outer.post(self.plan.uri, body, old)
            except Lost:
                continue
            first = body[:1]
            if self.record.disturbed:
                return              # the adversary may have answered
            if answer.status == 200 and first != b"\x16":
                self.violation("a POST after close_notify was answered 200,"
                               f" {len(answer.body)} bytes")
        self.ledger.count["replays after the end"] += 1


class Raw(Session):
    """A stream of bytes, sent in several POSTs."""

    def __init__(self, world, sid, plan):
        super().__init__(world, sid, plan)
        self.covered = 0
        self.text = b""

    async def round(self):
        r = self.random
        size = r.choice((60, r.randrange(60, 3000), r.randrange(60, 60000)))
        data = (f"{self.sid} ".encode() + self.world.content.body(
            f"{self.sid}.{len(self.record.stream)}", size))
        self.record.stream += data
        self.record.log(f"round: raw, {len(data)} bytes")
        # the first record says whose stream it is
        self.tls.write(data[:60])
        if len(data) > 60:
            self.tls.write(data[60:])
        await self.send()
        if not self.record.disturbed:
            if self.covered != len(self.record.stream):
                self.ends(f"raw: {self.covered} bytes of"
                          f" {len(self.record.stream)} are answered")

    def answered(self, plain):
        self.text += plain
        while b"\n" in self.text:
            line, _, self.text = self.text.partition(b"\n")
            words = line.split(b" ")
            try:
                at, size = int(words[0]), int(words[1])
                piece = bytes(self.record.stream[at:at + size])
                right = (at == self.covered and len(piece) == size
                         and words[2].decode() == digest(piece))
            except (ValueError, IndexError):
                right = False
            if not right:
                self.violation(f"raw: after {self.covered} bytes the answer is"
                               f" {line[:100]!r}")
            self.covered += size
            self.ledger.count["answers"] += 1
        if self.tls.closed:
            self.ended = True


class Tunnel(Session):
    """A 101 in a streamed POST, with an echo."""

    async def rounds(self):
        request = Request(self.record, self.kinds.token(), "GET",
                          f"/up?t={self.record.sid}.{self.kinds.n}",
                          fields=[("Connection", "upgrade"),
                                  ("Upgrade", "echo")],
                          statuses=(101,))
        request.tunnelled = bytearray()
        self.request, self.echoed = request, bytearray()
        self.expect([request])
        self.waiting.clear()
        if self.output:                 # the last flight comes before it
            raise AssertionError("something is left to be sent")
        self.previous, self.alive = self.alive, time.time()
        try:
            async with asyncio.timeout(self.world.patience):
                await self.tunnel()
        except TimeoutError:
            self.ends("101: nothing comes any more,"
                      f" {len(self.echoed)} of {len(request.tunnelled)}"
                      " bytes have come back")
        except (OSError, http1.Malformed, asyncio.IncompleteReadError) as error:
            self.ends(f"101: {error!r}")
        self.ledger.count["tunnels"] += 1

    async def handshake(self):
        await super().handshake()
        await self.send()

    async def tunnel(self):
        r = self.random
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", self.plan.port, limit=1 << 18)
        self.opened(self.writer)
        try:
            self.writer.write(
                f"POST {self.plan.uri}?{self.sid}/tunnel HTTP/1.1\r\n"
                f"Host: localhost\r\nContent-Type: {MEDIA_TYPE}\r\n"
                f"Cookie: atls={self.cookie}\r\nConnection: close\r\n"
                "Transfer-Encoding: chunked\r\n\r\n".encode())
            self.inner = http1.Parser(method="GET")
            self.outside = http1.Parser(method="POST")
            self.put(self.request.wire)
            await self.until(lambda: self.inner.done)
            if self.inner.head.status != 101:
                self.ends(f"101: answered {self.inner.head.line}")
            for _ in range(r.randrange(1, 12)):
                size = r.choice((1, r.randrange(100), r.randrange(20000)))
                piece = self.world.content.body(
                    f"{self.sid}.t{len(self.request.tunnelled)}", size)
                self.request.tunnelled += piece
                self.put(piece)
                if r.random() < .6:
                    await self.until(lambda: self.all_back())
                if r.random() < .2:
                    await asyncio.sleep(r.random())
            await self.until(lambda: self.all_back())
            await self.hang_up()
        finally:
            self.writer.close()

    def all_back(self):
        return len(self.echoed) == len(self.request.tunnelled)

    def put(self, plain):
        if plain:
            self.tls.write(plain)
        self.writer.write(http1.chunk(self.tls.out()))

    async def until(self, condition):
        """Reads until a condition is true or the response ends."""
        while not condition():
            data = await self.reader.read(65536)
            if not data:
                self.ends("101: the POST is over,"
                          f" {len(self.echoed)} bytes have come back of"
                          f" {len(self.request.tunnelled)}")
            self.outside.feed(data)
            if self.outside.head and self.outside.head.status != 200:
                self.ends(f"101: status {self.outside.head.status}")
            body = bytes(self.outside.body)
            self.outside.body.clear()
            plain = self.tls.feed(body)
            if self.tls.error:
                self.ends(f"101: TLS: {self.tls.error}")
            if not self.inner.done:
                plain = self.inner.feed(plain)
            if self.inner.done and plain:
                self.echoed += plain
            if self.echoed != self.request.tunnelled[:len(self.echoed)]:
                self.violation("101: other bytes have come back")
            if self.outside.done and not condition():
                self.ends("101: the answer is over,"
                          f" {len(self.echoed)} bytes have come back of"
                          f" {len(self.request.tunnelled)}")

    async def hang_up(self):
        """Ends in one of three ways, which the backend must notice."""
        how = self.random.choice(("notify", "end", "leave"))
        self.record.log(f"101: {how}")
        if how == "notify":
            self.tls.end()
            self.writer.write(http1.chunk(self.tls.out()))
            self.writer.write(b"0\r\n\r\n")
            await self.until(lambda: self.outside.done)
        elif how == "end":
            self.tls.end()
            self.writer.write(http1.chunk(self.tls.out()))
            await self.until(lambda: self.outside.done)
        else:
            abort(self.writer)
        self.ended = True
        until = time.time() + self.world.limits.idle + self.world.patience
        while not self.request.closed_at_backend:
            if time.time() > until:
                self.ends("101: the backend's connection does not end"
                          f" ({how})")
            await asyncio.sleep(.05)


KINDS = {"session": Session, "sleeper": Sleeper, "endless": Endless,
         "replayer": Replayer, "raw": Raw, "tunnel": Tunnel,
         "datagram": Datagram}

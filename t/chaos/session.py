"""A well-behaved client: one session, from handshake to end.

It always conforms to the protocol.  Without an adversary, all responses must be
correct.  With an adversary, the session may be lost, but data received must
still be correct.
"""

import asyncio
import itertools
import time

import http1
from inner import Kinds
from outer import Lost, Outer


class Ended(Exception):
    """The session is closed: with a valid reason, or by an error."""


class Session:
    def __init__(self, world, sid, plan):
        self.world, self.ledger = world, world.ledger
        self.sid, self.plan = sid, plan
        self.random = world.content.random("session", sid)
        self.record = self.ledger.session(sid, plan.endpoint)
        self.record.name = plan.name
        self.outer = Outer(plan.port, plan.version, plan.keepalive,
                           world.patience, sid, self.opened)
        self.kinds = Kinds(world.content, self.random, self.record,
                           plan.routed, plan.small,
                           .5 if plan.path == "meddling" else .1)
        self.cookie = None
        self.waiting = []           # requests that are not answered yet
        self.parser = None
        self.ended = False
        self.plain = b""
        self.began = self.alive = self.previous = None
        self.used = None            # the last POST that completed a record
        self.piece = b""            # sent: the beginning of a record
        self.sure = None            # when the session was there at the latest
        self.output = b""           # of TLS, to be sent
        self.flight = 0             # of it, the end of the handshake
        self.since = None           # no worker has got a request of the
                                    # output, or the handshake, before
        self.first = None           # when the first answer came

    def opened(self, writer):
        """Tells the proxy on the path to which session a connection belongs."""
        if self.plan.cutter:
            port = writer.get_extra_info("sockname")[1]
            self.plan.cutter.owners[port] = self.sid

    # time

    def excuse(self):
        """Returns a reason for the loss of an unmodified session, or None."""
        now, limits = time.time(), self.world.limits
        since = self.previous or self.began or now
        if self.ledger.killed_since(since - 1):
            return "a worker was killed"
        if now - since > limits.idle - 1:
            return "the client was late"
        if not self.shaken and now - self.began > limits.idle - 1:
            return "the handshake was late"
        # of one that is resumed, the server takes off whole seconds, and
        # those that the handshake has taken
        early = 1
        if self.plan.original:
            early += 1.5 + (self.sure or now) - self.began
        if now - self.start() > limits.lifetime - early:
            return "its time was over"
        if self.plan.rotates and not self.allowed():
            return "its authority was changed"
        return None

    def start(self):
        """A time not after the start of the session."""
        return self.plan.original[0] if self.plan.original else self.began

    def certain(self):
        """A time not before the start of the session."""
        if self.plan.original:
            return self.plan.original[1]
        return self.sure or time.time()

    def allowed(self):
        return self.world.nginx.allowed_since(self.plan.rotates, self.began)

    def ends(self, what, excuse=None):
        """Ends a lost session; without a reason, this is a violation."""
        self.record.log(f"ends: {what}")
        if self.record.disturbed:
            self.ledger.count["sessions lost to the adversary"] += 1
        elif excuse or self.excuse():
            self.ledger.count["sessions lost: "
                              + (excuse or self.excuse())] += 1
        else:
            self.ledger.violation(
                f"{what}; {time.time() - self.start():.1f} s after the first"
                " handshake", self.sid)
        raise Ended(what)

    # one POST

    async def post(self, body, pieces=None):
        now = time.time()
        # a part of a record is no use of the session
        self.previous, self.alive = self.used or now, now
        if self.completes(body) or not self.used:
            self.used = now
        self.answers = 0
        try:
            answer = await self.outer.post(self.plan.uri, body, self.cookie,
                                           pieces)
        except Lost as error:
            excuse = None
            if error.reused and self.ledger.changed_since(self.previous - 1):
                excuse = "a connection was closed"
            self.ends(f"POST {self.outer.posts}: {error}", excuse)

        self.ledger.count["POSTs"] += 1
        self.record.log(f"POST {self.outer.posts}: {len(body)} bytes, answered"
                        f" {answer.status}, {len(answer.body)} bytes")
        self.cookies(answer)
        if answer.status != 200:
            self.ends(f"POST {self.outer.posts}: status {answer.status}:"
                      f" {answer.body[-120:]!r}")
        self.took(answer.body)

    def completes(self, body):
        """Whether the bytes complete a record."""
        self.piece, found = self.piece + body, False
        while len(self.piece) >= 5:
            size = 5 + int.from_bytes(self.piece[3:5], "big")
            if len(self.piece) < size:
                break
            self.piece, found = self.piece[size:], True
        return found

    def cookies(self, answer):
        for field in answer.all("set-cookie"):
            name, _, value = field.partition(";")[0].partition("=")
            if name == "atls" and value:
                self.cookie = self.record.cookie = value
            elif name == "atls":
                self.record.log("the cookie is expired")
                self.ended = True

    def took(self, data):
        plain = self.tls.feed(data)
        if self.tls.error:
            self.ends(f"TLS: {self.tls.error}")
        if self.tls.established and self.sure is None:
            self.sure = time.time()
            self.output = self.tls.out()
            self.flight = len(self.output)
        self.answered(plain)

    def write(self, record, requests):
        """Writes a record, in which requests begin."""
        self.tls.write(record)
        self.output += self.tls.out()
        for request in requests:
            request.at = len(self.output)

    async def send(self):
        """Sends the output of TLS, in one or several POSTs."""
        data, self.output = self.output + self.tls.out(), b""
        flight, self.flight = self.flight, 0
        self.since = self.began if flight else time.time()
        finished = self.tls.established
        sent = 0
        for piece in self.cut(data):
            sent += len(piece)
            if flight and sent >= flight:
                flight = 0
                for request in self.waiting:
                    request.joined = bool(request.at) and request.at <= sent
            pieces = None
            if self.plan.version == "chunked":
                pieces = [self.random.randrange(1, len(piece) + 1)
                          for _ in range(self.random.randrange(4))]
            await self.post(piece, pieces)
            if self.ended and not self.record.disturbed:
                break
        self.shaken = self.shaken or finished

    def cut(self, data):
        r = self.random
        if not self.plan.splits or len(data) < 2 or r.random() < .4:
            return [data] if data else []
        cuts = {r.randrange(1, len(data)) for _ in range(r.randrange(1, 5))}
        if r.random() < .3:             # near a record's border
            cuts.add(min(len(data) - 1, r.randrange(1, 7)))
        cuts = sorted(cuts)
        return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)])]

    # HTTP

    def answered(self, plain):
        while plain:
            if not self.waiting:
                self.violation(f"an answer to nothing: {plain[:100]!r}")
            request = self.waiting[0]
            if self.parser is None:
                self.parser = http1.Parser(method=request.method)
            try:
                plain = self.parser.feed(plain)
            except http1.Malformed as error:
                self.violation(f"the answer to {request.token}: {error}")
            if self.parser.done:
                self.complete(request)
        if self.tls.closed:
            if self.waiting and self.parser and self.parser.eof():
                self.complete(self.waiting[0])
            self.ended = True

    def complete(self, request):
        parser, self.parser = self.parser, None
        self.first = self.first or time.time()
        head = parser.head
        if head.status == 100:
            return
        self.waiting.pop(0)
        refused = (self.plan.rotates and head.status == 400
                   and not self.allowed())
        wrong = request.wrong(head, bytes(parser.body))
        if refused:
            self.ended = True
            self.ledger.count["sessions refused after a change"] += 1
            return
        if wrong:
            self.violation(f"{request.method} {request.uri}: {wrong}")
        self.ledger.count["answers"] += 1
        self.answers += 1
        self.in_time(request)
        if request.closes or (head.get("connection") or "") == "close":
            self.may_close = True

    def violation(self, what):
        self.ledger.violation(what, self.sid)
        raise Ended(what)

    def in_time(self, request):
        """Checks that no request is served after the end of its session."""
        limits = self.world.limits
        late = request.sent - self.certain() - limits.lifetime
        if late > limits.slack:
            self.violation(f"{request.token} was sent {late:.1f} s after the"
                           f" session's end, and answered")
        if self.plan.rotates:
            late = self.world.nginx.revoked(self.plan.rotates, request.sent)
            slack = limits.slack
            # A handshake ends in the worker in which it began, with the
            # configuration of that worker, and so do requests that begin in
            # its last POST.  atls_handshake_timeout limits the time.  The
            # adversary may join POSTs, until the client gets an answer.
            joined = request.joined or (self.record.disturbed
                                        and request.sent < self.first)
            if late and joined and self.began < request.sent - late:
                slack += limits.idle
            if late and late > slack:
                self.violation(f"{request.token} was sent {late:.1f} s after"
                               f" its authority was taken away, and answered")

    # the session

    async def run(self):
        world = self.world
        try:
            self.began = time.time()
            self.tls = self.plan.tls()
            await self.handshake()
            await self.rounds()
            await self.end()
            self.ledger.count["sessions complete"] += 1
        except Ended:
            pass
        except asyncio.CancelledError:
            self.record.log("cancelled")
            raise
        finally:
            self.record.over = True
            self.outer.close()
            if self.tls:
                self.world.planner.keep(self)
                self.tls.free()

    tls = None
    may_close = False
    answers = 0                 # that the last POST has brought
    shaken = False              # hands, and the server knows

    async def handshake(self):
        early = self.plan.early
        if early:
            requests = [self.kinds.make("get")]
            self.expect(requests)
            self.tls.early = requests[0].wire
        self.tls.start()
        turns = 0
        while not self.tls.established:
            if self.tls.error:
                self.ends(f"TLS: {self.tls.error}")
            turns += 1
            if turns > 20 or self.ended:
                self.ends("the handshake does not end")
            await self.send()
        self.plan.established(self)
        if early:
            if self.tls.early_status() != "accepted":
                self.tls.write(self.waiting[0].wire)
                self.record.log("early data: refused")
                if self.record.disturbed:
                    # the one in between may have had it accepted, elsewhere:
                    # RFC 8446, section 8
                    self.waiting[0].most = 2
            else:
                self.ledger.count["early data accepted"] += 1
        # what is sent with the first request, or by itself
        if self.random.random() < .5:
            await self.send()

    def expect(self, requests):
        for request in requests:
            request.sent = time.time()
            self.ledger.sends(self.record, request)
            self.waiting.append(request)

    async def rounds(self):
        for _ in range(self.plan.rounds):
            if self.ended or self.may_close:
                return
            await self.round()
            if self.plan.pause:
                await asyncio.sleep(self.random.random() * self.plan.pause)

    async def round(self):
        r = self.random
        n = 1 if r.random() < .6 else r.randrange(2, 6)
        requests = [self.kinds.make() for _ in range(n)]
        # nothing is pipelined behind what may close
        for i, request in enumerate(requests):
            if request.closes:
                del requests[i + 1:]
        self.expect(requests)
        data = b"".join(request.wire for request in requests)
        begins = [0, *itertools.accumulate(len(q.wire) for q in requests)]
        self.record.log("round: " + ", ".join(
            f"{q.method} {q.uri} {len(q.body)}" for q in requests))

        # as records of any size
        at = 0
        while at < len(data):
            n = r.choice((16384, 16384, 5000, r.randrange(1, 400)))
            self.write(data[at:at + n],
                       [q for q, begin in zip(requests, begins)
                        if at <= begin < at + n])
            at += n
        await self.send()
        self.all_answered()

    def all_answered(self):
        if self.waiting and not self.record.disturbed:
            if self.ended and self.may_close:
                return
            self.ends(f"{self.waiting[0].token} is not answered",
                      self.left_behind())

    def left_behind(self):
        """A worker that is told to quit serves the request that waits in it,
        and no other one: whoever sends the half of another one behind it, in
        a POST that begins after that, has to begin a new session.  If the
        POST has no length, this is so even if it began before."""
        if not self.tls.closed or not self.answers:
            return None
        until = self.alive
        if self.plan.version == "chunked" or self.plan.path != "direct":
            until = time.time()
        if self.ledger.changed(self.since - 1, until):
            return "a worker did not wait"
        return None

    async def end(self):
        if self.plan.ending == "leave" or self.ended:
            return
        self.tls.end()
        await self.send()
        if not self.tls.closed and not self.record.disturbed:
            self.tls.feed(b"")
            if not self.tls.closed:
                self.ends("close_notify is not answered")

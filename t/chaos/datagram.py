"""A client with DTLS, whose POSTs are lost, doubled and reordered on the path,
like datagrams: nothing of this may end the session, or execute a request more
than once."""

import asyncio
import time

import http1
from inner import Kinds
from outer import Lost, Outer
from session import Ended, Session

LOSS = .2


class Datagram(Session):
    def __init__(self, world, sid, plan):
        super().__init__(world, sid, plan)
        self.kinds = Kinds(world.content, self.random, self.record, False,
                           True, .1)
        self.record.ordered = False
        self.number = 0
        self.served = False         # a request was: no worker has it alone
        self.old = []               # bodies that were received

    # POSTs, each on a connection of its own

    async def one(self, body, cookie):
        self.number += 1
        number = self.number
        outer = Outer(self.plan.port, self.plan.version, False,
                      self.world.patience, f"{self.sid}/d{number}",
                      self.opened)
        try:
            answer = await outer.post(self.plan.uri, body, cookie)
        except Lost as error:
            self.record.log(f"POST {number}: {len(body)} bytes: {error}")
            return None
        finally:
            outer.close()
        self.ledger.count["POSTs"] += 1
        self.record.log(f"POST {number}: {len(body)} bytes, answered"
                        f" {answer.status}, {len(answer.body)} bytes")
        return answer

    async def path(self, body, cookie, first=False):
        """Delivers a POST, or not.  Returns what comes back: answers, in any
        number."""
        r = self.random
        await asyncio.sleep(r.random() * .05)
        if r.random() < LOSS:
            self.ledger.count["datagrams: lost"] += 1
            return []
        copies = 1
        if not first and r.random() < LOSS:
            self.ledger.count["datagrams: doubled"] += 1
            copies = 2
        answers = await asyncio.gather(*(self.one(body, cookie)
                                         for _ in range(copies)))
        kept = []
        for answer in answers:
            if answer and r.random() < LOSS:
                self.ledger.count["datagrams: answer lost"] += 1
            elif answer:
                kept.append(answer)
        if self.shaken:             # a flight is answered again
            self.old = self.old[-5:] + [body]
        return kept

    def usable(self, answer):
        """Whether an answer is one of the session."""
        if answer.status == 200:
            self.alive = time.time()
            return True
        excuse = self.excuse()
        if self.served and excuse == "a worker was killed":
            excuse = None
        if answer.status == 503:
            excuse = "there is no room"
        if excuse:
            self.ledger.count[f"sessions lost: {excuse}"] += 1
            raise Ended(excuse)
        self.violation(f"status {answer.status}: {answer.body[-120:]!r}")

    def feed(self, data):
        plain = self.tls.feed(data)
        if self.tls.error:
            self.violation(f"DTLS: {self.tls.error}")
        return plain

    # the session

    async def handshake(self):
        self.tls.start()
        flight, turns = self.tls.out(), 0
        self.alive = time.time()
        while not self.tls.established:
            turns += 1
            if turns > 40:
                self.violation("the handshake does not end")
            for answer in await self.path(flight, self.cookie,
                                          self.cookie is None):
                self.usable(answer)
                self.cookies(answer)
                self.feed(answer.body)
            flight = self.tls.out() or flight
        self.sure, self.shaken = time.time(), True
        self.plan.established(self)

    async def round(self):
        r = self.random
        requests = [self.kinds.make() for _ in range(r.randrange(1, 6))]
        self.expect(requests)
        self.waiting.clear()
        self.previous = self.alive
        posts = []
        for request in requests:
            self.tls.write(request.wire)
            posts.append((request, self.tls.out()))
        self.record.log("round: " + ", ".join(
            f"{q.method} {q.uri} {len(q.body)}" for q in requests))
        r.shuffle(posts)
        results = await asyncio.gather(*(self.ask(request, body)
                                         for request, body in posts),
                                       return_exceptions=True)
        for result in results:
            if result is not None:
                raise result
        if self.old and r.random() < .3:
            answer = await self.one(r.choice(self.old), self.cookie)
            if answer and self.usable(answer) and answer.body:
                self.violation(f"a repetition is answered, {len(answer.body)}"
                               " bytes")
            self.ledger.count["datagrams: repeated later"] += 1

    async def ask(self, request, body):
        count = 0
        for answer in await self.path(body, self.cookie):
            self.usable(answer)
            if answer.body:
                count += 1
                self.complete(request, self.feed(answer.body))
        if count > 1:
            self.violation(f"{request.token} is answered {count} times")
        if count:
            self.served = True

    def complete(self, request, plain):
        """The answer is whole: it comes with its POST, or is cut."""
        while plain:
            parser = http1.Parser(method=request.method)
            try:
                plain = parser.feed(plain)
            except http1.Malformed as error:
                self.violation(f"the answer to {request.token}: {error}")
            if not parser.done and not parser.eof():
                self.cut_short(request)
                return
            if parser.head.status == 100:
                continue
            wrong = request.wrong(parser.head, bytes(parser.body))
            if wrong:
                self.violation(f"{request.method} {request.uri}: {wrong}")
            self.ledger.count["answers"] += 1
            self.first = self.first or time.time()
            self.in_time(request)

    def cut_short(self, request):
        """Of the outer versions, only HTTP/1.0 does not tell a response that a
        killed worker had begun from a whole one."""
        if (self.plan.version != "http10"
                or self.excuse() != "a worker was killed"):
            self.violation(f"the answer to {request.token} is cut")
        self.ledger.count["answers cut: a worker was killed"] += 1

    async def end(self):
        if self.plan.ending == "leave":
            return
        self.tls.end()
        answer = await self.one(self.tls.out(), self.cookie)
        if answer is None or not self.usable(answer):
            return
        self.feed(answer.body)
        if not self.tls.closed:
            self.violation("close_notify is not answered")
        for body in self.old[-2:]:
            answer = await self.one(body, self.cookie)
            if answer and answer.status == 200:
                self.violation("a POST after close_notify was answered 200")

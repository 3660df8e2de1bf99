"""An adversary on the path: a proxy without keys, which manipulates POSTs and
responses.

Actions are chosen by the random numbers of a session.  Harmless actions are
those that any proxy may take; they must have no effect on the session.
"""

import asyncio

import http1
from outer import MEDIA_TYPE, Answer, abort

URIS = ("/.well-known/atls", "/pinned", "/mutual", "/rotating", "/raw",
        "/another", "/")


class Mind:
    """The state of a session."""

    def __init__(self, sid, record, random, plan):
        self.sid, self.record, self.random, self.plan = \
            sid, record, random, plan
        self.cookie = None
        self.held = b""                 # bytes that were not delivered yet
        self.posts, self.answers = [], []


class Adversary:
    HARMLESS = (("deliver", 4), ("delay", 2), ("resplit", 3), ("reframe", 3),
                ("dribble", 1))
    HARMFUL = (("cut", 10), ("drop", 2), ("lose", 7), ("repeat", 3),
               ("twice_at_once", 2), ("reorder", 3), ("inject", 3),
               ("precede", 3), ("truncate", 3), ("pretend", 3), ("cookie", 2),
               ("misdirect", 3), ("swallow", 3))

    def __init__(self, world, port):
        self.world, self.ledger, self.port = world, world.ledger, port
        self.minds = {}
        self.tasks = set()

    async def start(self, port):
        self.server = await asyncio.start_server(
            self.connection, "127.0.0.1", port, backlog=512, limit=1 << 18)

    def stop(self):
        for task in self.tasks:
            task.cancel()

    # requests of clients

    async def connection(self, reader, writer):
        try:
            rest = b""
            while rest is not None:
                parser = http1.Parser(request=True)
                rest = await http1.read_message(reader, parser, rest)
                answer = await self.act(parser)
                if answer is None:
                    abort(writer)
                    return
                self.write(writer, answer)
                await writer.drain()
                if (parser.head.line.endswith("/1.0")
                        or parser.head.get("connection") == "close"
                        or getattr(answer, "broken", False)):
                    return
        except (http1.Broken, OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def write(self, writer, answer):
        lines = [f"HTTP/1.1 {answer.status} -"]
        body = answer.body
        lines += [f"{name}: {value}" for name, value in answer.fields
                  if name not in ("content-length", "transfer-encoding",
                                  "connection")]
        lines.append(f"content-length: {len(body)}")
        cut = getattr(answer, "broken", False)
        head = "\r\n".join(lines).encode() + b"\r\n\r\n"
        writer.write(head + (body[:cut] if cut is not False else body))

    async def act(self, parser):
        uri, _, name = parser.head.line.split(" ")[1].partition("?")
        sid, _, number = name.partition("/")
        mind = self.minds.get(sid)
        if mind is None:
            session = self.world.running[sid]
            mind = self.minds[sid] = Mind(
                sid, session.record,
                self.world.content.random("adversary", sid), session.plan)

        cookie = parser.head.get("cookie") or ""
        mind.cookie = cookie.partition("=")[2] or mind.cookie
        mind.number = number
        post = Post(uri, mind.cookie, bytes(parser.body))
        r = mind.random

        if mind.plan.path == "meddling" and r.random() < mind.plan.violence:
            actions, mind.record.disturbed = self.HARMFUL, True
        else:
            actions = self.HARMLESS
        name = r.choices([n for n, _ in actions], [w for _, w in actions])[0]
        mind.record.log(f"adversary: POST {number}: {name}")
        self.ledger.count[f"adversary: {name}"] += 1

        if mind.held and name != "reorder":
            post.body, mind.held = mind.held + post.body, b""
        answer = await getattr(self, name)(mind, post)

        mind.posts = mind.posts[-5:] + [post]
        if answer:
            mind.answers = mind.answers[-5:] + [answer]
        if mind.record.disturbed and r.random() < .2:
            self.later(self.haunt(mind, r.choice(mind.posts)))
        return answer

    def later(self, coroutine):
        task = asyncio.ensure_future(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    # requests to nginx

    async def send(self, mind, post, chunked=None, pieces=1, cut=None,
                   linger=0.0, reset=False):
        """Delivers a POST or its first bytes; returns an Answer or None."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, limit=1 << 18)
        body = post.body if cut is None else post.body[:cut]
        head = [f"POST {post.uri}?{mind.sid}/{mind.number}/adversary HTTP/1.1",
                "Host: localhost", f"Content-Type: {MEDIA_TYPE}",
                "Connection: close"]
        if post.cookie:
            head.append(f"Cookie: atls={post.cookie}")
        head.append("Transfer-Encoding: chunked" if chunked
                    else f"Content-Length: {len(post.body)}")
        try:
            writer.write("\r\n".join(head).encode() + b"\r\n\r\n")
            size = max(1, -(-len(body) // pieces))
            for at in range(0, len(body), size):
                piece = body[at:at + size]
                writer.write(http1.chunk(piece) if chunked else piece)
                await writer.drain()
                if pieces > 1:
                    await asyncio.sleep(mind.random.random() * .05)

            if chunked and len(body) == len(post.body):
                writer.write(b"0\r\n\r\n")
            if cut is not None:
                await asyncio.sleep(linger)
                if reset:
                    abort(writer)
                return None
            parser = http1.Parser(method="POST")
            async with asyncio.timeout(self.world.patience):
                await http1.read_message(reader, parser)
            return self.answered(mind, parser)
        except TimeoutError:
            self.ledger.violation("nginx does not answer a POST that was"
                                  f" delivered: {len(post.body)} bytes to"
                                  f" {post.uri}", mind.sid)
            return None
        except (http1.Broken, http1.Malformed, OSError) as error:
            mind.record.log(f"adversary: nginx: {error!r}")
            return None
        finally:
            writer.close()

    def answered(self, mind, parser):
        answer = Answer(parser.head.status, parser.head.fields,
                        bytes(parser.body))
        for field in answer.all("set-cookie"):
            value = field.partition(";")[0].partition("=")[2]
            if value:
                mind.cookie = value
        mind.record.log(f"adversary: nginx answered {answer.status},"
                        f" {len(answer.body)} bytes")
        return answer

    # harmless actions

    async def deliver(self, mind, post):
        return await self.send(mind, post)

    async def delay(self, mind, post):
        await asyncio.sleep(mind.random.random())
        answer = await self.send(mind, post)
        await asyncio.sleep(mind.random.random() * .5)
        return answer

    async def reframe(self, mind, post):
        return await self.send(mind, post, mind.random.random() < .5,
                               mind.random.randrange(1, 6))

    async def dribble(self, mind, post):
        return await self.send(mind, post, True, 20)

    async def resplit(self, mind, post):
        r = mind.random
        cuts = sorted(r.randrange(1, len(post.body) + 1)
                      for _ in range(r.randrange(1, 4)))
        body, fields, seen = b"", [], 0
        for a, b in zip([0, *cuts], [*cuts, len(post.body)]):
            if a == b:
                continue
            answer = await self.send(mind, Post(post.uri, post.cookie
                                                or mind.cookie,
                                                post.body[a:b]))
            if answer is None or answer.status != 200:
                if body:
                    break       # an answer may have ended the session
                return answer
            post.cookie = mind.cookie
            body += answer.body
            fields += [f for f in answer.fields if f[0] == "set-cookie"]
            fields += [f for f in answer.fields if f[0] == "content-type"
                       and not seen]
            seen += 1
            if any(v.startswith("atls=;") for n, v in fields
                   if n == "set-cookie"):
                break
        return Answer(200, fields, body)

    # responses to the client

    def tell(self, mind):
        r = mind.random
        kind = r.choices(("empty", "nothing", "410", "503", "409", "old",
                          "other's"), (16, 1, 1, 1, 1, 2, 1))[0]
        mind.record.log(f"adversary: tells {kind}")
        fields = [("content-type", MEDIA_TYPE)]
        if kind == "empty":
            return Answer(200, fields, b"")
        if kind == "nothing":
            return None
        if kind == "old" and mind.answers:
            return r.choice(mind.answers)
        if kind == "other's":
            other = self.other(mind)
            if other and other.answers:
                return r.choice(other.answers)
        if kind == "410":
            fields.append(("set-cookie", "atls=; Max-Age=0"))
        status = int(kind) if kind.isdigit() else 503
        return Answer(status, fields, b"")

    def other(self, mind):
        others = [m for m in self.minds.values()
                  if m is not mind and m.plan.path == "meddling"]
        return mind.random.choice(others[-20:]) if others else None

    # attacks

    async def cut(self, mind, post):
        """Delivers a part of a POST, and the rest later or never."""
        r, n = mind.random, len(post.body)
        at = r.choice((r.randrange(n + 1), max(0, n - r.randrange(40)),
                       r.choice(records(post.body)), n))
        part = post
        if r.random() < .6:
            # what is delivered seems to be all there is
            part = Post(post.uri, post.cookie, post.body[:at])
        await self.send(mind, part, r.random() < .3, r.randrange(1, 4), at,
                        r.choice((0, .01, .05, .1, .3)), r.random() < .5)
        rest = Post(post.uri, mind.cookie, post.body[at:])
        what = r.choice(("never", "later", "later", "now"))
        mind.record.log(f"adversary: cut at {at} of {n}, the rest {what}")
        if what == "now" and rest.body:
            return await self.send(mind, rest)
        if what == "later":
            mind.held = rest.body
        return self.tell(mind)

    async def drop(self, mind, post):
        return self.tell(mind)

    async def lose(self, mind, post):
        """Delivers a POST; the response is dropped."""
        r = mind.random
        if r.random() < .5:
            await self.send(mind, post, r.random() < .5, 1, len(post.body),
                            r.choice((0, .02, .05, .1)), r.random() < .7)
        else:
            await self.send(mind, post)
        return self.tell(mind)

    async def repeat(self, mind, post):
        first = await self.send(mind, post)
        second = await self.send(mind, post)
        return mind.random.choice((first, first, second))

    async def twice_at_once(self, mind, post):
        both = await asyncio.gather(self.send(mind, post, True, 3),
                                    self.send(mind, post))
        return mind.random.choice(both)

    async def reorder(self, mind, post):
        """Delivers the POST after the next one."""
        if mind.held:
            answer = await self.send(mind, post)
            held, mind.held = Post(post.uri, mind.cookie, mind.held), b""
            await self.send(mind, held)
            return answer
        mind.held = post.body
        return self.tell(mind)

    async def inject(self, mind, post):
        r, body = mind.random, bytearray(post.body)
        at = r.randrange(len(body) + 1)
        kind = r.choice(("flip", "random", "other's", "remove", "again"))
        mind.record.log(f"adversary: inject: {kind} at {at} of {len(body)}")
        other = self.other(mind)
        if kind == "flip" and at < len(body):
            body[at] ^= 1 << r.randrange(8)
        elif kind == "other's" and other and other.posts:
            body[at:at] = r.choice(other.posts).body
        elif kind == "remove":
            del body[at:at + r.randrange(1, 100)]
        elif kind == "again":
            body += body[at:]
        else:
            body[at:at] = r.randbytes(r.randrange(1, 50))
        return await self.send(mind, Post(post.uri, post.cookie, bytes(body)))

    async def precede(self, mind, post):
        """Sends another POST first."""
        r = mind.random
        kind = r.choice(("empty", "hello", "type", "record", "alert", "old",
                         "garbage"))
        body = {"empty": b"", "type": b"\x16\x03\x03"[:r.randrange(1, 4)],
                "record": b"\x17\x03\x03\x01\x00" + r.randbytes(20),
                "alert": b"\x15\x03\x03\x00\x02\x01\x00",
                "garbage": r.randbytes(r.randrange(1, 30))}.get(kind)
        if body is None:
            posts = mind.posts if kind == "old" else (
                [m.posts[0] for m in self.minds.values() if m.posts][-10:])
            body = r.choice(posts).body if posts else b"\x16\x03\x01\x00\xff"
        mind.record.log(f"adversary: precede: {kind}, {len(body)} bytes")
        await self.send(mind, Post(post.uri, mind.cookie, body))
        return await self.send(mind, post)

    async def truncate(self, mind, post):
        answer = await self.send(mind, post)
        if answer is None or not answer.body:
            return answer
        n = mind.random.randrange(len(answer.body))
        if mind.random.random() < .5:
            return Answer(answer.status, answer.fields, answer.body[:n])
        answer = Answer(answer.status, answer.fields, answer.body)
        answer.broken = n
        return answer

    async def pretend(self, mind, post):
        """Replaces the response."""
        await self.send(mind, post)
        return self.tell(mind)

    async def swallow(self, mind, post):
        """Delays the response, and prepends it to the next one."""
        answer = await self.send(mind, post)
        if answer is None or answer.status != 200:
            return answer
        kept, mind.kept = getattr(mind, "kept", b""), b""
        if kept:
            return Answer(200, answer.fields, kept + answer.body)
        mind.kept = answer.body
        return Answer(200, answer.fields, b"")

    async def cookie(self, mind, post):
        r = mind.random
        other = self.other(mind)
        kind = r.choice(("none", "other's", "garbage"))
        if kind == "other's" and other and other.cookie:
            other.record.disturbed = True
            cookie = other.cookie
        else:
            cookie = None if kind == "none" else "A" * 24
        mind.record.log(f"adversary: cookie: {kind}")
        answer = await self.send(mind, Post(post.uri, cookie, post.body))
        return answer if r.random() < .5 else await self.send(mind, post)

    async def misdirect(self, mind, post):
        """Sends the POST to another endpoint first."""
        r = mind.random
        other = Post(r.choice([u for u in URIS if u != post.uri]), post.cookie,
                     post.body)
        answer = await self.send(mind, other)
        mind.record.log(f"adversary: misdirect to {other.uri}")
        if r.random() < .5:
            return answer
        return await self.send(mind, post)

    async def haunt(self, mind, post):
        """Replays an old POST later; the session may be closed."""
        r = mind.random
        await asyncio.sleep(r.random() * 4)
        uri = post.uri if r.random() < .7 else r.choice(URIS)
        mind.record.log("adversary: an old POST again")
        if mind.held and r.random() < .5:
            post = Post(uri, mind.cookie, mind.held)
        else:
            post = Post(uri, mind.cookie, post.body)
        try:
            await self.send(mind, post)
        except OSError:
            pass


def records(body):
    """Offsets of the ends of records; data start with a record."""
    ends, at = [], 0
    while at + 5 <= len(body):
        at += 5 + int.from_bytes(body[at + 3:at + 5], "big")
        ends.append(min(at, len(body)))
    return ends or [len(body)]


class Post:
    def __init__(self, uri, cookie, body):
        self.uri, self.cookie, self.body = uri, cookie, body

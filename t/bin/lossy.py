#!/usr/bin/env python3
"""A proxy that loses, delays and refuses POSTs and responses.

    lossy.py PORT SERVER_PORT MODE [SEED]

MODE is

    each        the response to each POST is cut: the first one before its first
                byte, the next one after it, and so on.  If the POST is sent
                again, it gets the response.  The first POSTs of sessions, which
                have no cookie, are counted separately, and in larger steps
    random      POSTs and responses are lost, cut, doubled and delayed, or
                answered with error statuses
    mute=N-M    from the Nth to the Mth POST, no response, and the connection is
                closed
    cut=N-M     the same, after half of the response
    silent=N-M  no response, but the connection stays open
    deaf=N-M    the same, and the server does not get the POST
    half=N-M    half of the body, as if it were complete
    bare=N-M    no body
    gone=N-M    as mute; later ones: a 410 of a middlebox
    past=N-N    as mute; if the POST is sent again, it gets a 410, and only
                then, the next one gets its response
    trailer=N-M a chunked body with a trailer
    soon=N-M    a 503 of a middlebox, with Retry-After: 1
    later=N-M   the same, with Retry-After: 11
    held=N-M    the response is passed on after the signal USR1
    apart=N-N   the connection of the Nth POST, a poll, is closed: at once if it
                is empty, and the server still waits; otherwise after the
                response.  The same POST again waits for another one, and is
                "overtaken"; without any, after a while, it is "alone"
    delayed     POSTs and responses are delayed at random
    busy=N-M    the Nth to the Mth empty POST waits for the next POST with data,
                and gets a 409: the session is in use

A line is printed for each POST: what is done.
"""

import asyncio
import hashlib
import random
import re
import signal
import sys

STEP = 13
DELAY = .02
ALONE = .5
FAULTS = ["lost", "unanswered", "cut", "doubled", "late", "again later",
          "status before", "status after"]
STATUSES = ["502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout",
            "408 Request Timeout"]
GONE = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"
BUSY = b"HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n"
RETRY_AFTER = {"soon": 1, "later": 11}


class Lossy:
    def __init__(self, server, mode, seed):
        self.server = server
        self.mode, _, numbers = mode.partition("=")
        self.first, self.last = map(int, (numbers or "0-0").split("-"))
        self.random = random.Random(seed)
        self.posts = 0
        self.seen = set()
        self.at = {True: 0, False: 0}
        self.tasks = set()
        self.past = None
        self.again = asyncio.Event()
        self.release = asyncio.Event()
        self.empty = 0
        self.data = None

    def accept(self, reader, writer):
        """The loop has no reference to a task that waits."""
        self.keep(self.serve(reader, writer))

    async def serve(self, reader, writer):
        try:
            while await self.post(*await self.read(reader), writer):
                pass
        except (asyncio.IncompleteReadError, OSError):
            pass
        writer.close()

    async def read(self, reader):
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"\nContent-Length: (\d+)", head, re.I)
        return head, length and await reader.readexactly(int(length[1]))

    async def ask(self, head, body):
        """The response of the server, for a connection that is kept."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server)
        writer.write(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
                     + body)
        response = await reader.read()
        writer.close()
        return response.replace(b"Connection: close\r\n", b"", 1)

    def later(self, *args):
        async def ask():
            await asyncio.sleep(self.random.random() / 5)
            await self.ask(*args)
        self.keep(ask())

    def keep(self, coroutine):
        task = asyncio.ensure_future(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def post(self, head, body, writer):
        """Returns whether the connection is kept."""
        if body is None:
            return await self.write(writer, "411",
                                    b"HTTP/1.1 411 Length Required\r\n"
                                    b"Content-Length: 0\r\n\r\n", False)
        self.posts += 1
        known = b"\ncookie:" in head.lower() or head.count(b"/", 0, 70) > 3
        if self.mode == "each":
            return await self.each(head, body, known, writer)
        if self.mode == "random":
            return await self.fault(head, body, known, writer)
        if self.mode == "delayed":
            return await self.delay(head, body, writer)
        if self.mode == "busy":
            return await self.busy(head, body, writer)

        number = self.posts
        chosen = self.first <= number <= self.last
        if self.mode == "deaf" and chosen:
            print("deaf", flush=True)
            await asyncio.sleep(1000)
            return False
        if self.mode == "past" and (chosen or number > self.last):
            return await self.before(head, body, chosen, writer)
        if self.mode == "apart" and (chosen or number > self.last):
            return await self.apart(head, body, chosen, writer)
        if self.mode in ("mute", "silent") and chosen:
            print("waits", flush=True)
        response = await self.ask(head, body)
        if self.mode == "gone" and number > self.last:
            return await self.write(writer, "gone", GONE)
        if not chosen:
            return await self.write(writer, "passed", response)
        if self.mode == "cut":
            return await self.write(writer, "cut",
                                    response[:len(response) // 2], False)
        if self.mode in ("half", "bare"):
            start, rest = response.split(b"\r\n\r\n", 1)
            rest = rest[:len(rest) // 2] if self.mode == "half" else b""
            start = re.sub(rb"(?<=\nContent-Length: )\d+", b"%d" % len(rest),
                           start)
            return await self.write(writer, self.mode,
                                    start + b"\r\n\r\n" + rest)
        if self.mode in RETRY_AFTER:
            return await self.write(writer, self.mode,
                                    b"HTTP/1.1 503 Service Unavailable\r\n"
                                    b"Retry-After: %d\r\n"
                                    b"Content-Length: 0\r\n\r\n"
                                    % RETRY_AFTER[self.mode])
        if self.mode == "trailer":
            return await self.write(writer, "trailer", trailer(response))
        if self.mode in ("mute", "gone"):
            return await self.write(writer, "mute")
        if self.mode == "held":
            print("held", flush=True)
            await self.release.wait()
            return await self.write(writer, "released", response)
        print("silent", flush=True)
        await asyncio.sleep(1000)
        return False

    async def before(self, head, body, chosen, writer):
        if chosen:
            print("waits", flush=True)
            self.past = body
            await self.ask(head, body)
            return await self.write(writer, "mute")
        if body == self.past:
            keep = await self.write(writer, "past", GONE)
            self.again.set()
            return keep
        response = await self.ask(head, body)
        await self.again.wait()
        await asyncio.sleep(.1)
        return await self.write(writer, "passed", response)

    async def apart(self, head, body, chosen, writer):
        if chosen:
            print("waits", flush=True)
            self.past = body
            if body:
                await self.ask(head, body)
            else:
                self.keep(self.ask(head, body))
            return await self.write(writer, "mute")
        if body != self.past:
            response = await self.ask(head, body)
            if self.data:
                self.data.set()
            return await self.write(writer, "passed", response)
        if self.data is None:
            print("again", flush=True)
            self.data = asyncio.Event()
            try:
                await asyncio.wait_for(self.data.wait(), ALONE)
                print("overtaken", flush=True)
            except asyncio.TimeoutError:
                print("alone", flush=True)
        return await self.write(writer, "passed", await self.ask(head, body))

    async def delay(self, head, body, writer):
        await self.pause()
        response = await self.ask(head, body)
        await self.pause()
        return await self.write(writer, "passed", response)

    async def pause(self):
        if self.random.random() < .6:
            await asyncio.sleep(self.random.expovariate(1 / DELAY))

    async def busy(self, head, body, writer):
        if body:
            if self.data:
                self.data.set()
                self.data = None
            return await self.write(writer, "passed",
                                    await self.ask(head, body))
        self.empty += 1
        if not self.first <= self.empty <= self.last:
            return await self.write(writer, "passed",
                                    await self.ask(head, body))
        print("waits", flush=True)
        self.data = asyncio.Event()
        await self.data.wait()
        return await self.write(writer, "busy", BUSY)

    async def each(self, head, body, known, writer):
        digest = hashlib.sha256(body).digest()
        again = digest in self.seen
        self.seen.add(digest)
        response = await self.ask(head, body)
        which = "next" if known else "first"
        if again:
            return await self.write(writer, "again", response)
        if self.at[known] >= len(response):
            return await self.write(writer, f"{which} whole", response)
        cut = self.at[known]
        self.at[known] += 1 if known else STEP
        return await self.write(writer, f"{which} cut {cut} of {len(response)}",
                                response[:cut], False)

    async def fault(self, head, body, known, writer):
        what = self.random.choice(FAULTS)
        if self.random.random() < .6:
            what = "passed"
        if what == "lost":
            return await self.write(writer, what)
        status = f"HTTP/1.1 {self.random.choice(STATUSES)}\r\n" \
            "Content-Length: 0\r\n\r\n".encode()
        if what == "status before":
            return await self.write(writer, what, status)
        if what == "late":
            await asyncio.sleep(self.random.random() / 10)
        if what == "doubled":
            first, response = await asyncio.gather(self.ask(head, body),
                                                   self.ask(head, body))
            if first[9:12] == response[9:12] == b"200" and known \
                    and first.split(b"\r\n\r\n")[1] \
                    != response.split(b"\r\n\r\n")[1]:
                print("not the same:", first, response, flush=True)
        else:
            response = await self.ask(head, body)
        if what == "again later" and known:
            self.later(head, body)
        if what == "status after":
            return await self.write(writer, what, status)
        if what == "unanswered":
            return await self.write(writer, what)
        if what == "cut":
            return await self.write(writer, what,
                                    response[:self.random.randrange(
                                        len(response))], False)
        return await self.write(writer, what, response)

    async def write(self, writer, what, response=b"", keep=True):
        print(what, flush=True)
        writer.write(response)
        await writer.drain()
        return keep and response


def trailer(response):
    start, rest = response.split(b"\r\n\r\n", 1)
    start = re.sub(rb"\nContent-Length: \d+", b"\nTransfer-Encoding: chunked",
                   start)
    rest = rest and b"%x\r\n%s\r\n" % (len(rest), rest)
    return start + b"\r\n\r\n" + rest + b"0\r\nX-Trailer: 1\r\n\r\n"


async def main(port, server, mode, seed="1"):
    lossy = Lossy(int(server), mode, int(seed))
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1,
                                                  lossy.release.set)
    listener = await asyncio.start_server(lossy.accept, "127.0.0.1", int(port),
                                          limit=1 << 22)
    await listener.serve_forever()


asyncio.run(main(*sys.argv[1:]))

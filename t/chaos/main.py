"""Runs sessions and clients against the nginx started by chaos.t: first with
reloads and crashes, then with undisturbed workers, to detect leaks."""

import argparse
import asyncio
import collections
import os
import re
import signal
import sys
import time
import traceback

import inner
from adversary import Adversary
from backend import Backend
from content import Content
from cutter import Cutter
from hostile import Hostile
from ledger import Ledger
from metrics import Metrics
from nginx import Nginx
from plan import Planner
from special import KINDS

SESSIONS, HOSTILES = 28, 4


class Limits:
    def __init__(self, options):
        self.idle, self.lifetime = options.idle, options.lifetime
        self.base = 2.5 * options.slow
        self.lag = 0            # by how much this program was late, at most

    @property
    def slack(self):
        """By how much nginx may be late.  A busy machine delays it as well
        as this program, which lets stopped workers wait when it is late."""
        return self.base + self.lag


class World:
    workers = 4

    def __init__(self, options):
        self.options = options
        self.content = Content(options.seed)
        self.ledger = Ledger(options.dir + "/chaos.log")
        self.limits = Limits(options)
        self.slow = options.slow
        self.patience = 60 * options.slow
        self.running = {}
        self.nginx = Nginx(self, options)
        self.metrics = Metrics(self, options.port)
        self.backend = Backend(self.ledger, self.content)
        self.adversary = Adversary(self, options.port)
        self.cutter = Cutter(self, options.port)
        self.h2_cutter = Cutter(self, options.h2_port)
        self.hostile = Hostile(self, options.port, options.h2_port)
        self.planner = Planner(self, options)
        self.number = 0

    async def one(self):
        self.number += 1
        sid = f"s{self.number}"
        plan = self.planner.make(sid)
        session = KINDS[plan.kind](self, sid, plan)
        session.record.log(
            f"{plan.kind}: {plan.uri}, {plan.name or 'no certificate'}, outer"
            f" {plan.version}{' kept alive' if plan.keepalive else ''},"
            f" {plan.path}{', split' if plan.splits else ''}")
        self.running[sid] = session
        self.ledger.count["sessions"] += 1
        self.ledger.count[f"sessions: {plan.kind}"] += 1
        try:
            await session.run()
        except Exception:
            self.ledger.violation(f"the harness: {traceback.format_exc()}",
                                  sid)
        finally:
            if not session.record.disturbed:
                del self.running[sid]

    async def load(self, until):
        """Runs sessions and hostile clients until a time."""
        async def client(n):
            await asyncio.sleep(n * .05)
            while time.time() < until and not self.enough():
                await self.one()

        tasks = [client(n) for n in range(SESSIONS)]
        tasks += [self.hostile.run(f"{n} {until}", until)
                  for n in range(HOSTILES)]
        await asyncio.gather(*tasks)

    def enough(self):
        return len(self.ledger.violations) >= self.options.most

    async def run(self):
        options, began = self.options, time.time()
        steady = max(5, options.time / 5)

        await self.backend.start(options.backend_port)
        await self.adversary.start(options.adversary_port)
        await self.cutter.start(options.cutter)
        await self.h2_cutter.start(options.h2_cutter)
        watches = [asyncio.ensure_future(watch())
                   for watch in (self.nginx.watch, self.metrics.watch)]
        zone = self.nginx.zone(options.zone)

        until = began + options.time - steady
        chaos = asyncio.ensure_future(self.nginx.chaos(until))
        await self.load(until)
        await chaos
        self.say(f"chaos is over, late by {self.limits.lag:.1f} s at most")

        if not self.enough():
            await self.settle()
            await self.steadily(steady, zone)
        self.adversary.stop()
        for watch in watches:
            self.check_watch(watch)
        self.nginx.read_log()
        self.ledger.check_order()
        self.check_access_log()

    def check_watch(self, watch):
        """It runs until the end."""
        if watch.done() and watch.exception():
            self.ledger.violation(f"the harness: {watch.exception()!r}")
        watch.cancel()

    async def settle(self):
        """Waits until only new workers are left."""
        await self.nginx.reload("A")
        until = time.time() + self.limits.lifetime + self.patience
        workers = self.nginx.workers()
        while any(self.nginx.alive(p) for p in self.nginx.started
                  if p not in workers):
            if time.time() > until:
                left = [p for p in self.nginx.started
                        if p not in workers and self.nginx.alive(p)]
                for pid in left:
                    self.ledger.violation(
                        f"old worker {pid} does not end, it is"
                        f" {self.nginx.state(pid)}")
                    self.nginx.killed.add(pid)
                    os.kill(pid, signal.SIGKILL)
                return
            await asyncio.sleep(.1)
        self.say("old workers have ended")

    async def steadily(self, seconds, zone):
        """Compares resources of idle workers, to detect leaks."""
        nginx = self.nginx
        # let each worker process requests first
        load = asyncio.ensure_future(self.load(time.time() + seconds / 3))
        await asyncio.sleep(seconds / 4)
        self.say(f"zone under load: {nginx.zone(self.options.zone)}")
        await load
        memory = nginx.memory()
        await self.quiet()
        files = nginx.descriptors()
        counted = await self.metrics.settled()
        await self.load(time.time() + seconds * 2 / 3)
        await self.quiet()
        await self.metrics.compare(counted)

        until = time.time() + self.limits.idle + self.patience
        while True:
            more = {pid: [x for x in links]
                    for pid, links in nginx.descriptors().items()
                    if len(links) > len(files.get(pid, links)) + 1}
            now = nginx.zone(self.options.zone)
            used = {kind: (zone[kind], n) for kind, n in now.items()
                    if n > zone[kind]}
            if not more and not used:
                break
            if time.time() > until:
                for pid, links in more.items():
                    self.ledger.violation(
                        f"worker {pid} has {len(links)} descriptors, had"
                        f" {len(files[pid])}")
                    self.ledger.log(f"{sorted(files[pid])}\n{sorted(links)}")
                if used:
                    self.ledger.violation("entries of the zone are not given"
                                          f" back, by kind: {used}")
                break
            await asyncio.sleep(.2)

        self.say(f"memory: {memory}, now {nginx.memory()};"
                 f" zone: {zone}, now {nginx.zone(self.options.zone)};"
                 f" descriptors: { {p: len(x) for p, x in files.items()} }, now"
                 f" { {p: len(x) for p, x in nginx.descriptors().items()} }")
        for pid, size in nginx.memory().items():
            if pid in memory and size > memory[pid] + self.options.growth:
                self.ledger.violation(f"worker {pid} has grown from"
                                      f" {memory[pid]} to {size} kB")

    async def quiet(self):
        """Waits until no requests are in progress."""
        until = time.time() + self.patience
        while self.adversary.tasks and time.time() < until:
            await asyncio.sleep(.1)

    def check_access_log(self):
        """Checks the access log: each request was processed once."""
        line = re.compile(r'on (\S+) (\d+) "(.*)"$')
        with open(self.options.dir + "/access.log", encoding="latin-1") as f:
            for text in f:
                match = line.match(text)
                if not match:
                    continue
                identifier, status, request = match.groups()
                words = request.split(" ")
                token = inner.token_of(words[1]) if len(words) == 3 else ""
                known = self.ledger.requests.get(token)
                sid = self.ledger.hashes.get(identifier)
                if "/cache/" in request or words[-1] == "HTTP/0.9":
                    continue
                if known is None:
                    if not self.cut_short(sid, status, request):
                        self.ledger.violation("access log: nobody has sent"
                                              f" {text[:200]}", sid)
                    continue
                known.logged += 1
                if known.logged > known.most:
                    self.ledger.violation(f"access log: {token} was answered"
                                          f" {known.logged} times",
                                          known.record.sid)
                if words[:2] != [known.method, known.uri]:
                    self.ledger.violation(f"access log: {token} was {request}",
                                          known.record.sid)

    def cut_short(self, sid, status, request):
        """A request of which nginx has received only the beginning."""
        if not request:
            return True
        record = self.ledger.sessions.get(sid)
        return status in ("400", "408", "499") and (
            record is None or any(r.wire.startswith(request.encode())
                                  for r in record.requests))

    def say(self, what):
        self.ledger.log(what)
        if self.options.verbose:
            print(f"# {time.time():.1f} {what}", flush=True)

    # the result

    def report(self):
        ledger = self.ledger
        for name in sorted(ledger.count):
            self.say(f"{ledger.count[name]:8} {name}")
        for what, sid in ledger.violations[:20]:
            print(f"VIOLATION {sid or '-'}: {what}")
        if len(ledger.violations) > 20:
            print(f"and {len(ledger.violations) - 20} more")
        kinds = collections.Counter(re.sub(r"\b\S*\d\S*", "N", what)[:100]
                                    for what, _ in ledger.violations)
        for what, n in kinds.most_common():
            self.say(f"{n:8} of {what}")
        sids = dict.fromkeys(sid for _, sid in ledger.violations if sid)
        for sid in list(sids)[:5]:
            print(f"{sid}:")
            for line in ledger.report(sid)[-40:]:
                print(f"    {line[:300]}")
        for sid, record in ledger.sessions.items():
            if any(s == sid for _, s in ledger.violations):
                ledger.log(f"session {sid}:\n    " + "\n    ".join(record.lines))
        return 1 if ledger.violations else 0


def main():
    parser = argparse.ArgumentParser()
    for name, kind in (("dir", str), ("seed", str), ("time", float),
                       ("port", int), ("h2-port", int), ("backend-port", int),
                       ("adversary-port", int), ("cutter", int),
                       ("h2-cutter", int), ("master", int),
                       ("program", str), ("slow", float), ("idle", float),
                       ("lifetime", float), ("zone", int), ("growth", int),
                       ("most", int)):
        parser.add_argument(f"--{name}", type=kind)
    parser.add_argument("--verbose", action="store_true")
    world = World(parser.parse_args())
    try:
        asyncio.run(world.run())
    finally:
        world.nginx.resume()
    sys.stdout.flush()
    status = world.report()
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    main()

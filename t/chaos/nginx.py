"""The nginx processes: logs, reloads, crashes, and resources."""

import asyncio
import collections
import os
import re
import signal
import struct
import time

FAULT = re.compile(r"\[(?:alert|emerg|crit)\]|open socket|Sanitizer"
                   r"|runtime error|exited with code [1-9]")
STARTED = re.compile(r"start worker process (\d+)")
RECONFIGURES = re.compile(r"\[notice\] .*: reconfiguring$")
LEAVES = re.compile(r"\[notice\] (\d+)#\d+: (?:gracefully shutting|exiting)")
GONE = re.compile(r"process (\d+) exited")

ENTRY = 512
FLOOD = 20 << 20        # bytes a second


class Change:
    """A change to a variant of the configuration."""

    def __init__(self, variant):
        self.variant = variant
        self.began, self.done = time.time(), None


class Nginx:
    def __init__(self, world, options):
        self.world, self.ledger = world, world.ledger
        self.dir, self.master = options.dir, options.master
        self.started, self.leaving = [], set()
        self.old = None         # workers with an earlier configuration
        self.offset, self.killed = 0, set()
        self.changes = [Change("A")]
        self.changes[0].done = 0
        self.random = world.content.random("nginx")
        self.stopped = set()

    # the error log

    def read_log(self):
        with open(self.dir + "/error.log", "rb") as file:
            file.seek(self.offset)
            data = file.read()
        end = data.rfind(b"\n") + 1
        self.offset += end
        for line in data[:end].split(b"\n"):
            if b" [debug] " in line or b" [info] " in line:
                continue
            line = line.decode("latin-1")
            if match := STARTED.search(line):
                self.started.append(int(match[1]))
                self.leaving.discard(int(match[1]))
            elif match := LEAVES.search(line):
                self.leaving.add(int(match[1]))
            elif RECONFIGURES.search(line):
                self.old = set(self.started)
            if match := GONE.search(line):
                self.started = [p for p in self.started if p != int(match[1])]
                if "on signal 9" in line and int(match[1]) in self.killed:
                    continue
            if FAULT.search(line):
                self.ledger.violation(f"error log: {line[:300]}")

    def alive(self, pid):
        return self.state(pid) not in ("", "Z")

    def state(self, pid):
        """The state of a worker; "" if the pid is not that of a worker any
        more, but possibly of another process, which must not be signalled."""
        try:
            with open(f"/proc/{pid}/stat") as file:
                state, parent = file.read().rpartition(")")[2].split()[:2]
        except OSError:
            return ""
        return state if int(parent) == self.master else ""

    def workers(self):
        """Workers that accept connections."""
        self.read_log()
        return [pid for pid in self.started
                if pid not in self.leaving and self.alive(pid)]

    async def watch(self):
        """Reads the log periodically.  A worker that logs endlessly is in an
        endless loop, and is killed."""
        size, seconds = 0, .2
        limits = self.world.limits
        while True:
            began = time.monotonic()
            last, size = size, os.stat(self.dir + "/error.log").st_size
            if size - last > FLOOD * seconds:
                await self.runs_away(size - last)
                began = time.monotonic()
            self.read_log()
            await asyncio.sleep(.2)
            seconds = time.monotonic() - began
            limits.lag = max(limits.lag, seconds - .2)

    async def runs_away(self, more):
        busy = {pid: self.ticks(pid) for pid in self.started
                if self.alive(pid)}
        await asyncio.sleep(1)
        busy = {pid: self.ticks(pid) - n for pid, n in busy.items()
                if self.alive(pid)}
        pid = max(busy, key=busy.get)
        self.ledger.violation(f"error log: {more} bytes at once, worker {pid}"
                              " is busiest and is killed")
        self.killed.add(pid)
        os.kill(pid, signal.SIGKILL)

    def ticks(self, pid):
        """The processor time of a worker, in clock ticks."""
        try:
            with open(f"/proc/{pid}/stat") as file:
                return sum(map(int, file.read().rpartition(")")[2]
                               .split()[11:13]))
        except OSError:
            return 0

    # reloads, signals

    async def chaos(self, until):
        deeds = (("reload", 7), ("kill", 4), ("quit", 4), ("stop", 6))
        r = self.random
        while time.time() < until:
            await asyncio.sleep(r.uniform(.3, 2.5) * self.world.slow)
            name = r.choices([n for n, _ in deeds], [w for _, w in deeds])[0]
            self.ledger.count[f"nginx: {name}"] += 1
            await getattr(self, name)()

    async def reload(self, variant=None):
        variant = variant or self.random.choice("AB")
        self.ledger.log(f"nginx: reload, {variant}")
        with open(f"{self.dir}/nginx-{variant}.conf") as file:
            text = file.read()
        with open(self.dir + "/nginx.conf", "w") as file:
            file.write(text)
        change = Change(variant)
        self.changes.append(change)

        # the master may start another worker before it handles the signal
        self.old = None
        with self.ledger.changing():
            os.kill(self.master, signal.SIGHUP)
            until = time.time() + self.world.patience
            while True:
                now = self.workers()
                if now and self.old is not None and not self.old & set(now):
                    break
                if time.time() > until:
                    self.ledger.violation("reload: old workers do not leave")
                    break
                await asyncio.sleep(.02)

        change.done = time.time()
        self.ledger.log(f"nginx: reloaded, {now}")

    async def kill(self):
        workers = self.workers()
        if not workers:
            return
        # old workers, too
        if self.random.random() < .2:
            workers = [p for p in self.started if self.alive(p)] or workers
        pid = self.random.choice(workers)
        self.ledger.log(f"nginx: kill {pid}")
        self.killed.add(pid)
        self.ledger.kills.append(time.time())
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        await self.respawned()
        self.ledger.kills.append(time.time())

    async def respawned(self):
        until = time.time() + self.world.patience
        while len(self.workers()) < self.world.workers:
            if time.time() > until:
                self.ledger.log("nginx: too few workers")
                return
            await asyncio.sleep(.02)

    async def quit(self):
        workers = self.workers()
        if len(workers) < self.world.workers:
            return
        pid = self.random.choice(workers)
        self.ledger.log(f"nginx: quit {pid}")
        with self.ledger.changing():
            os.kill(pid, signal.SIGQUIT)
            while pid in self.workers():
                await asyncio.sleep(.02)

    async def stop(self):
        pids = [pid for pid in self.started if self.alive(pid)]
        pid = self.random.choice(pids)
        self.ledger.log(f"nginx: stop {pid}")
        self.stopped.add(pid)
        try:
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(self.random.uniform(.05, 1.5))
        except ProcessLookupError:
            pass
        finally:
            self.resume()

    def resume(self):
        while self.stopped:
            try:
                os.kill(self.stopped.pop(), signal.SIGCONT)
            except ProcessLookupError:
                pass

    # the current configuration

    @property
    def variant(self):
        return self.changes[-1].variant

    def allowed_since(self, variant, when):
        """Whether only this variant has been active since a time, and no
        change is in progress."""
        for change in reversed(self.changes):
            if change.variant != variant:
                return False
            if change.done is not None and change.done < when:
                return True
        return False

    def revoked(self, variant, when):
        """For how long another variant had been active at a time, if it still
        is."""
        since = None
        for change in reversed(self.changes):
            if change.variant == variant:
                break
            since = change.done
        return when - since if since is not None and since < when else None

    # resources

    def descriptors(self):
        counts = {}
        for pid in self.workers():
            links = []
            for fd in os.listdir(f"/proc/{pid}/fd"):
                try:
                    links.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
                except OSError:
                    pass
            counts[pid] = links
        return counts

    def memory(self):
        """Private memory of each worker, in kilobytes."""
        sizes = {}
        for pid in self.workers():
            with open(f"/proc/{pid}/status") as file:
                match = re.search(r"RssAnon:\s+(\d+) kB", file.read())
            sizes[pid] = int(match[1])
        return sizes

    def zone(self, size):
        """Used entries of the session table by kind, see
        ngx_http_atls_table.h and ngx_http_atls_entry.h."""
        pid = self.workers()[0]
        with open(f"/proc/{pid}/maps") as file:
            for line in file:
                first, last = (int(x, 16)
                               for x in line.split()[0].split("-"))
                if last - first == size and "/dev/zero" in line:
                    break
            else:
                raise LookupError("there is no zone")
        with open(f"/proc/{pid}/mem", "rb", 0) as file:
            file.seek(first)
            memory = file.read(size)

        # layout, size of an entry, lock, who changes it, entries, and how many
        for at in range(0, size // 2, 8):
            _, entry, _, _, entries, number, touched = struct.unpack_from(
                "QQQQQII", memory, at)
            if (entry == ENTRY and first < entries < last
                    and touched <= number
                    and size // 2 < number * ENTRY < size):
                break
        else:
            raise LookupError("there is no table in the zone")
        kinds = collections.Counter()
        for n in range(touched):
            kinds[memory[entries - first + n * ENTRY]] += 1
        del kinds[0]
        return kinds

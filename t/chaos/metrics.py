"""Readings of atls_status: at any time, counters never go back, and sessions
match; without crashes, each event is counted in all metrics that have it."""

import asyncio
import json

# the same number of events; of histograms: their count

SAME = (("posts_total", "posts_named_total", "post_duration_seconds"),
        ("handshakes_total/finished", "handshake_protocols_total",
         "handshake_ciphers_total", "handshake_groups_total",
         "handshake_resumptions_total", "handshake_duration_seconds"))

GAUGES = ("sessions", "zone_entries", "zone_pages", "handshakes_in_progress",
          "parked_requests", "workers")

MOST = 1 << 40                  # a number that went below zero is larger


def flatten(value, name=""):
    """Numbers by names like "posts_total/served/200"."""
    if not isinstance(value, dict):
        return {name: value}
    numbers = {}
    for key, part in value.items():
        numbers.update(flatten(part, f"{name}/{key}" if name else key))
    return numbers


def total(numbers, name):
    """Of a metric: the sum of its labels, or the count of a histogram."""
    if f"{name}/count" in numbers:
        return numbers[f"{name}/count"]
    return sum(n for key, n in numbers.items()
               if key == name or key.startswith(f"{name}/"))


def differences(numbers):
    found = {f"{first} and {name}": total(numbers, name) - total(numbers, first)
             for first, *names in SAME for name in names}
    # each session begins with a handshake
    found["sessions_started_total and handshakes"] = (
        total(numbers, "handshakes_total") + numbers["handshakes_in_progress"]
        - numbers["sessions_started_total"])
    return found


class Metrics:
    def __init__(self, world, port):
        self.world, self.ledger, self.port = world, world.ledger, port
        self.last = {}

    async def read(self):
        """A reading; None if there is no response."""
        try:
            return flatten(await asyncio.wait_for(self.ask(),
                                                  self.world.patience))
        except (OSError, ValueError, asyncio.TimeoutError):
            return None

    async def ask(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(b"GET /metrics?format=json HTTP/1.0\r\n\r\n")
            data = await reader.read()
        finally:
            writer.close()
        return json.loads(data.partition(b"\r\n\r\n")[2])

    async def watch(self):
        while True:
            self.check(await self.read())
            await asyncio.sleep(.5 * self.world.slow)

    def check(self, numbers):
        if numbers is None:
            return
        self.ledger.count["readings"] += 1
        started = numbers["sessions_started_total"]
        ended = total(numbers, "sessions_ended_total")
        if total(numbers, "sessions") != started - ended:
            self.ledger.violation(f"metrics: sessions {numbers}")
        for name, n in numbers.items():
            if not 0 <= n < MOST:
                self.ledger.violation(f"metrics: {name} is {n}")
            if name.split("/")[0] not in GAUGES and n < self.last.get(name, 0):
                self.ledger.violation(f"metrics: {name} was {self.last[name]},"
                                      f" now {n}")
        self.last = numbers

    async def settled(self, wanted=None):
        """The differences of a reading that stays the same or, for some time,
        of one that has the wanted ones."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self.world.patience
        last = None
        while True:
            numbers = await self.read()
            found = differences(numbers) if numbers else None
            if found and found == last and wanted in (None, found):
                return found
            if loop.time() > until:
                return found
            last = found
            await asyncio.sleep(.2)

    async def compare(self, before):
        """If no worker was killed since."""
        after = await self.settled(before)
        if after != before:
            self.ledger.violation(f"metrics: differences {before}, now {after}")

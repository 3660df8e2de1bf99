"""A proxy for traffic that the adversary does not parse: HTTP/2 and streamed
POSTs.  It forwards bytes in other pieces and with delays, and sometimes cuts a
connection."""

import asyncio

from outer import abort


class Cutter:
    def __init__(self, world, port):
        self.world, self.port = world, port
        self.owners = {}                # ports of clients: sessions

    async def start(self, port):
        self.server = await asyncio.start_server(
            self.connection, "127.0.0.1", port, backlog=512, limit=1 << 18)

    async def connection(self, reader, writer):
        port = writer.get_extra_info("peername")[1]
        try:
            # it may be accepted before the client's connect() returns
            while port not in self.owners:
                await asyncio.sleep(.01)
            session = self.world.running[self.owners.pop(port)]
            await self.between(session, reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def between(self, session, reader, writer):
        number = getattr(session, "connections", 0)
        session.connections = number + 1
        random = self.world.content.random("cutter", session.sid, number)
        plan, record = session.plan, session.record

        # bytes to forward in each direction
        limits = [None, None]
        if plan.path == "meddling" and random.random() < plan.violence:
            way = random.randrange(2)
            limits[way] = int(2 ** random.uniform(5, 18))
            record.log(f"adversary: cuts after {limits[way]} bytes"
                       f" {('to nginx', 'from nginx')[way]}")

        there_reader, there_writer = await asyncio.open_connection(
            "127.0.0.1", self.port, limit=1 << 18)
        ways = [asyncio.ensure_future(self.way(random, limit, *pair))
                for limit, pair in zip(limits, ((reader, there_writer),
                                                (there_reader, writer)))]
        try:
            left = set(ways)
            while left:
                done, left = await asyncio.wait(
                    left, return_when=asyncio.FIRST_COMPLETED)
                if any([way.result() for way in done]):
                    record.disturbed = True
                    self.world.ledger.count["adversary: cut of bytes"] += 1
                    break
        finally:
            for way in ways:
                way.cancel()
            if record.disturbed and random.random() < .5:
                abort(there_writer)
                abort(writer)
            there_writer.close()

    async def way(self, random, limit, reader, writer):
        """Returns whether the connection was cut."""
        while True:
            data = await reader.read(random.choice((100, 5000, 65536)))
            if not data:
                if writer.can_write_eof():
                    writer.write_eof()
                return False
            if limit is not None and len(data) >= limit:
                writer.write(data[:limit])
                await asyncio.sleep(random.random() * .1)
                return True
            if limit is not None:
                limit -= len(data)
            writer.write(data)
            await writer.drain()
            if random.random() < .05:
                await asyncio.sleep(random.random() * .2)

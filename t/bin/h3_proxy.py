#!/usr/bin/env python3
"""A proxy from HTTP/1.1 to HTTP/3: all requests use one QUIC connection.

    h3_proxy.py PORT SERVER_PORT [ADDRESS]

Bodies are passed in both directions, piece by piece.  If a client closes its
connection, its stream is reset.  If the QUIC connection is lost, the next
request opens another one.  URIs of the proxy itself:

    /-/rebind       continues with another UDP port, as behind a NAT
    /-/migrate      the same, with another connection ID
    /-/close        closes the QUIC connection
    /-/stop         sends STOP_SENDING, and nothing else, for all responses
"""

import asyncio
import ssl
import sys

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import (ConnectionTerminated, ProtocolNegotiated,
                                 StreamReset)

REQUEST_CANCELLED = 0x10c
HOP_BY_HOP = (b"connection", b"keep-alive", b"transfer-encoding", b"host")


class Protocol(QuicConnectionProtocol):

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = None
        self.lost = False
        self.responses = {}

    def quic_event_received(self, event):
        if isinstance(event, ProtocolNegotiated):
            self.http = H3Connection(self._quic)

        if isinstance(event, StreamReset):
            self.response(event.stream_id, None)

        if isinstance(event, ConnectionTerminated):
            self.lost = True
            for stream in list(self.responses):
                self.response(stream, None)

        if self.http:
            for e in self.http.handle_event(event):
                if isinstance(e, (HeadersReceived, DataReceived)):
                    self.response(e.stream_id, e)

    def response(self, stream, event):
        if stream in self.responses:
            self.responses[stream].put_nowait(event)

    def request(self, headers, end):
        stream = self._quic.get_next_available_stream_id()
        self.responses[stream] = asyncio.Queue()
        self.http.send_headers(stream, headers, end_stream=end)
        self.transmit()
        return stream

    def data(self, stream, data, end):
        self.http.send_data(stream, data, end_stream=end)
        self.transmit()

    def stop(self, stream):
        try:
            self._quic.stop_stream(stream, REQUEST_CANCELLED)
        except ValueError:
            pass                # it has ended

    def cancel(self, stream, sending):
        del self.responses[stream]
        self.stop(stream)
        if sending:
            try:
                self._quic.reset_stream(stream, REQUEST_CANCELLED)
            except AssertionError:
                pass            # the server has requested it
        self.transmit()


class Socket(asyncio.DatagramProtocol):
    """The socket of a protocol, which may be replaced."""

    def __init__(self, protocol):
        self.protocol = protocol

    def connection_made(self, transport):
        self.transport = transport
        self.protocol.connection_made(transport)

    def datagram_received(self, data, addr):
        self.protocol.datagram_received(data, addr)


class Proxy:

    def __init__(self, port, address):
        self.server = (address, port)
        self.protocol = None
        self.socket = None
        self.lock = asyncio.Lock()

    async def bind(self):
        loop = asyncio.get_running_loop()
        old = self.socket
        local = ("::1" if ":" in self.server[0] else "127.0.0.1", 0)

        _, self.socket = await loop.create_datagram_endpoint(
            lambda: Socket(self.protocol), local_addr=local)
        if old:
            old.transport.close()

    async def connection(self):
        async with self.lock:
            if self.protocol is None or self.protocol.lost:
                configuration = QuicConfiguration(
                    is_client=True, alpn_protocols=H3_ALPN,
                    server_name="localhost", verify_mode=ssl.CERT_NONE,
                    idle_timeout=600)
                self.protocol = Protocol(
                    QuicConnection(configuration=configuration))
                await self.bind()
                self.protocol.connect(self.server)
                await self.protocol.wait_connected()
            return self.protocol

    async def control(self, what, writer):
        if what in (b"rebind", b"migrate"):
            protocol = await self.connection()
            await protocol.ping()       # the handshake must be confirmed
            if what == b"migrate":
                protocol.change_connection_id()
            await self.bind()
            await protocol.ping()

        elif what == b"close":
            self.protocol.close()
            await self.protocol.wait_closed()

        elif what == b"stop":
            for stream in self.protocol.responses:
                self.protocol.stop(stream)
            self.protocol.transmit()

        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async def client(self, reader, writer):
        try:
            while await self.exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, EOFError):
            pass
        finally:
            writer.close()

    async def exchange(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        line, *lines = head.rstrip().split(b"\r\n")
        method, path, _ = line.split(b" ")
        fields = [(name.lower(), value.strip()) for name, value in
                  (field.split(b":", 1) for field in lines)]
        known = dict(fields)

        if path.startswith(b"/-/"):
            await self.control(path[3:], writer)
            return True

        headers = [(b":method", method), (b":scheme", b"https"),
                   (b":authority", known.get(b"host", b"localhost")),
                   (b":path", path)]
        headers += [f for f in fields if f[0] not in HOP_BY_HOP]

        chunked = known.get(b"transfer-encoding") == b"chunked"
        length = int(known.get(b"content-length", 0))
        protocol = await self.connection()
        stream = protocol.request(headers, not chunked and length == 0)

        body = asyncio.ensure_future(
            self.body(protocol, stream, reader, chunked, length))
        response = asyncio.ensure_future(
            self.response(protocol, stream, writer))

        # after an early response, the rest of the body is not read

        while not response.done() and not reader.at_eof():
            await asyncio.wait((response,), timeout=0.02)

        sent = body.done() and not body.exception()
        received = response.done() and not response.exception()

        body.cancel()
        response.cancel()

        if not sent or not received:
            protocol.cancel(stream, not sent)
            return False

        del protocol.responses[stream]
        return True

    async def body(self, protocol, stream, reader, chunked, length):
        if chunked:
            while True:
                size = int((await reader.readline()).split(b";")[0], 16)
                piece = await reader.readexactly(size + 2)
                protocol.data(stream, piece[:-2], size == 0)
                if size == 0:
                    break

        while length > 0:
            piece = await reader.read(min(length, 65536))
            if not piece:
                raise EOFError
            length -= len(piece)
            protocol.data(stream, piece, length == 0)

    async def response(self, protocol, stream, writer):
        chunked = False

        while True:
            event = await protocol.responses[stream].get()
            if event is None:
                raise EOFError

            if isinstance(event, HeadersReceived):
                fields = dict(event.headers)
                status = fields[b":status"]
                chunked = b"content-length" not in fields \
                    and status[:1] != b"1"
                lines = [b"HTTP/1.1 " + status + b" "]
                lines += [name + b": " + value
                          for name, value in event.headers
                          if not name.startswith(b":")]
                if chunked:
                    lines.append(b"transfer-encoding: chunked")
                writer.write(b"\r\n".join(lines) + b"\r\n\r\n")

            elif event.data:
                writer.write(b"%x\r\n%s\r\n" % (len(event.data), event.data)
                             if chunked else event.data)

            if event.stream_ended:
                if chunked:
                    writer.write(b"0\r\n\r\n")
                await writer.drain()
                return

            await writer.drain()


async def main():
    port, server = int(sys.argv[1]), int(sys.argv[2])
    address = sys.argv[3] if len(sys.argv) > 3 else "127.0.0.1"
    proxy = Proxy(server, address)

    listening = await asyncio.start_server(proxy.client, "127.0.0.1", port)
    async with listening:
        await listening.serve_forever()


asyncio.run(main())

"""A minimal HTTP/2 client for POSTs: one stream at a time, over TCP with prior
knowledge (RFC 9113, RFC 7541)."""

import asyncio
import struct

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = \
    0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK, PADDED, PRIORITY = 1, 4, 1, 8, 32
WINDOW = 65535
FRAME = 16384

# the entries of the static table that nginx uses in responses

STATIC = {8: (":status", "200"), 9: (":status", "204"), 10: (":status", "206"),
          11: (":status", "304"), 12: (":status", "400"),
          13: (":status", "404"), 14: (":status", "500"),
          28: ("content-length", ""), 31: ("content-type", ""),
          55: ("set-cookie", "")}

# The canonical Huffman code: symbols by the length of their codes.  Symbols
# that do not occur in headers are left out.

LENGTHS = {5: "012aceiost", 6: " %-./3456789=A_bdfghlmnpru",
           7: ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz", 8: "&*,;XZ", 10: '!"()?',
           11: "'+|", 12: "#>", 13: "\0$@[]~", 14: "^}", 15: "<`{"}


def codes():
    table, code, last = {}, 0, 0
    for length, symbols in LENGTHS.items():
        code <<= length - last
        last = length
        for symbol in symbols:
            table[length, code] = symbol
            code += 1
    return table


CODES = codes()


def huffman(data):
    text, code, length = [], 0, 0
    for byte in data:
        for bit in range(7, -1, -1):
            code, length = code << 1 | byte >> bit & 1, length + 1
            symbol = CODES.get((length, code))
            if symbol is not None:
                text.append(symbol)
                code = length = 0
    return "".join(text)


def integer(data, at, bits):
    mask = (1 << bits) - 1
    value, at = data[at] & mask, at + 1
    if value == mask:
        shift = 0
        while True:
            byte, at = data[at], at + 1
            value += (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
    return value, at


def string(data, at):
    coded = data[at] & 128
    length, at = integer(data, at, 7)
    raw = data[at:at + length]
    return huffman(raw) if coded else raw.decode("latin-1"), at + length


def decode(block):
    fields, at = [], 0
    while at < len(block):
        byte = block[at]
        if byte & 128:
            index, at = integer(block, at, 7)
            fields.append(STATIC.get(index, (f"#{index}", "")))
            continue
        if byte & 0xe0 == 0x20:
            _, at = integer(block, at, 5)       # the table's size
            continue
        index, at = integer(block, at, 6 if byte & 64 else 4)
        if index:
            name = STATIC.get(index, (f"#{index}", ""))[0]
        else:
            name, at = string(block, at)
        value, at = string(block, at)
        fields.append((name.lower(), value))
    return fields


def encode(fields):
    block = bytearray()
    for name, value in fields:
        block.append(0)
        for text in (name.encode(), value.encode()):
            if len(text) < 127:
                block.append(len(text))
            else:
                block += bytes((127,))
                rest = len(text) - 127
                while rest >= 128:
                    block.append(rest & 127 | 128)
                    rest >>= 7
                block.append(rest)
            block += text
    return bytes(block)


class Refused(ConnectionError):
    """The request is not processed and can be repeated."""


class Connection:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.next_id = 1
        self.window, self.initial = WINDOW, WINDOW
        self.stream_window = WINDOW
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        # no dynamic table, no flow control for responses
        self.frame(SETTINGS, 0, 0, struct.pack("!HIHI", 1, 0, 4, 0x7fffffff))
        self.frame(WINDOW_UPDATE, 0, 0, struct.pack("!I", 0x7fffffff - WINDOW))

    def frame(self, kind, flags, stream, payload=b""):
        self.writer.write(struct.pack("!I", len(payload))[1:]
                          + bytes((kind, flags)) + struct.pack("!I", stream)
                          + payload)

    async def read_frame(self):
        head = await self.reader.readexactly(9)
        payload = await self.reader.readexactly(
            int.from_bytes(head[:3], "big"))
        return head[3], head[4], int.from_bytes(head[5:], "big"), payload

    async def post(self, fields, body):
        """Returns status, headers and body."""
        stream, self.next_id = self.next_id, self.next_id + 2
        self.stream_window = self.initial
        self.frame(HEADERS, END_HEADERS | (0 if body else END_STREAM), stream,
                   encode(fields))
        sent, answer, data = 0, None, bytearray()

        while True:
            while sent < len(body):
                n = min(len(body) - sent, FRAME, self.window,
                        self.stream_window)
                if n <= 0:
                    break
                self.frame(DATA, END_STREAM if sent + n == len(body) else 0,
                           stream, body[sent:sent + n])
                sent += n
                self.window -= n
                self.stream_window -= n
            await self.writer.drain()

            try:
                kind, flags, number, payload = await self.read_frame()
            except (asyncio.IncompleteReadError, OSError):
                raise ConnectionError("HTTP/2: connection lost") from None
            ended = False

            if kind == SETTINGS and not flags & ACK:
                self.settings(payload)
            elif kind == PING and not flags & ACK:
                self.frame(PING, ACK, 0, payload)
            elif kind == WINDOW_UPDATE:
                n = int.from_bytes(payload, "big")
                if number == 0:
                    self.window += n
                elif number == stream:
                    self.stream_window += n
            elif kind == GOAWAY:
                if int.from_bytes(payload[:4], "big") < stream:
                    raise Refused("HTTP/2: goaway")
            elif number != stream:
                pass
            elif kind == RST_STREAM:
                # NO_ERROR after the response: the rest is not needed
                raise ConnectionError("HTTP/2: reset")
            elif kind == HEADERS:
                answer = decode(payload)
                ended = flags & END_STREAM
            elif kind == DATA:
                data += payload
                ended = flags & END_STREAM

            if ended:
                status = int(dict(answer)[":status"])
                if sent < len(body):
                    self.writer.close()         # the stream is not closed
                return status, answer, bytes(data)

    def settings(self, payload):
        for at in range(0, len(payload) - 5, 6):
            name, value = struct.unpack_from("!HI", payload, at)
            if name == 4:
                self.stream_window += value - self.initial
                self.initial = value
        self.frame(SETTINGS, ACK, 0)

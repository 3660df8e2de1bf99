"""HTTP/1.x messages: an incremental parser, and a reader for streams."""


class Malformed(Exception):
    pass


class Head:
    """Start line and headers; names are in lower case."""

    def __init__(self, raw):
        self.raw = raw
        lines = raw.decode("latin-1").split("\r\n")
        self.line = lines[0]
        self.fields = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                raise Malformed(f"no header: {line[:100]!r}")
            self.fields.append((name.lower(), value.strip()))

    def get(self, name, default=None):
        for field, value in self.fields:
            if field == name:
                return value
        return default

    def all(self, name):
        return [value for field, value in self.fields if field == name]

    @property
    def status(self):
        words = self.line.split(" ")
        if not self.line.startswith("HTTP/1.") or not words[1].isdigit():
            raise Malformed(f"no status line: {self.line[:100]!r}")
        return int(words[1])

    @property
    def chunked(self):
        return (self.get("transfer-encoding") or "").lower() == "chunked"

    @property
    def length(self):
        """Returns None if there is no such header."""
        value = self.get("content-length")
        return int(value) if value is not None and value.isdigit() else None


class Parser:
    """Of one message.  feed() returns what it does not need once it is done.

    body: bytes so far; on_body, if given, gets them instead.
    """

    def __init__(self, request=False, method="GET"):
        self.request, self.method = request, method
        self.head, self.body = None, bytearray()
        self.done = False
        self.buffer = bytearray()
        self.left = None
        self.step = self.read_head

    def feed(self, data):
        self.buffer += data
        while not self.done and self.step():
            pass
        rest = b""
        if self.done:
            rest, self.buffer = bytes(self.buffer), bytearray()
        return rest

    def eof(self):
        """Called at EOF; returns whether the message is complete."""
        if self.head and self.step == self.read_until_eof:
            self.done = True
        return self.done

    def line(self, limit):
        end = self.buffer.find(b"\r\n")
        if end < 0:
            if len(self.buffer) > limit:
                raise Malformed(f"no line: {bytes(self.buffer[:100])!r}")
            return None
        line = bytes(self.buffer[:end])
        del self.buffer[:end + 2]
        return line

    def read_head(self):
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self.buffer) > 65536 or (
                    not self.request
                    and not self.buffer[:7] == b"HTTP/1."[:len(self.buffer)]):
                raise Malformed(f"no head: {bytes(self.buffer[:100])!r}")
            return False

        self.head = Head(bytes(self.buffer[:end]))
        del self.buffer[:end + 4]
        self.left = self.head.length

        if not self.request and (self.method == "HEAD"
                                 or self.head.status < 200
                                 or self.head.status in (204, 304)):
            self.done = True
        elif self.head.chunked:
            self.step = self.read_chunk
        elif self.left is not None:
            self.step = self.read_counted
        elif self.request:
            self.done = True
        else:
            self.step = self.read_until_eof
        return True

    def take(self, n):
        piece = bytes(self.buffer[:n])
        del self.buffer[:n]
        self.body += piece
        return len(piece)

    def read_counted(self):
        self.left -= self.take(self.left)
        self.done = self.left == 0
        return False

    def read_until_eof(self):
        self.take(len(self.buffer))
        return False

    def read_chunk(self):
        line = self.line(1024)
        if line is None:
            return False
        try:
            self.left = int(line.split(b";")[0], 16)
        except ValueError:
            raise Malformed(f"no chunk: {line[:100]!r}") from None
        self.step = self.read_chunk_data if self.left else self.read_trailer
        return True

    def read_chunk_data(self):
        self.left -= self.take(self.left)
        if self.left:
            return False
        if len(self.buffer) < 2:
            return False
        if self.buffer[:2] != b"\r\n":
            raise Malformed("no end of a chunk")
        del self.buffer[:2]
        self.step = self.read_chunk
        return True

    def read_trailer(self):
        line = self.line(8192)
        if line is None:
            return False
        self.done = line == b""
        return True


class Broken(Exception):
    """The stream ended within a message; parser has the data so far."""

    def __init__(self, parser):
        super().__init__("broken off")
        self.parser = parser


async def read_message(reader, parser, rest=b""):
    """Reads to the end of the message.  Returns the data after it."""
    rest = parser.feed(rest) if rest else b""
    while not parser.done:
        try:
            data = await reader.read(65536)
        except OSError:
            raise Broken(parser) from None
        if not data:
            if parser.eof():
                break
            raise Broken(parser)
        rest = parser.feed(data)
    return rest


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""

"""Tokens and bodies, which both ends can generate.

A token is "SESSION.N", for the N-th request of a session.  Bodies are generated
from the seed and a token, so that a missing or moved byte, or a byte of another
body, is detected.
"""

import random
import zlib

LARGEST = 1 << 21
SPREAD = 1 << 20


class Content:
    def __init__(self, seed):
        self.seed = seed
        self.bytes = random.Random(f"{seed}/content").randbytes(LARGEST
                                                                + SPREAD)

    def random(self, *names):
        """Returns a random number generator for a purpose."""
        return random.Random("/".join(map(str, (self.seed, *names))))

    def body(self, token, size):
        start = zlib.crc32(token.encode()) % SPREAD
        return self.bytes[start:start + size]

    def requests(self, token, size):
        """A body that consists of requests, to detect request smuggling.  Most
        of it is line ends, which parsers skip before a request."""
        pieces, length = [], 0
        while length < size:
            piece = (b"\r\n" * 150
                     + f"DELETE /smuggled?t={token}&at={length} HTTP/1.1\r\n"
                       f"Host: localhost\r\n\r\n".encode())
            pieces.append(piece)
            length += len(piece)
        return b"".join(pieces)[:size]


def digest(data):
    return f"{zlib.crc32(data):08x}"

#!/usr/bin/env python3

"""Requests with exported keys, by docs/protocol.md: Python and its package
cryptography.  The keys are exported by somebody else.

stdin: {"url": ..., "requests": [{"keyid", "request_key", "response_key" (hex),
"plain" (base64), "size"}]}; all of them are sent at once.  stdout: [{"plain":
base64} or {"error"}].
"""

import base64
import concurrent.futures
import http.client
import json
import os
import struct
import sys
import urllib.parse

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

OVERHEAD = 1 + 16                       # delimiter and tag
HEADERS = {"Content-Type": "message/http", "Content-Encoding": "aes128gcm"}


class Refused(Exception):
    pass


class Cipher:
    """The records of a message."""

    def __init__(self, key, salt):
        self.key = AESGCM(self.derive(key, salt, b"aes128gcm", 16))
        self.base = int.from_bytes(self.derive(key, salt, b"nonce", 12), "big")
        self.number = 0

    @staticmethod
    def derive(key, salt, info, length):
        return HKDF(hashes.SHA256(), length, salt,
                    b"Content-Encoding: " + info + b"\0").derive(key)

    def nonce(self):
        nonce = (self.base ^ self.number).to_bytes(12, "big")
        self.number += 1
        return nonce

    def seal(self, data, delimiter, padding=0):
        return self.key.encrypt(self.nonce(),
                                data + delimiter + bytes(padding), None)

    def open(self, record):
        """The data, and the delimiter."""
        try:
            plain = self.key.decrypt(self.nonce(), record, None).rstrip(b"\0")
        except InvalidTag:
            raise Refused("a record is not authentic") from None
        if plain[-1:] not in (b"\1", b"\2"):
            raise Refused("no delimiter")
        return plain[:-1], plain[-1:]


def seal(key, keyid, plain, size):
    salt = os.urandom(16)
    cipher = Cipher(key, salt)
    message = [salt, struct.pack(">IB", size, len(keyid)), keyid]
    room = size - OVERHEAD
    while len(plain) > room:
        message.append(cipher.seal(plain[:room], b"\1"))
        plain = plain[room:]
    message.append(cipher.seal(plain, b"\2"))
    return b"".join(message)


def opened(key, keyid, body):
    """The plaintext of a response, while it is read."""
    salt, size, length = struct.unpack(">16sIB", body.read(21))
    if body.read(length) != keyid:
        raise Refused("another keyid")
    cipher = Cipher(key, salt)
    delimiter = b"\1"
    while delimiter == b"\1":
        record = body.read(size)
        if not record:
            raise Refused("the last record is missing")
        data, delimiter = cipher.open(record)
        if delimiter == b"\1" and len(record) != size:
            raise Refused("a short record")
        yield data
    if body.read(1):
        raise Refused("data after the last record")


def exchange(url, request):
    keyid = request["keyid"].encode()
    keys = [bytes.fromhex(request[name + "_key"])
            for name in ("request", "response")]
    body = seal(keys[0], keyid, base64.b64decode(request["plain"]),
                request["size"])
    connection = http.client.HTTPConnection(url.netloc)
    connection.request("POST", url.path, body, HEADERS)
    response = connection.getresponse()
    if response.status != 200:
        raise Refused(json.load(response)["type"].rpartition(":")[2])
    return b"".join(opened(keys[1], keyid, response))


def answer(url, request):
    try:
        return {"plain": base64.b64encode(exchange(url, request)).decode()}
    except Refused as e:
        return {"error": str(e)}


def main():
    what = json.load(sys.stdin)
    url = urllib.parse.urlsplit(what["url"])
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        json.dump(list(pool.map(lambda x: answer(url, x), what["requests"])),
                  sys.stdout)


main()

#!/usr/bin/env python3

"""ATLS with Python 3.8 or later: an SSLObject between two MemoryBIOs.

    python3 python.py [options] URL PATH ...
"""

import argparse
import http.client
import io
import ssl
import sys
import urllib.parse


class Atls:
    """TLS with records in the bodies of POSTs."""

    def __init__(self, context, url, name, session=None):
        self.url = urllib.parse.urlsplit(url)
        self.headers = {"Content-Type": "application/atls+octet-stream"}
        self.response = None
        self.posts = 0
        self.received, self.to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.received, self.to_send,
                                    server_hostname=name, session=session)

    def post(self):
        """Sends all TLS output in one POST."""
        body = self.to_send.read()
        if not body:
            return False

        # one connection per POST
        connection = http.client.HTTPConnection(self.url.netloc)
        connection.request("POST", self.url.path, body,
                           {**self.headers, "Connection": "close"})
        self.response = connection.getresponse()
        self.posts += 1

        # 410: the session is closed; a real client opens a new one
        if self.response.status not in (200, 201):
            problem = self.response.read().decode(errors="replace")
            raise ConnectionError(
                f"HTTP: status {self.response.status}: {problem}")

        cookie = self.response.getheader("Set-Cookie")
        if cookie:
            self.headers["Cookie"] = cookie.partition(";")[0]

        # the URI of the session; not of another server
        location = self.response.getheader("Location")
        if self.response.status == 201 and location:
            url = urllib.parse.urljoin(self.url.geturl(), location)
            if urllib.parse.urlsplit(url)[:2] != self.url[:2]:
                raise ConnectionError(f"HTTP: Location: {location}")
            self.url = urllib.parse.urlsplit(url)
        return True

    def receive(self):
        """Passes bytes of the response to TLS; returns False at its end."""
        data = self.response.read1(16384) if self.response else b""
        self.received.write(data)
        return bool(data)

    def handshake(self):
        while True:
            try:
                return self.tls.do_handshake()
                # TLS 1.3: to_send still has the last flight
            except ssl.SSLWantReadError:
                # read the response before the next POST
                if not self.receive() and not self.post():
                    raise EOFError("the server's flight is not complete")
            except ssl.SSLError:
                self.post()     # the alert: the server closes
                raise

    def send(self, data):
        self.tls.write(data)
        self.post()

    def readinto(self, buffer):
        """Returns 0 at the end of the POST's response, or of the session."""
        while True:
            try:
                return self.tls.read(len(buffer), buffer)
            except ssl.SSLWantReadError:
                if not self.receive():
                    return 0
            except ssl.SSLZeroReturnError:
                return 0        # close_notify

    def makefile(self, mode):
        """Called by http.client on its socket."""
        plaintext = io.RawIOBase()
        plaintext.readable = lambda: True
        plaintext.readinto = self.readinto
        return io.BufferedReader(plaintext)

    def end(self):
        """Closes: unwrap() returns after both sides sent close_notify."""
        while True:
            try:
                return self.tls.unwrap()
            except ssl.SSLWantReadError:
                if not self.post() and not self.receive():
                    raise EOFError("no close_notify")


def request(atls, name, path, out):
    atls.send(f"GET {path} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())

    response = http.client.HTTPResponse(atls, method="GET")
    response.begin()
    while data := response.read1(16384):
        if out:
            out.write(data)

    # read to the end: tickets, KeyUpdates, close_notify may follow
    if atls.readinto(bytearray(1)):
        raise ConnectionError("HTTP: more than was asked for")


def make_context(options):
    # A proxy may terminate the outer TLS: only this verification counts.  By
    # default, this context verifies the certificate and its name.
    context = ssl.create_default_context(cafile=options.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.version:
        context.minimum_version = options.version
        context.maximum_version = options.version
    if options.psk:
        identity, _, key = options.psk.rpartition(":")
        context.set_psk_client_callback(
            lambda hint: (identity, bytes.fromhex(key)))
    return context


def main():
    parser = argparse.ArgumentParser()
    for option, version in (("--tls1.2", ssl.TLSVersion.TLSv1_2),
                            ("--tls1.3", ssl.TLSVersion.TLSv1_3)):
        parser.add_argument(option, dest="version", action="store_const",
                            const=version)
    parser.add_argument("--ca")
    parser.add_argument("--name")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--export")
    parser.add_argument("--psk")
    parser.add_argument("url")
    parser.add_argument("path", nargs="+")
    options = parser.parse_args()

    if options.export:
        parser.error("Python's ssl does not have an exporter")
    if options.psk and not getattr(ssl, "HAS_PSK", False):
        parser.error("Python's ssl does not have keys before 3.13")

    name = options.name or urllib.parse.urlsplit(options.url).hostname
    context = make_context(options)
    session = None

    for last in [False, True] if options.resume else [True]:
        atls = Atls(context, options.url, name, session)
        atls.handshake()
        for path in options.path:
            request(atls, name, path, sys.stdout.buffer if last else None)

        # only now: TLS 1.3 tickets arrive with the response
        session = atls.tls.session
        protocol, resumed = atls.tls.version(), atls.tls.session_reused
        atls.end()

    sys.stdout.flush()
    print(f"protocol {protocol} resumed {int(resumed)} exporter - "
          f"posts {atls.posts}", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except (OSError, EOFError, http.client.HTTPException) as error:
        sys.exit(f"{error}")

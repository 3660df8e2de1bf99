"""TLS without a socket: Python's ssl, and an external program, which supports
early data.  Both have the same methods:

    start()             starts the handshake
    feed(bytes)         processes input; returns plaintext
    write(bytes)        writes plaintext
    out()               returns output to be sent
    end()               writes close_notify
    established, closed, error, protocol, reused
"""

import ssl
import subprocess


class Tls:
    def __init__(self, context, name, session=None):
        self.came, self.going = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.came, self.going,
                                    server_hostname=name, session=session)
        self.established = self.closed = False
        self.error = None

    def start(self):
        self.step()

    def step(self):
        try:
            self.tls.do_handshake()
            self.established = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.error = str(error)

    def feed(self, data):
        if data:
            self.came.write(data)
        if not self.established and not self.error:
            self.step()
        plain = bytearray()
        while self.established and not self.error and not self.closed:
            try:
                piece = self.tls.read(65536)
                if not piece:
                    self.closed = True
                plain += piece
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                self.closed = True
            except ssl.SSLError as error:
                self.error = str(error)
        return bytes(plain)

    def write(self, data):
        try:
            while data:
                data = data[self.tls.write(data):]
        except ssl.SSLError as error:
            self.error = str(error)

    def out(self):
        return self.going.read()

    def end(self):
        try:
            self.tls.unwrap()
        except ssl.SSLError:
            pass

    @property
    def protocol(self):
        return self.tls.version()

    @property
    def reused(self):
        return bool(self.tls.session_reused)

    def session(self):
        return self.tls.session

    def free(self):
        pass


class Program:
    """t/bin/openssl_client.c: see there for its commands."""

    def __init__(self, path, options, early=None):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.established = self.closed = False
        self.error = None
        self.early, self.going, self.plain = early, b"", b""
        for name, value in options.items():
            self.command("set", name.encode() + b"\0" + value)

    def command(self, name, data=b""):
        to, of = self.process.stdin, self.process.stdout
        to.write(b"%s %d\n%b" % (name.encode(), len(data), data))
        to.flush()
        words = of.readline().split()
        if not words:
            self.error = self.error or "the program has ended"
            return b""
        said = dict(zip(words[::2], words[1::2]))
        self.going += of.read(int(said[b"out"]))
        self.plain += of.read(int(said[b"plain"]))
        value = of.read(int(said[b"value"]))
        error = of.read(int(said[b"error"]))
        state = said[b"state"]
        self.established = state in (b"established", b"closed")
        self.closed = state == b"closed"
        if state == b"failed":
            self.error = error.decode() or "failed"
        return value

    def start(self):
        if self.early is not None:
            self.command("early", self.early)
        else:
            self.command("handshake")

    def feed(self, data):
        if data:
            self.command("in", data)
        if not self.established and not self.error:
            self.command("handshake")
        plain, self.plain = self.plain, b""
        return plain

    def write(self, data):
        self.command("write", data)

    def out(self):
        going, self.going = self.going, b""
        return going

    def end(self):
        self.command("shutdown")

    @property
    def protocol(self):
        return self.command("get", b"protocol").decode()

    @property
    def reused(self):
        return self.command("get", b"resumed") == b"1"

    def early_status(self):
        return self.command("get", b"early").decode()

    def session(self):
        return self.command("get", b"session")

    def free(self):
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                pipe.close()
            except OSError:
                pass
        self.process.wait()

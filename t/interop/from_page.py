"""A client written from docs/protocol.md only, to show that it is complete.

Change it according to this page only, without reading the module or another
client.  "§" refers to a section of the page.  Early data is not supported by
Python's ssl.

    session = Session("http://127.0.0.1:8080/.well-known/atls", "localhost")
    session.handshake()
    response = session.request("GET", "/")      # an http.client.HTTPResponse
    print(response.status, response.read())
    session.close()
"""

import http.client
import io
import json
import select
import ssl
import threading
import time
from urllib.parse import urljoin, urlsplit

MEDIA_TYPE = "application/atls+octet-stream"
LARGE_POST = 1000000        # §POSTs, Size: for a client that does not know
SMALL_POST = 16384          # the same: "should always do"
CLOSE_NOTIFY = "close_notify"
IDEMPOTENT = ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE")


class NotConnected(Exception):
    """Nothing was sent; the same bytes may be sent again (§Cut POSTs)."""


class SessionEnded(Exception):
    """The session can't be used any more (§The end)."""


class Refused(Exception):
    """A status other than 200 and 201 (§Statuses); `gone`: so is the
    session."""

    def __init__(self, response, document=None, gone=False):
        self.status = response.status
        self.type = (document or {}).get("type", "").rpartition(":")[2]
        self.gone = gone
        self.retry_after = response.headers.get("Retry-After", "")
        super().__init__(f"{self.status} {self.type or response.reason}")

    def wait(self):
        """Seconds until the same bytes may be sent again; None: never."""
        if self.status == 409:
            return 0.2
        if self.status == 503 and self.retry_after.isdigit():
            return int(self.retry_after)
        return None


class Records:
    """Counts bytes, to know whether a record has ended (§POSTs)."""

    def __init__(self):
        self.header, self.left = b"", 0

    def count(self, data):
        while data:
            if self.left:
                skip = min(self.left, len(data))
                self.left -= skip
                data = data[skip:]
                continue
            need = 5 - len(self.header)
            self.header, data = self.header + data[:need], data[need:]
            if len(self.header) == 5:
                self.left = int.from_bytes(self.header[3:], "big")
                self.header = b""

    def ended(self):
        return not self.left and not self.header


class Outer:
    """POSTs to the endpoint, with the cookies and the URI of one session
    (§POSTs)."""

    def __init__(self, url):
        self.url = urlsplit(url)
        self.follows = True         # §The URI; False: cookies only
        self.keeps = True           # cookies; False: the URI only
        self.media_type = MEDIA_TYPE
        self.cookie_name = "atls"   # §The cookie: the administrator may know
        self.chunked = False        # bodies without a Content-Length
        self.fresh = False          # a connection of its own for each POST
        self.jar = {}
        self.until = {}             # when cookies expire, by name
        self.statuses = []          # of all responses
        self.connection = None
        self.sender = None          # a thread that sends a long body

    def reusable(self):
        """Is the connection still there, with nothing left to send?  What can
        be read before a POST is the connection's end."""
        sock = self.connection and self.connection.sock
        sending = self.sender and self.sender.is_alive()
        return (sock and not sending and not self.fresh
                and not select.select([sock], [], [], 0)[0])

    def connect(self):
        if self.reusable():
            return self.connection
        self.drop()
        where = self.url.hostname, self.url.port
        if self.url.scheme == "https":
            # its certificate means nothing to the session
            new = http.client.HTTPSConnection(
                *where, timeout=70, context=ssl._create_unverified_context())
        else:
            new = http.client.HTTPConnection(*where, timeout=70)
        try:
            new.connect()
        except OSError as error:
            raise NotConnected(str(error)) from error
        new.auto_open = 0           # §Cut POSTs: nothing is repeated
        self.connection = new
        return new

    def drop(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def post(self, body):
        """Sends a POST, and returns when the response's header is there."""
        connection = self.connect()
        # content codings are not spoken
        target = self.url.path + ("?" + self.url.query if self.url.query
                                  else "")
        connection.putrequest("POST", target, skip_accept_encoding=True)
        connection.putheader("Content-Type", self.media_type)
        if self.jar:
            connection.putheader("Cookie", "; ".join(
                f"{name}={value}" for name, value in self.jar.items()))
        if self.chunked:
            connection.putheader("Transfer-Encoding", "chunked")
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body = chunk + b"0\r\n\r\n"
        else:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        self.send(connection.sock, body)
        response = connection.getresponse()
        self.statuses.append(response.status)
        return response

    def send(self, sock, body):
        """While a long body is sent, the response is read (§Both ways)."""

        def send():
            try:
                sock.sendall(body)
            except OSError:
                pass                # the response says what it means

        if len(body) > SMALL_POST:
            self.sender = threading.Thread(target=send, daemon=True)
            self.sender.start()
        else:
            sock.sendall(body)

    def follow(self, response):
        """Later POSTs go to the URI of the session.  §The URI: False if it is
        another scheme, host or port."""
        location = response.headers.get("Location")
        if response.status != 201 or not location or not self.follows:
            return True
        url = urlsplit(urljoin(self.url.geturl(), location))
        if url[:2] != self.url[:2]:
            return False
        self.url = url
        return True

    def keep_cookies(self, response):
        """Keeps those of all names; True if the session's is expired."""
        expired = False
        if not self.keeps:
            return expired
        for field in response.headers.get_all("Set-Cookie", []):
            pair, *attributes = [part.strip() for part in field.split(";")]
            name, _, value = pair.partition("=")
            ages = [int(a[8:]) for a in attributes
                    if a.lower().startswith("max-age=")]
            if ages and ages[-1] <= 0:
                self.jar.pop(name, None)
                expired = expired or name == self.cookie_name
            else:
                self.jar[name] = value
                self.until.pop(name, None)
                if ages:
                    self.until[name] = time.monotonic() + ages[-1]
        return expired

    def too_late(self):
        """A cookie has expired, and the session may have (§The cookie)."""
        return any(time.monotonic() >= t for t in self.until.values())

    def is_tls(self, response):
        """The response has the type of the request, but for parameters."""
        ours = self.media_type.partition(";")[0].strip().lower()
        return response.headers.get_content_type() == ours


class Inner(io.RawIOBase):
    """What a session decrypts, to read inner responses from."""

    def __init__(self, session):
        super().__init__()
        self.session = session

    def readable(self):
        return True

    def readinto(self, buffer):
        data = self.session.receive(len(buffer))
        buffer[:len(data)] = data
        return len(data)


class InnerReader(io.BufferedReader):
    """One for all responses; http.client takes it for its socket's."""

    def makefile(self, *_):
        return self

    def close(self):
        pass


class Session:
    """TLS with the endpoint, whose bytes travel in POSTs (§A client)."""

    def __init__(self, url, name, context=None, resume=None, patience=5):
        self.outer = Outer(url)
        self.name = name
        self.context = context or (resume.context if resume
                                   else self.make_context())
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        # §Server name: the service's.  §Tickets: a resumed session is new.
        self.tls = self.context.wrap_bio(
            self.incoming, self.outgoing, server_hostname=name,
            session=resume.tls.session if resume else None)
        self.established = False
        self.unsent = b""           # made by TLS, taken by no POST yet
        self.post_size = LARGE_POST
        self.patience = patience    # how often the same bytes are sent again
        self.response = None        # the outer response that is being read
        self.expired = False        # it has expired the cookie
        self.records = Records()
        self.plain = b""            # decrypted, and not read yet
        self.end = None             # why the session has ended
        self.reader = InnerReader(Inner(self))

    @staticmethod
    def make_context(ca=None, version=None):
        context = ssl.create_default_context(cafile=ca)
        context.set_alpn_protocols(["http/1.1"])        # §ALPN
        if version:
            context.minimum_version = context.maximum_version = version
        return context

    # sending

    def flush(self):
        """Sends what TLS has to send.  The last response is left to read."""
        self.unsent += self.outgoing.read()
        while self.unsent:
            piece = self.unsent[:self.post_size]
            if self.post(piece):
                self.unsent = self.unsent[len(piece):]
            if self.unsent:
                self.drain()
            self.unsent += self.outgoing.read()

    def post(self, piece):
        """One POST, repeated where that is allowed (§Statuses).  False if the
        bytes are to be sent in smaller ones (§Size)."""
        self.drain()                # §One after the other
        if self.outer.too_late() and not self.end:
            self.end = "the cookie has expired"
        for attempt in range(self.patience + 1):
            if self.end:
                raise SessionEnded(self.end)
            try:
                self.post_once(piece)
                return True
            except Refused as refused:
                if refused.gone or attempt == self.patience:
                    raise
                if refused.status == 413 and len(piece) > SMALL_POST:
                    self.post_size = SMALL_POST
                    return False
                if refused.wait() is None:
                    raise
                time.sleep(refused.wait())

    def post_once(self, piece):
        try:
            response = self.outer.post(piece)
        except (OSError, http.client.HTTPException) as error:
            self.lose(f"a cut POST: {error!r}")         # §Cut POSTs
        self.expired = self.outer.keep_cookies(response)
        if not self.outer.follow(response):
            self.lose("Location is of another origin")
        if (response.status in (200, 201, 502)
                and self.outer.is_tls(response)):
            self.response = response
            if response.status == 502:
                self.drain()        # the end of a handshake is in it
                raise Refused(response)
        else:
            self.refused(response)

    def refused(self, response):
        """Raises what another status says, and whether the session is gone."""
        try:
            body = response.read(65536)
        except (OSError, http.client.HTTPException):
            body = b""
        response.close()
        document = None
        if response.headers.get_content_type() == "application/problem+json":
            document = json.loads(body)
        status = response.status
        # §Statuses: those of the table; what is somebody else's, and may have
        # come behind the endpoint; any, if the cookie is expired
        gone = (status in (400, 408, 410, 500) or status < 300
                or status > 500 and not document or self.expired)
        error = Refused(response, document, gone)
        if gone:
            self.end = str(error)
        raise error

    def lose(self, why):
        self.end = why
        self.response = None
        self.outer.drop()
        raise SessionEnded(why)

    # receiving

    def pump(self):
        """Gives TLS some of the response; False: there is no more of it."""
        if self.response is None:
            return False
        try:
            data = self.response.read1(65536)
        except (OSError, http.client.HTTPException) as error:
            self.lose(f"a cut response: {error!r}")
        if not data:
            self.response_over()
            return False
        self.records.count(data)
        self.incoming.write(data)
        if self.established:
            self.decrypt()
        return True

    def response_over(self):
        """A complete response ends with the end of a record (§POSTs)."""
        response, self.response = self.response, None
        if response.length or not self.records.ended():
            self.lose("a cut response")
        response.close()
        if self.expired and self.established and not self.end:
            self.end = "the cookie is expired"

    def drain(self):
        while self.pump():
            pass

    def decrypt(self):
        while not self.end:
            try:
                data = self.tls.read(65536)
            except ssl.SSLWantReadError:
                return
            except ssl.SSLZeroReturnError:
                data = b""
            except ssl.SSLError as error:
                return self.fail(error)
            if data:
                self.plain += data
            else:
                self.end = CLOSE_NOTIFY     # §The end: not to be answered

    def fail(self, error):
        """The server's alert, or an error here: that has an alert to send."""
        self.end = f"TLS: {error}"
        alert = self.unsent + self.outgoing.read()
        try:
            self.drain()
            if alert:
                self.post_once(alert)
                self.drain()
        except (Refused, SessionEnded, NotConnected):
            pass
        self.outer.drop()

    def receive(self, size):
        """Application data; none after close_notify.  What ends in any other
        way is truncated (§The end)."""
        while not self.plain:
            if self.end == CLOSE_NOTIFY:
                return b""
            if self.end:
                raise SessionEnded(self.end)
            if not self.pump() and not self.end:
                raise SessionEnded("the inner response is not in the outer one")
        data, self.plain = self.plain[:size], self.plain[size:]
        return data

    # a session's life

    def handshake(self, with_request=False):
        """§A client, 2 and 3.  `with_request`: what TLS has to send at its
        end is left for the POST of the first request."""
        while not self.shake():
            if not self.unsent and not self.outgoing.pending:
                self.lose("TLS has nothing to send, and is not finished")
            self.flush()
            self.drain()
        self.established = True
        if not with_request:
            self.flush()
            self.drain()
        return self

    def shake(self):
        try:
            self.tls.do_handshake()
            return True
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            self.fail(error)
            raise SessionEnded(self.end) from error

    def send(self, data):
        """Sends application data, in POSTs of no more than `post_size`."""
        self.drain()
        if self.end:
            raise SessionEnded(self.end)
        self.tls.write(data)
        self.flush()

    def poll(self):
        """An empty POST, for what the server has to send by now."""
        self.post(b"")
        self.drain()
        return self.plain

    def close(self):
        """§A client, 5.  True if there was a close_notify of the server."""
        self.drain()
        if not self.end:
            try:
                self.tls.unwrap()
            except ssl.SSLWantReadError:
                pass
            self.flush()
            self.drain()
        self.outer.drop()
        return self.end == CLOSE_NOTIFY

    def abandon(self):
        """In the middle of a response, one can only cut it (§Cut POSTs)."""
        self.end = "abandoned"
        self.response = None
        self.outer.drop()

    # inner requests

    def head(self, method, target, headers={}):
        """§Server name: the Host is the service."""
        fields = {"Host": self.name, **headers}
        lines = [f"{method} {target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        return "\r\n".join(lines + ["", ""]).encode()

    def request(self, method, target, body=b"", headers={}):
        """A request in one POST; its response may be read as it comes."""
        length = {"Content-Length": str(len(body))} if body else {}
        self.send(self.head(method, target, {**length, **headers}) + body)
        return self.read_response(method)

    def pipeline(self, targets):
        """Requests in one POST; their responses come in their order."""
        self.send(b"".join(self.head("GET", target) for target in targets))
        responses = (self.read_response() for _ in targets)
        return [(response.status, response.read()) for response in responses]

    def upload(self, method, target, parts, headers={}):
        """A chunked body, with a POST for each part, until all is sent or
        there is an early response."""
        self.send(self.head(method, target,
                            {"Transfer-Encoding": "chunked", **headers}))
        for part in (*parts, b""):
            self.drain()
            if self.end or (self.plain and b"HTTP/1.1 100" not in self.plain):
                break
            self.send(b"%x\r\n%b\r\n" % (len(part), part))
        return self.read_response(method)

    def read_response(self, method="GET"):
        response = http.client.HTTPResponse(self.reader, method=method)
        response.begin()            # passes over 100 Continue
        return response


def fetch(url, name, method, target, session=None, tries=3, **args):
    """A request, in a new session if the old one is gone (§After the end)."""
    for attempt in range(tries):
        if session and session.outer.too_late():
            session = None          # nothing is sent in it
        try:
            if not session:
                session = Session(url, name, **args).handshake(True)
            response = session.request(method, target)
            return session, response.status, response.read()
        except (SessionEnded, Refused) as error:
            if getattr(error, "gone", True) is False:
                raise
            if method not in IDEMPOTENT or attempt == tries - 1:
                raise
            if not session:
                time.sleep(2 ** attempt)
            session = None

"""Inner requests of all kinds, with the expected responses."""

from urllib.parse import parse_qs, urlsplit

from content import digest

HOST = "localhost"
STATIC = {"f0": 0, "f1": 1, "f300": 300, "f20k": 20000, "f70k": 70000,
          "f1m": 1 << 20}


def token_of(uri):
    return (parse_qs(urlsplit(uri).query).get("t") or [""])[0]


class Request:
    """visible: the backend receives it.  early: the response may come before
    the end of the body.  closes: the response may close the session."""

    def __init__(self, record, token, method, uri, body=b"", chunks=None,
                 fields=(), statuses=(200,), visible=True, early=False,
                 closes=False):
        self.record, self.token = record, token
        self.method, self.uri, self.body = method, uri, body
        self.statuses, self.visible = statuses, visible
        self.early, self.closes = early, closes
        self.expected = None
        self.arrived, self.complete = 0, False
        self.most = 1
        self.abandoned = False      # nginx did not wait for its answer
        self.logged = 0
        self.tunnelled, self.closed_at_backend = None, False
        self.sent = None
        self.at = None              # the end of its first record in the output
        self.joined = False         # begun in the POST that ends the handshake
        self.wire = self.format(fields, chunks)

    def format(self, fields, chunks):
        lines = [f"{self.method} {self.uri} HTTP/1.1", f"Host: {HOST}",
                 f"X-Token: {self.token}",
                 *(f"{name}: {value}" for name, value in fields)]
        if chunks:
            lines.append("Transfer-Encoding: chunked")
            body, at = bytearray(), 0
            for n in [*chunks, len(self.body)]:
                piece = self.body[at:at + n]
                at += len(piece)
                if piece:
                    body += b"%x\r\n%b\r\n" % (len(piece), piece)
            body += b"0\r\n\r\n"
        else:
            body = self.body
            if body or self.method in ("POST", "PUT"):
                lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def wrong(self, head, body):
        """Returns an error in the response, or None."""
        status = head.status
        if status not in self.statuses:
            return f"status {status}, not one of {self.statuses}"
        if self.visible and head.get("x-token") != self.token:
            return f"the answer to {head.get('x-token')}"
        if self.expected is None or status not in (200, 206):
            return None
        if self.method == "HEAD":
            if head.length != len(self.expected):
                return f"HEAD: length {head.length}, not {len(self.expected)}"
            return None
        if body != self.expected:
            at = next((i for i, (a, b) in enumerate(zip(body, self.expected))
                       if a != b), min(len(body), len(self.expected)))
            return (f"{len(body)} bytes, not {len(self.expected)}, another one"
                    f" from byte {at}")
        return None


class Kinds:
    """Generates the requests of a session from its random numbers."""

    ROUTED = [("get", 8), ("head", 2), ("upload", 6), ("denied", 5),
              ("static", 5), ("ranged", 2), ("cached", 2), ("plain", 2),
              ("unbuffered", 3), ("early", 1)]
    PINNED = [("get", 8), ("head", 2), ("upload", 6)]

    def __init__(self, content, random, record, routed, small, late):
        self.content, self.random, self.record = content, random, record
        self.small, self.late = small, late     # late: how many are, of 1
        self.kinds = self.ROUTED if routed else self.PINNED
        self.n = 0

    def token(self):
        self.n += 1
        return f"{self.record.sid}.{self.n}"

    def size(self, most=None):
        r = self.random
        if self.small:
            return r.choice((0, 1, r.randrange(2000)))
        n = r.choices((0, 1, r.randrange(2000), r.randrange(20000),
                       r.randrange(100000), r.randrange(700000)),
                      (1, 1, 8, 6, 3, 1))[0]
        return min(n, most) if most else n

    def make(self, kind=None):
        kind = kind or self.random.choices([k for k, _ in self.kinds],
                                           [w for _, w in self.kinds])[0]
        return getattr(self, kind)(self.token())

    def get(self, token, path="/b/get", method="GET"):
        size = self.size()
        how = self.random.choice(("length", "length", "chunked", "slow"))
        if self.random.random() < self.late:
            how = "late"
        request = Request(self.record, token, method,
                          f"{path}?t={token}&n={size}&how={how}")
        request.expected = self.content.body(token, size)
        if method == "HEAD" and how in ("chunked", "slow"):
            request.expected = None
        return request

    def head(self, token):
        return self.get(token, method="HEAD")

    def body(self, token, most=None):
        size = self.size(most)
        return (self.content.requests(token, size) if self.random.random() < .5
                else self.content.body(token, size))

    def chunks(self):
        r = self.random
        if r.random() < .6:
            return None
        return [r.randrange(1, 30000) for _ in range(r.randrange(1, 20))]

    def upload(self, token, path="/b/up", **args):
        body = self.body(token)
        fields = ([("Expect", "100-continue")] if self.random.random() < .15
                  else [])
        late = "&how=late" if self.random.random() < self.late else ""
        request = Request(self.record, token, "POST",
                          f"{path}?t={token}{late}", body, self.chunks(),
                          fields, **args)
        request.expected = (f"{token} POST {len(body)} {digest(body)}\n"
                            .encode())
        return request

    def unbuffered(self, token):
        if self.random.random() < .5:
            return self.get(token, "/nb/get")
        return self.upload(token, "/nb/up")

    def early(self, token):
        """The backend responds before it reads the body."""
        body = self.body(token)
        request = Request(self.record, token, "POST",
                          f"/nb/early?t={token}", body, self.chunks(),
                          early=True, closes=True)
        request.expected = f"{token} early\n".encode()
        return request

    def denied(self, token):
        """nginx responds, and the session continues."""
        uri, status = self.random.choice((
            ("/deny", 403), ("/missing", 404), ("/returned", 200),
            ("/static/f300", 405), ("/auth", 401), ("/only-get", 403),
            ("/returned-404", 404)))
        request = Request(self.record, token, "POST", f"{uri}?t={token}",
                          self.body(token), self.chunks(), statuses=(status,),
                          visible=False, early=True)
        if status == 200:
            request.expected = b"returned " + token.encode() + b"\n"
        return request

    def plain(self, token):
        request = Request(self.record, token, "GET", f"/returned?t={token}",
                          visible=False)
        request.expected = b"returned " + token.encode() + b"\n"
        return request

    def static(self, token):
        name = self.random.choice([n for n in STATIC
                                   if n != "f1m" or not self.small])
        request = Request(self.record, token,
                          self.random.choice(("GET", "GET", "GET", "HEAD")),
                          f"/static/{name}?t={token}", visible=False)
        request.expected = self.content.body(name, STATIC[name])
        return request

    def ranged(self, token):
        name = self.random.choice(("f300", "f20k", "f70k"))
        start = self.random.randrange(STATIC[name])
        end = self.random.randrange(start, STATIC[name])
        request = Request(self.record, token, "GET",
                          f"/static/{name}?t={token}",
                          fields=[("Range", f"bytes={start}-{end}")],
                          statuses=(206,), visible=False)
        request.expected = self.content.body(name,
                                             STATIC[name])[start:end + 1]
        return request

    def cached(self, token):
        """A cached response, shared by all sessions."""
        name = f"cache-{self.random.randrange(6)}"
        size = (0, 100, 3000, 40000, 150000, 300000)[int(name[-1])]
        request = Request(self.record, token, "GET",
                          f"/cache/{name}?n={size}", visible=False)
        request.expected = self.content.body(name, size)
        return request

"""The ledger of sessions and requests, and the checks on them.

Clients record requests before they send them.  The backend checks each request
that it receives against the record.  A mismatch is a violation.
"""

import collections
import contextlib
import math
import time


class Record:
    """The shared data of a session."""

    def __init__(self, sid, endpoint):
        self.sid, self.endpoint = sid, endpoint
        self.name = ""              # the certificate's, if it has one
        self.requests = []          # in the order of its stream
        self.stream = bytearray()   # of a raw one: what it has sent
        self.raw_seen = 0           # and how much of it was seen
        self.disturbed = False      # by the adversary
        self.ordered = True         # requests arrive in their order
        self.over = False
        self.cookie = None
        self.lines = []

    def log(self, what):
        self.lines.append(f"{time.time():.3f} {what}")


class Ledger:
    def __init__(self, path):
        self.file = open(path, "w", buffering=1)
        self.sessions = {}
        self.requests = {}
        self.hashes = {}
        self.violations = []
        self.count = collections.Counter()
        self.kills = []             # when workers were killed
        self.changes = []           # when workers came or went in order: start
                                    # and end; a busy machine takes seconds

    def log(self, what):
        self.file.write(f"{time.time():.3f} {what}\n")

    def violation(self, what, sid=None):
        self.violations.append((what, sid))
        self.log(f"VIOLATION {sid or '-'}: {what}")
        record = self.sessions.get(sid)
        if record:
            record.log(f"VIOLATION: {what}")

    # sessions

    def session(self, sid, endpoint):
        record = self.sessions[sid] = Record(sid, endpoint)
        return record

    def sends(self, record, request):
        self.requests[request.token] = request
        record.requests.append(request)

    def killed_since(self, when):
        return any(t >= when for t in self.kills)

    def changed_since(self, when):
        return self.changed(when, time.time()) or self.killed_since(when)

    def changed(self, since, until):
        return any(start < until and end >= since
                   for start, end in self.changes)

    @contextlib.contextmanager
    def changing(self):
        change = [time.time(), math.inf]
        self.changes.append(change)
        try:
            yield
        finally:
            change[1] = time.time()

    # requests received by the backend

    def identity(self, record, identifier, endpoint, name):
        """Checks that nginx reports the client's session."""
        sid = record.sid
        if endpoint != record.endpoint:
            self.violation(f"seen at {endpoint}, sent to {record.endpoint}",
                           sid)
        if name != record.name:
            self.violation(f"seen as {name!r}, is {record.name!r}", sid)
        known = self.hashes.setdefault(identifier, sid)
        if known != sid:
            self.violation(f"has the id of {known}, {identifier}", sid)

    def begins(self, head, token):
        """Checks a request received by the backend; returns it, or None."""
        request = self.requests.get(token)
        if request is None:
            self.violation(f"a request that nobody has sent: {head.line[:200]}",
                           token.partition(".")[0])
            return None
        sid = request.record.sid
        request.arrived += 1
        if request.arrived > request.most:
            self.violation(f"request {token} was seen {request.arrived} times",
                           sid)
        method, uri = head.line.split(" ")[:2]
        if (method, uri) != (request.method, request.uri):
            self.violation(f"request {token} was seen as {method} {uri}", sid)
        self.identity(request.record, head.get("x-session"),
                      head.get("x-endpoint"), head.get("x-name") or "")
        request.record.log(f"backend: {head.line}")
        self.count["requests at a backend"] += 1
        return request

    def ends(self, request, body, complete):
        sid = request.record.sid
        if body != request.body[:len(body)]:
            at = next((i for i, b in enumerate(body)
                       if request.body[i:i + 1] != bytes((b,))), len(body))
            self.violation(f"the body of {request.token} is another one"
                           f" from byte {at} of {len(body)}"
                           f" ({len(request.body)} were sent):"
                           f" {bytes(body[at:at + 60])!r}", sid)
        elif complete and len(body) != len(request.body):
            self.violation(f"the body of {request.token} ends after"
                           f" {len(body)} bytes of {len(request.body)}", sid)
        request.complete = complete
        if not complete:
            request.record.log(f"backend: {request.token} broke off after"
                               f" {len(body)} bytes")

    def raw(self, record, body):
        """Checks the data of a POST; returns their offset in the stream."""
        at = record.raw_seen
        if record.stream[at:at + len(body)] != body:
            self.violation(f"raw: after {at} bytes came {len(body)} others:"
                           f" {bytes(body[:60])!r}", record.sid)
        record.raw_seen += len(body)
        return at

    # checks at the end

    def check_order(self):
        """Data received are a prefix of the stream, and have responses, except
        for the last ones."""
        for record in self.sessions.values():
            hole = None
            if not record.ordered:
                continue
            for request in record.requests:
                if request.arrived and hole:
                    self.violation(f"request {request.token} was seen,"
                                   f" {hole}", record.sid)
                    break
                if not request.visible:
                    continue
                if (not request.arrived
                        or not request.complete and not request.early):
                    hole = f"{request.token} was not"
                elif request.abandoned:
                    hole = f"and {request.token} was left without an answer"

    def report(self, sid):
        record = self.sessions.get(sid)
        return record.lines if record else []

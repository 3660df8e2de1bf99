"""The checks of t/from-page.t: statements of docs/protocol.md.

    python3 from_page_cases.py PORT BUSY_PORT OUTER_TLS_PORT CA SECONDS

SECONDS is a timeout for events.  Prints a line for each check, "ok" or "not
ok".
"""

import http.client
import ssl
import sys
import threading
import time
import traceback

from from_page import (CLOSE_NOTIFY, NotConnected, Refused, Session,
                       SessionEnded, fetch)

PORT, BUSY, OUTER_TLS, CA, SECONDS = sys.argv[1:6]
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
BIG = 150000                # more than the endpoint's client_max_body_size
SHORT = 3                   # atls_session_timeout of /short
PREFIX = ""


def check(name, got, expected=True):
    ok = got == expected
    print("ok" if ok else "not ok", f"{PREFIX}{name}",
          "" if ok else f"(got {got!r}, expected {expected!r})", flush=True)


def session(uri="/.well-known/atls", version=None, resume=None, port=PORT,
            **args):
    context = None if resume else Session.make_context(CA, version)
    scheme = "https" if port == OUTER_TLS else "http"
    return Session(f"{scheme}://127.0.0.1:{port}{uri}", "localhost", context,
                   resume, **args)


def posts(s):
    return s.outer.statuses


def raised(error, call, *args):
    """The error that the call raises, or None."""
    try:
        call(*args)
    except error as e:
        return e
    return None


def until(condition):
    """Waits for a condition; returns what it was at last."""
    deadline = time.time() + float(SECONDS)
    while not (result := condition()) and time.time() < deadline:
        time.sleep(0.1)
    return result


def more(s, data):
    """What has been received after another POST."""
    s.send(data)
    s.drain()
    return s.plain


def gone(s):
    """Whether an empty POST of the session is answered 410: why."""
    error = raised((Refused, SessionEnded), s.poll)
    return getattr(error, "status", 0) == 410 and error.type


def ended(s):
    """How the session has ended, if need be after an empty POST."""
    s.drain()
    if not s.end:
        s.poll()
    return s.end


def half(s):
    """The session with its first flight exchanged."""
    s.shake()
    s.flush()
    s.drain()
    return s


def shared(s, patience=0, **args):
    """A client with the cookie of another one."""
    other = session(patience=patience, **args)
    other.outer.jar = dict(s.outer.jar)
    return other


def get(s, target="/"):
    response = s.request("GET", target)
    return response.status, response.read()


HELLO = (200, b"hello\n")


def handshakes(version):
    full = 2 if version == TLS13 else 3         # up to the first response

    s = session(version=version).handshake()
    check("protocol", s.tls.version(), version.name.replace("_", "."))
    check("ALPN", s.tls.selected_alpn_protocol(), "http/1.1")
    check("a request", get(s), HELLO)
    check("a cookie", list(s.outer.jar), ["atls"])
    check("close_notify is answered", s.close())
    check("its cookie is expired", s.outer.jar, {})

    old = session(version=version).handshake(with_request=True)
    check("last flight with the request", get(old), HELLO)
    check("POSTs up to the first response", len(posts(old)), full)

    s = session(resume=old).handshake(with_request=True)
    check("resumed", s.tls.session_reused)
    check("a request, resumed", get(s), HELLO)
    check("POSTs when resumed", len(posts(s)), 2)
    check("the old session goes on", get(old), HELLO)
    again = session(resume=s).handshake()
    check("resumed from a resumed one", again.tls.session_reused)

    s = session(version=version)
    s.outer.media_type = "Application/ATLS; charset=x"
    check("the other media type", get(s.handshake()), HELLO)

    s = session(version=version, port=OUTER_TLS).handshake()
    check("outer TLS", get(s), HELLO)
    s.outer.fresh = True
    check("a connection for each POST", [get(s), get(s)], [HELLO] * 2)


def half_open(version):
    s = half(session(version=version))
    check("an empty POST", s.poll(), b"")
    kind, s.outer.media_type = s.outer.media_type, "text/plain"
    check("it needs the media type", raised(Refused, s.poll).status, 415)
    s.outer.media_type = kind
    check("and the handshake goes on", get(s.handshake()), HELLO)


def tickets(version):
    old = session(version=version).handshake()
    for n in range(2):
        s = session(resume=old).handshake()
        check("a ticket, not with early data", s.tls.session_reused)
        check("a request", get(s), HELLO)


def parts(version):
    s = session(version=version).handshake()
    s.send(s.head("POST", "/service/echo", {"Content-Length": "4"}) + b"body"
           + s.head("GET", "/")[:20])
    s.drain()
    check("a request, and a part", s.plain.count(b"HTTP/1.1 200"), 1)
    s.send(s.head("GET", "/")[20:])
    s.drain()
    check("the rest", s.plain.count(b"HTTP/1.1 200"), 2)


def pieces(version):
    s = session(version=version)
    s.post_size = 1
    s.handshake()
    check("POSTs of a byte", get(s), HELLO)
    check("which are all answered 200", set(posts(s)), {200})
    s.post_size = 7
    check("of seven", get(s), HELLO)
    s.outer.chunked = True
    check("chunked", get(s), HELLO)
    s.post_size = 20000
    response = s.request("POST", "/service/echo", b"x" * 50000)
    check("a long request in pieces", b"\nlength 50000\n" in response.read())


def hello_retry():
    s = session("/p384", TLS13).handshake()
    check("HelloRetryRequest", get(s), HELLO)
    check("POSTs with it", len(posts(s)), 4)


def refused_certificate(version):
    context = ssl.create_default_context()
    context.minimum_version = context.maximum_version = version
    s = Session(f"http://127.0.0.1:{PORT}/.well-known/atls", "localhost",
                context)
    check("a certificate that is not trusted",
          "CERTIFICATE_VERIFY_FAILED" in str(raised(SessionEnded,
                                                    s.handshake)))
    check("the alert is a POST", posts(s), [200, 200])
    check("which expires the cookie", s.outer.jar, {})
    check("an empty response", s.response, None)

    s = session(version=version)
    s.context.set_alpn_protocols(["h2"])
    s = Session(s.outer.url.geturl(), "localhost", s.context)
    error = str(raised(SessionEnded, s.handshake))
    check("no_application_protocol",
          "application protocol" in error.replace("_", " ").lower())
    check("in a 200 without a cookie", (posts(s), s.outer.jar), ([200], {}))


def requests(version):
    s = session(version=version).handshake()
    before = len(posts(s))

    check("pipelined", s.pipeline(["/", "/service/body", "/"]),
          [HELLO, (200, b""), HELLO])
    check("in a POST", len(posts(s)) - before, 1)
    response = s.request("POST", "/service/echo", b"x" * 30000)
    check("upload in a POST", b"\nlength 30000\n" in response.read())
    response = s.upload("POST", "/service/echo", [b"part"] * 5)
    check("upload in several", b"\nlength 20\n" in response.read())
    response = s.upload("POST", "/service/echo", [b"part"] * 5,
                        {"Expect": "100-continue"})
    check("with 100 Continue", b"\nlength 20\n" in response.read())
    big = s.request("GET", "/service/big?size=3000000&chunked=1").read()
    check("a long response", len(big), 3000000)
    ranged = s.request("GET", "/service/big?size=100",
                       headers={"Range": "bytes=10-19"})
    check("a range", (ranged.status, len(ranged.read())), (206, 10))
    check("and goes on", get(s), HELLO)


def expect_continue(version):
    s = session(version=version).handshake()
    s.send(s.head("POST", "/service/echo", {"Expect": "100-continue",
                                            "Content-Length": "4"}))
    s.drain()
    check("100 Continue is in the response",
          s.plain.startswith(b"HTTP/1.1 100 "))
    check("an empty POST within a request", s.poll().count(b"HTTP/"), 1)
    s.send(b"body")
    check("then the rest", s.read_response().status, 200)


def early_response(version):
    s = session(version=version).handshake()
    s.send(s.head("POST", "/early/", {"Content-Length": "100000"}))
    until(lambda: b"early" in more(s, b"x"))
    check("an early response comes with the next POST",
          s.read_response().read(), b"early\n")
    check("a proxy that has not read it all closes", until(lambda: ended(s)),
          CLOSE_NOTIFY)

    s = session(version=version).handshake()
    response = s.upload("POST", "/limited", [b"x" * 600] * 50)
    check("too large a body: inner 413", response.status, 413)
    response.read()
    check("and close_notify", until(lambda: ended(s)), CLOSE_NOTIFY)
    check("early", len(posts(s)) < 50)
    check("the cookie is expired", s.outer.jar, {})


def ends(version):
    s = session(version=version).handshake()
    jar = dict(s.outer.jar)
    check("Connection: close", get(s, "/last"), (200, b"last\n"))
    s.drain()
    check("is followed by close_notify", s.end, CLOSE_NOTIFY)
    s.end, s.outer.jar = None, jar
    check("a later POST: 410", raised(Refused, s.poll).status, 410)
    new, status, body = fetch(s.outer.url.geturl(), "localhost", "GET", "/", s,
                              context=s.context)
    check("a request again, in a new session", (status, body), HELLO)

    s = session(version=version).handshake()
    check("a body up to the end", get(s, "/service/eof"),
          (200, b"until the end\n"))

    s = session(version=version).handshake()
    s.send(b"GET /service/eof HTTP/1.0\r\nHost: localhost\r\n\r\n")
    check("HTTP/1.0", s.read_response().read(), b"until the end\n")
    s.drain()
    check("ends with close_notify", s.end, CLOSE_NOTIFY)

    s = session(version=version).handshake()
    s.send(b"\1\2\3\r\n\r\n")
    check("no HTTP: 400", s.read_response().status, 400)
    s.drain()
    check("no HTTP: close_notify", s.end, CLOSE_NOTIFY)

    s = session(version=version).handshake()
    response = s.request("GET", "/service/die")
    error = raised((SessionEnded, http.client.IncompleteRead), response.read)
    check("a backend that dies: the response is cut", error is not None)
    check("as over TCP", s.end, CLOSE_NOTIFY)

    s = session(version=version).handshake()
    s.send(s.head("GET", "/", {}))
    s.tls.write(s.head("GET", "/", {}))
    check("close_notify behind a request", s.close())
    check("after its response", s.plain.count(b"hello\n"), 2)


def streams(version):
    s = session(version=version).handshake()
    response = s.request("GET", "/service/slow?n=4")
    check("a streamed response", response.read(),
          b"line 1\nline 2\nline 3\nline 4\n")

    line = s.request("GET", "/service/slow?n=3000").readline()
    check("comes as it is made", line, b"line 1\n")
    other = shared(s)
    busy = raised(Refused, other.poll)
    check("a second POST: 409", (busy.status, busy.type, busy.gone),
          (409, "session-busy", False))
    check("the first goes on", s.reader.readline() != b"")
    s.abandon()
    check("given up: 410", until(lambda: gone(other)), "session-unknown")


def waits(version):
    s = session(version=version).handshake()
    s.request("GET", "/service/slow?n=10").readline()
    thread = threading.Thread(target=s.drain)
    thread.start()
    check("after 409", shared(s, 5 * int(SECONDS)).poll(), b"")
    thread.join()


def timeouts(version):
    s = session("/short", version).handshake()
    url, context = s.outer.url.geturl(), s.context
    s, status, body = fetch(url, "localhost", "GET", "/", s, context=context)
    check("a session", (status, body), HELLO)
    other = shared(s, uri="/short")
    n = len(posts(s))
    time.sleep(SHORT)
    check("idle for too long", str(raised(SessionEnded, s.poll)),
          "the cookie has expired")
    check("without a POST", len(posts(s)), n)
    check("with one: 410", until(lambda: gone(other)), "session-unknown")
    check("its cookie is expired", other.outer.jar, {})
    s, status, body = fetch(url, "localhost", "POST", "/", s, context=context)
    check("any request, in a new session", (status, body), HELLO)

    s = half(session("/hurry", version))
    why = until(lambda: gone(s))
    check("a handshake for too long: 410",
          why in ("handshake-timeout", "session-unknown"))


def statuses():
    def status(uri="/.well-known/atls", body=b"", jar={}, media_type=None,
               chunked=False):
        s = session(uri, patience=0)
        s.outer.jar = dict(jar)
        s.outer.chunked = chunked
        s.outer.media_type = media_type or s.outer.media_type
        e = raised(Refused, s.post, body)
        return e and (e.status, e.type, e.gone)

    s = session().handshake()
    jar = s.outer.jar
    check("empty", status(), (400, "empty-body", True))
    check("no TLS", status(body=b"GET / HTTP/1.1\r\n\r\n"),
          (400, "not-tls", True))
    check("TLS of no session", status(body=b"\x17\3\3\0\1x"),
          (410, "no-cookie", True))
    check("unknown", status(jar={"atls": "A" * 24}),
          (410, "session-foreign", True))
    check("elsewhere", status("/other", jar=jar),
          (410, "session-elsewhere", True))
    check("media type", status(jar=jar, media_type="text/plain"),
          (415, "media-type", False))
    check("too large", status(jar=jar, body=b"x" * BIG), (413, "", False))
    check("forbidden", status("/forbidden", jar=jar), (403, "", False))
    check("nothing of that was used", get(s), HELLO)
    check("too large, chunked", status(jar=jar, body=b"x" * BIG,
                                       chunked=True),
          (413, "too-large", False))
    s.outer.chunked = False
    check("nor of that", get(s), HELLO)

    method = http.client.HTTPConnection("127.0.0.1", PORT)
    method.request("GET", "/.well-known/atls")
    response = method.getresponse()
    check("405", (response.status, response.headers["Allow"]), (405, "POST"))
    check("no-store", response.headers["Cache-Control"], "no-store")
    method.close()

    s = session(port=1)
    check("no connection: nothing is lost",
          raised(NotConnected, s.handshake) is not None)
    s.outer.url = session().outer.url
    check("and the same bytes may be sent", get(s.handshake()), HELLO)

    s = session().handshake()
    s.send(b"")
    s.outer.media_type = "text/plain"
    raised(Refused, s.send, s.head("GET", "/", {}))
    s.outer.media_type = "application/atls"
    s.flush()
    check("after 415, with the right type", s.read_response().read(),
          b"hello\n")


def smaller(version):
    s = session(version=version).handshake()
    response = s.request("POST", "/service/echo", b"x" * BIG)
    check("after 413, in smaller POSTs",
          b"\nlength 150000\n" in response.read())
    check("413 was seen", 413 in posts(s))


def cut(version):
    """By the client, when the response to a part of it has begun."""
    s = session(version=version).handshake()
    s.tls.write(s.head("GET", "/"))
    body = s.outgoing.read()
    connection = s.outer.connect()
    connection.putrequest("POST", "/.well-known/atls")
    connection.putheader("Content-Type", s.outer.media_type)
    connection.putheader("Content-Length", str(len(body) + 100))
    connection.putheader("Cookie", "atls=" + s.outer.jar["atls"])
    connection.endheaders(body)
    check("a response before the end of the request",
          connection.getresponse().status, 200)
    connection.close()
    check("a cut POST: 410", until(lambda: gone(s)), "session-unknown")


def twice(version):
    s = session(version=version).handshake()
    s.tls.write(s.head("GET", "/", {}))
    body = s.outgoing.read()
    s.post(body)
    check("once", s.read_response().read(), b"hello\n")
    s.post(body)
    s.drain()
    check("the same bytes twice: a fatal alert", str(s.end)[:4], "TLS:")
    check("in a 200", posts(s)[-1], 200)


def raw(version):
    s = session("/raw", version).handshake()
    s.send(b"a message")
    s.drain()
    check("a message", s.plain, b"a message")
    check("ALPN is not answered", s.tls.selected_alpn_protocol(), None)

    s = session("/refused", version).handshake(with_request=True)
    s.patience = 0
    error = raised(Refused, s.send, b"a message")
    check("not 2xx: 502", (error.status, error.gone), (502, False))
    check("the session goes on", s.poll(), b"")
    again = session("/refused", resume=s).handshake()
    check("it has had the ticket", again.tls.session_reused)


def uris(version):
    for uri, jar in (("/located", []), ("/located/", []), ("/both", ["atls"])):
        s = session(uri, version).handshake()
        s.outer.fresh = True
        check(f"{uri}: a 201, then 200", (posts(s)[0], set(posts(s)[1:])),
              (201, {200}))
        check(f"{uri}: its URI", s.outer.url.path.rpartition("/")[0],
              uri.rstrip("/"))
        check(f"{uri}: cookies", list(s.outer.jar), jar)
        check(f"{uri}: requests", [get(s), get(s)], [HELLO] * 2)
        check(f"{uri}: close_notify is answered", s.close())
        check(f"{uri}: after the end", gone(shared(s, uri=s.outer.url.path)),
              "session-unknown")

    for name, follows, keeps in (("URI", True, False), ("cookie", False, True)):
        s = session("/both", version)
        s.outer.follows, s.outer.keeps = follows, keeps
        check(f"the {name} only", get(s.handshake()), HELLO)
        check("and close_notify", s.close())

    s, other = [session("/both", version).handshake() for _ in range(2)]
    s.outer.jar = dict(other.outer.jar)
    check("the URI, with another cookie", [get(s), get(other)], [HELLO] * 2)
    s.outer.url = other.outer.url
    check("the URI of another one", get(other), HELLO)

    s = session("/located/" + "A" * 24, version, patience=0)
    error = raised(Refused, s.post, b"")
    check("an unknown one", (error.status, error.type, error.gone),
          (410, "session-foreign", True))
    s = session("/located/" + "A" * 24, version).handshake()
    check("a ClientHello there", (posts(s)[0], get(s)), (201, HELLO))
    s = session("/located", version, patience=0)
    error = raised(Refused, s.post, b"\x17\3\3\0\1x")
    check("without one", (error.status, error.type), (410, "no-location"))


def no_certificate(version):
    s = session("/verified", version).handshake()
    check("400", s.request("GET", "/").status, 400)
    s.drain()
    check("the session ends", s.end, CLOSE_NOTIFY)


def busy(version):
    """A worker that has room for one handshake."""
    s = half(session(version=version, port=BUSY))
    other = session(version=version, port=BUSY, patience=0)
    error = raised(Refused, other.handshake)
    check("no room: 503", (error.status, error.gone), (503, False))
    check("type", error.type, "too-many-handshakes")
    check("Retry-After", error.wait() > 0)
    s.handshake()
    check("the same bytes again", get(other.handshake()), HELLO)


def run(case, *args):
    global PREFIX
    PREFIX = f"{case.__name__}: " + "".join(a.name + ": " for a in args)
    try:
        case(*args)
    except Exception:
        check("".join(traceback.format_exc().splitlines()[-3:]), False)
        traceback.print_exc()


for version in TLS13, TLS12:
    for case in (handshakes, half_open, tickets, parts, pieces,
                 refused_certificate, requests, expect_continue,
                 early_response, ends, streams, waits, timeouts, smaller, cut,
                 twice, raw, uris, no_certificate, busy):
        run(case, version)

run(hello_retry)
run(statuses)

"""Plans of sessions, generated from random numbers."""

import ssl
import time

from tls import Program, Tls


class Plan:
    endpoint, uri = "routed", "/.well-known/atls"
    name = ""               # of the client's certificate
    rotates = None          # the authority that the endpoint has at times only
    early = False
    original = None         # when the session that is resumed began: no
                            # earlier, no later
    pause = 0
    cutter = None           # who passes bytes on
    small = False


class Planner:
    """Contexts and tickets are shared by all sessions of a kind."""

    ENDPOINTS = {
        # uri, routed, weight
        "routed": ("/.well-known/atls", True, 6),
        "pinned": ("/pinned", False, 3),
        "mutual": ("/mutual", False, 2),
        "rotating": ("/rotating", False, 2),
        "raw": ("/raw", False, 2),
        "datagram": ("/datagram", False, 3),
    }

    def __init__(self, world, options):
        self.world, self.options = world, options
        self.contexts, self.tickets = {}, {}

    def context(self, version, name):
        key = version, name
        if key not in self.contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(self.options.dir + "/localhost.crt")
            context.minimum_version = context.maximum_version = version
            if name:
                context.load_cert_chain(f"{self.options.dir}/{name}.crt",
                                        f"{self.options.dir}/{name}.key")
            self.contexts[key] = context
        return self.contexts[key]

    def make(self, sid):
        r = self.world.content.random("plan", sid)
        plan = Plan()
        names = list(self.ENDPOINTS)
        plan.endpoint = r.choices(names, [self.ENDPOINTS[n][2]
                                          for n in names])[0]
        plan.uri, plan.routed, _ = self.ENDPOINTS[plan.endpoint]
        version = r.choice((ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3,
                            ssl.TLSVersion.TLSv1_3))
        certificate = None
        if plan.endpoint == "mutual":
            certificate = r.choice(("alice", "bob"))
        elif plan.endpoint == "rotating":
            plan.rotates = (self.world.nginx.variant if r.random() < .8
                            else r.choice("AB"))
            certificate = {"A": "carol", "B": "dave"}[plan.rotates]
        plan.name = f"CN={certificate}" if certificate else ""

        plan.version = r.choice(("http10", "http11", "http11", "chunked",
                                 "h2"))
        plan.keepalive = r.random() < (.5 if plan.version == "h2" else .25)
        plan.splits = r.random() < .6
        plan.rounds = r.randrange(1, 9)
        plan.ending = r.choice(("close", "close", "leave"))
        plan.pause = r.choice((0, 0, 0, .3, 2))
        plan.small = r.random() < .4

        # on the path: nothing, a harmless proxy, or the adversary
        plan.path = r.choices(("direct", "harmless", "meddling"),
                              (5, 2, 5))[0]
        plan.violence = r.choice((.1, .3, .6))

        self.tls(plan, r, version, certificate)
        self.kind(plan, r)
        self.route(plan)
        return plan

    def route(self, plan):
        options = self.options
        if plan.kind == "tunnel":
            plan.version = "http11"
        if plan.version == "h2" and not options.h2_port:
            plan.version = "http11"
        h2 = plan.version == "h2"
        if plan.path == "direct":
            plan.port = options.h2_port if h2 else options.port
        elif h2:
            plan.port, plan.cutter = options.h2_cutter, self.world.h2_cutter
        elif plan.kind == "tunnel":
            plan.port, plan.cutter = options.cutter, self.world.cutter
        else:
            plan.port = options.adversary_port

    def kind(self, plan, r):
        plan.kind = r.choices(("session", "sleeper", "endless", "replayer",
                               "tunnel"), (20, 2, 2, 2, 3))[0]
        if plan.endpoint == "raw":
            plan.kind = "raw"
        elif plan.endpoint == "datagram":
            plan.kind, plan.path = "datagram", "direct"
            plan.version = r.choice(("http10", "http11", "chunked"))
        elif plan.kind == "tunnel" and plan.early:
            plan.kind = "session"
        if plan.kind in ("sleeper", "endless", "replayer"):
            plan.ending = "close"

    def tls(self, plan, r, version, certificate):
        options = self.options
        key = plan.endpoint, version, certificate
        if plan.endpoint == "datagram":
            self.dtls(plan)
            return
        program = (plan.endpoint == "routed" and options.program
                   and version == ssl.TLSVersion.TLSv1_3 and r.random() < .3)
        if program:
            key += ("program",)
        resumes = r.random() < .6
        tickets = self.tickets.setdefault(key, [])
        session = None

        plan.early = False
        if resumes and tickets:
            session, plan.original = tickets.pop(0)
            if time.time() - plan.original[0] > self.world.limits.lifetime - 3:
                session = plan.original = None

        if program:
            plan.early = session is not None and r.random() < .8
            settings = {"min": b"TLSv1.3", "max": b"TLSv1.3",
                        "sni": b"localhost",
                        "ca": f"{options.dir}/localhost.crt".encode()}
            if session:
                settings["session"] = session
            plan.tls = lambda: Program(options.program, settings)
        else:
            context = self.context(version, certificate)
            plan.tls = lambda: Tls(context, "localhost", session)

        def established(session):
            tls = session.tls
            if tls.reused:
                session.record.log("resumed, first begun"
                                   f" {time.time() - plan.original[0]:.1f} s"
                                   " ago")
                self.world.ledger.count["sessions resumed"] += 1
            else:
                plan.original = None

        plan.established = established
        plan.tickets = tickets

    def dtls(self, plan):
        """There are no tickets for others."""
        settings = {"dtls": b"1", "min": b"DTLSv1.2", "max": b"DTLSv1.2",
                    "sni": b"localhost",
                    "ca": f"{self.options.dir}/localhost.crt".encode()}
        plan.tls = lambda: Program(self.options.program, settings)
        plan.established = lambda session: None
        plan.tickets = None

    def keep(self, session):
        """Stores the ticket of a closed session for another session."""
        if session.plan.tickets is None:
            return
        tickets = session.plan.tickets
        if session.tls.established and len(tickets) < 20:
            ticket = session.tls.session()
            if ticket:
                tickets.append((ticket, (session.start(), session.certain())))

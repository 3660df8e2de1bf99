"use strict";

/* What is shown, and what it means. */

const POSTS_OK = ["handshake", "opened", "served", "parked", "idle", "closed",
                  "retried"];
const ENDS_OK = ["close-notify", "idle-timeout", "lifetime", "inner-close",
                 "shutdown", "moved"];
const RELAYS_BAD = ["lost", "stuck", "no-mailbox", "no-connection"];

const badPosts = () => failures("posts_total", POSTS_OK);
const badEnds = () => failures("sessions_ended_total", ENDS_OK);
const badRelays = () => RELAYS_BAD.map((key) => "relays_total/" + key);


/* The value of a series is a function of a reading; null: not known. */

const line = (name, colour, what, value) => ({ name, colour, what, value });

/* Counts in the legend only, with the highest one or without. */

const count = (name, what, value) => ({ name, what, value,
                                        format: showCount });
const current = (...list) => ({ ...count(...list), current: true });

const entries = (s) => add(Object.values(s.data.zone_entries));
const entriesFree = (s) => s.data.zone_entries.free
                           + s.data.zone_entries.response;
const entriesUsed = (s) => entries(s) - entriesFree(s);

const times = (metric, ...lines) => ({
    time: true, format: showSeconds, axis: showSeconds,
    series: lines.map(([name, colour, q]) => line(name, colour, "took less",
                                                  quantile(metric, q))),
});

const rates = (series, more) => ({ format: showRate, axis: showCount, least: 4,
                                   series, more });

const CHARTS = {
    sessions: {
        stacked: true, format: showCount, axis: showCount, least: 4,
        more: [count("all", "", (s) => add(Object.values(s.data.sessions)))],
        series: [
            line("idle", "blue", "wait for the next POST",
                 (s) => s.data.sessions.idle),
            line("busy", "teal", "with a POST in progress",
                 (s) => s.data.sessions.busy),
            line("resident", "violet", "with a part of a request",
                 (s) => s.data.sessions.resident),
            line("half-open", "amber", "in a handshake",
                 (s) => s.data.sessions["half-open"]),
        ],
    },

    handshakes: rates([
        line("finished", "teal", "new sessions",
             perSecond("handshakes_total/finished")),
        line("failed", "red", "with an alert, or no TLS",
             perSecond("handshakes_total/failed")),
        line("timed out", "amber", "after atls_handshake_timeout",
             perSecond("handshakes_total/timed-out")),
        line("aborted", "violet", "POST cut off, or no room",
             perSecond("handshakes_total/aborted")),
    ], [
        count("in progress", "at most atls_max_handshakes, in each worker",
              (s) => s.data.handshakes_in_progress),
    ]),

    requests: rates([
        line("POSTs", "blue", "outer requests", perSecond("posts_total")),
        line("requests", "teal", "decrypted from them",
             perSecond("requests_total")),
        line("errors", "red", "requests answered with 5xx",
             perSecond("requests_total/5xx")),
    ]),

    failures: rates([
        line("POSTs", "blue", "refused, or failed",
             (s) => perSecond(...badPosts())(s)),
        line("sessions", "amber", "ended before their time",
             (s) => perSecond(...badEnds())(s)),
        line("relays", "red", "to another worker process",
             perSecond(...badRelays())),
    ]),

    post: times("post_duration_seconds", ["half of them", "blue", .5],
                ["95 of 100", "amber", .95], ["99 of 100", "red", .99]),

    handshake: times("handshake_duration_seconds", ["half of them", "blue", .5],
                     ["95 of 100", "amber", .95]),

    zone: {
        stacked: true, format: showCount, whole: entries,
        more: [
            current("free", "some are reserved, some have kept responses",
                    entriesFree),
            current("evicted", "sessions, since counting started",
                    (s) => add(Object.values(s.data.sessions_evicted_total))),
        ],
        series: [
            line("sessions", "blue", "one each",
                 (s) => s.data.zone_entries.session),
            line("records", "violet", "incomplete ones",
                 (s) => s.data.zone_entries.record),
            line("names", "teal", "of servers, and verified clients",
                 (s) => s.data.zone_entries.name
                        + s.data.zone_entries.identity),
        ],
    },

    bytes: {
        format: showBytes, axis: showBytes, least: 1000, series: [
            line("from clients", "blue", "decrypted",
                 perSecond("plaintext_bytes_total/in")),
            line("to clients", "teal", "encrypted",
                 perSecond("plaintext_bytes_total/out")),
        ],
    },
};


/* The rows of the table of failures, and what they mean. */

const FAILURES = [
    ["posts_total", POSTS_OK, "POSTs refused or failed"],
    ["sessions_ended_total", ENDS_OK, "Sessions ended before their time"],
    ["records_refused_total", [], "Records refused"],
    ["alerts_total/in", ["close_notify"], "Alerts from clients"],
    ["alerts_total/out", ["close_notify"], "Alerts to clients"],
    ["relays_total", ["passed"], "POSTs for another worker process"],
    ["store_total", ["taken", "put"], "Sessions in the store"],
    ["associations_total", ["issued", "accepted"], "Associations refused"],
];

const MEANINGS = {
    posts_total: {
        "alert": "The client has ended the session with an alert, see below.",
        "answer-lost": "A repeated POST. Its response was longer than"
                       + " atls_retry_buffer.",
        "content-coding": "Exported keys: not the coding aes128gcm.",
        "cut": "The client, or the application, stopped half way.",
        "empty-body": "An empty POST without a session.",
        "half-open": "Exported keys: the handshake is not finished.",
        "handshake-failed": "The alerts below, if any, say why.",
        "handshake-timeout":
            "The client took longer than atls_handshake_timeout.",
        "internal-error": "See the error log.",
        "keys-refused": "Exported keys: off, or the session is too weak.",
        "media-type": "A POST with another Content-Type.",
        "message-refused": "A request with exported keys was changed or cut.",
        "message-repeated": "A request with exported keys was sent again.",
        "method": "Not a POST, for example from a browser.",
        "no-cookie": "The client, or a proxy before nginx, does not send"
                     + " cookies back.",
        "no-location": "The client does not follow Location, or a proxy before"
                       + " nginx changes paths.",
        "not-next": "Changed, repeated too late, or not from the client.",
        "not-tls": "Something else than TLS, often from a scanner.",
        "payload-refused": "The service rejected it, see atls_payload raw.",
        "record-refused": "A record was changed on its way.",
        "session-busy": "Two POSTs of a session at the same time.",
        "session-elsewhere": "The session was started in another location.",
        "session-foreign": "The session is that of another machine, or from"
                           + " before a restart.",
        "session-lost": "Its worker process died. See the error log.",
        "session-refused": "The client must be verified again, after a reload.",
        "session-unknown": "The session has expired. The client starts a new"
                           + " one.",
        "store-unreachable": "The store, or another machine, does not respond.",
        "too-few-connections": "Increase worker_connections.",
        "too-large": "Larger than client_max_body_size.",
        "too-many-handshakes": "A flood, or atls_max_handshakes is too low.",
        "unreadable-body": "The body could not be read.",
        "zone-full": "Increase the size in atls_zone.",
        "nginx": "The response is from nginx itself.",
        "nginx/400": "The client has closed the connection, or its request is"
                     + " not valid.",
        "nginx/403": "Access is denied by the configuration.",
        "nginx/408": "The client was too slow.",
        "nginx/413": "Larger than client_max_body_size.",
        "nginx/429": "Limited by the configuration.",
        "nginx/499": "The client has closed the connection.",
        "nginx/503": "Limited by the configuration.",
    },

    sessions_ended_total: {
        "alert": "The client has sent a fatal alert, see below.",
        "evicted": "The zone is too small, or clients do not finish"
                   + " handshakes.",
        "handshake-failed": "The alerts below, if any, say why.",
        "handshake-timeout": "The client did not finish the handshake.",
        "key-limit": "The maximum number of records of TLS 1.2.",
        "lost": "Its worker process died. See the error log.",
        "policy": "The client must be verified again, after a reload.",
        "post-cut": "A POST was cut off, or too large.",
        "record-refused": "A record was refused, see below.",
        "response-cut": "The application stopped half way.",
        "store": "The answer of the store was lost.",
        "zone-full": "There was no room for its data. Increase the size in"
                     + " atls_zone.",
    },

    records_refused_total: {
        "": "Changed or forged on the way, or an error of the client.",
    },

    alerts_total: {
        "": "Why a session or a handshake was ended.",
        "in/unknown_ca": "Clients do not trust the certificate of the server.",
        "in/bad_certificate":
            "Clients do not accept the certificate of the server.",
        "in/certificate_expired": "The certificate of the server has expired.",
        "in/certificate_unknown":
            "Clients do not accept the certificate of the server.",
        "out/handshake_failure": "The client offers nothing that is enabled.",
        "out/protocol_version": "The client offers no version that is enabled.",
        "out/bad_record_mac": "A record was changed, repeated or lost.",
        "out/unexpected_message": "A message at the wrong time.",
        "out/unknown_ca": "The certificate of the client is not trusted.",
        "out/certificate_required": "The client has no certificate.",
    },

    relays_total: {
        "abandoned": "The client has closed the connection.",
        "lost": "The other process has exited.",
        "no-connection": "Increase worker_connections.",
        "no-mailbox": "The socket of the other process is not there.",
        "stuck": "The other process does not respond: something blocks it.",
    },

    store_total: {
        "failed": "The store has refused a command, or is down. See the error"
                  + " log.",
        "outdated": "The store was restarted or failed over.",
        "timed-out": "The store did not respond in time.",
        "unsealed": "Machines have different files in atls_store_key.",
    },

    associations_total: {
        "already-used": "Used before, or from before a restart.",
        "cipher-suite": "No suite of TLS 1.3 with SHA-256.",
        "expired": "The client needs another one.",
        "other-server": "The client has got it for another server name.",
        "policy": "The server verifies clients in another way.",
        "unknown-key": "From before a restart, or servers have different files"
                       + " in atls_session_ticket_key.",
    },
};


function meaning(key) {
    const [metric, ...labels] = key.split("/");
    const texts = MEANINGS[metric];

    return texts[labels.join("/")] || texts[labels[0]] || texts[""] || "";
}


/*
 * What an administrator should look at: the severity, a number of the last
 * minutes, and the sentence that follows it.  Some occur now and then without a
 * reason to act.
 */

function problems() {
    const posts = (reason) => recently("posts_total/" + reason);
    const often = (n, than) => n >= 10 && n > than ? n : 0;
    const percent = (n, share) => often(n, recently("posts_total")
                                           * share / 100);
    const halfOpen = recently("sessions_evicted_total/half-open");
    const use = Math.round(entriesUsed(newest()) / entries(newest()) * 100);

    return [
        ["bad", recently("sessions_evicted_total") - halfOpen,
         "sessions were evicted: the zone is too small. Increase the size in"
         + " atls_zone."],
        ["bad", halfOpen,
         "handshakes were evicted before they were finished: clients begin them"
         + " and do not continue, as in an attack. Or the zone is too small."],
        ["bad", posts("zone-full"),
         "POSTs were refused, because the zone is full. Increase the size in"
         + " atls_zone."],
        ["bad", posts("too-many-handshakes"),
         "handshakes were refused, because too many were in progress. If this"
         + " is not a flood, increase atls_max_handshakes."],
        ["bad", posts("too-few-connections")
                + recently("relays_total/no-connection"),
         "POSTs found no free connection. Increase worker_connections."],
        ["bad", recently("sessions_ended_total/lost"),
         "sessions were lost, because a worker process died. See the error"
         + " log."],
        ["bad", recently("relays_total/stuck"),
         "POSTs got no response from another worker process: something blocks"
         + " it, for example a slow disk."],
        ["bad", recently("relays_total/no-mailbox"),
         "POSTs could not be relayed to another worker process, for lack of"
         + " descriptors. Increase the limit of open files."],
        ["bad", posts("store-unreachable"),
         "POSTs were refused, because the store, or the machine of their session,"
         + " does not respond. See the error log."],
        ["bad", recently("store_total/failed", "store_total/timed-out"),
         "commands of the store have failed, or got no answer in time. See the"
         + " error log."],
        ["bad", recently("store_total/unsealed"),
         "sessions were lost, because machines have different keys in"
         + " atls_store_key."],
        ["warn", recently("store_total/outdated"),
         "sessions were lost, because the store was restarted or failed over."],
        ["bad", posts("internal-error"),
         "POSTs failed with an internal error. See the error log."],
        ["warn", often(recently("handshakes_total/failed",
                                "handshakes_total/timed-out",
                                "handshakes_total/aborted"),
                       recently("handshakes_total") / 5),
         "handshakes did not finish, which is more than 20 %. See the chart of"
         + " handshakes, and the alerts below for the reasons of failures."],
        ["warn", use > 75 ? use : 0,
         "% of the entries of the zone are in use. Increase the size in"
         + " atls_zone, before sessions are evicted."],
        ["warn", percent(posts("record-refused"), 1),
         "POSTs had a record that was refused, which is more than 1 %. Something"
         + " on the way changes, repeats or loses POSTs, or someone forges"
         + " records."],
        ["warn", percent(posts("session-busy"), 1),
         "POSTs came while another one of their session was in progress, which"
         + " is more than 1 %. A proxy before nginx may repeat POSTs."],
        ["warn", percent(posts("session-unknown"), 5),
         "POSTs were for sessions that had ended, which is more than 5 %. If"
         + " clients send POSTs at longer intervals, increase"
         + " atls_session_timeout."],
        ["warn", percent(posts("session-elsewhere"), 5),
         "POSTs were for sessions of another location, which is more than 5 %."
         + " Cookies of both have the same name and path."],
        ["warn", often(posts("session-foreign"), 0),
         "POSTs were for sessions of another machine, or from before a restart."
         + " A load balancer must send all POSTs of a session to the same"
         + " machine."],
        ["warn", often(posts("no-cookie"), 0),
         "POSTs came without the cookie of their session. A proxy before nginx"
         + " may remove it."],
        ["warn", often(posts("no-location"), 0),
         "POSTs were not sent to the URI of their session. A proxy before nginx"
         + " may change paths, but not Location."],
        ["warn", often(recently("requests_total/5xx"),
                       recently("requests_total") / 20),
         "requests were answered with 5xx, which is more than 5 %. See the"
         + " error log, and the application."],
    ].filter(([, n]) => n);
}

package Test::Atls::Validator::Rules;

# The statements of docs/protocol.md about outer responses that can be checked
# without keys: names of rules, and sentences of the page.  t/validate.t
# verifies that the sentences are on the page.  If a sentence changes, review
# its rule.

use strict;
use warnings;

use Exporter qw( import );

our @EXPORT_OK = qw( %RULES );

our %RULES = (

    # Headers

    'type' =>
        'The response has the type of the request. Case and parameters are'
        . ' ignored',
    'no-store' =>
        '`Cache-Control: no-store` in all, including errors',
    'content-coding' =>
        '**Content codings** are not supported',
    'conditions' =>
        '**Conditions and ranges** are ignored',
    'nothing-by-itself' =>
        'The server sends data only in responses to POSTs.',
    'framing' =>
        'A short response has a `Content-Length`. Other responses are'
        . ' streamed: with chunked encoding in HTTP/1.1, and until the'
        . ' connection is closed in HTTP/1.0',
    'continue' =>
        'If `100 Continue` was requested, only the `413` in 1 and the'
        . ' statuses in 2 are sent without it',

    # Cookies

    'cookie-first' =>
        'The response to the first POST of a session sets a cookie',
    'cookie-later' =>
        'later responses set the cookie again, with the same value',
    'cookie-age' =>
        '`Max-Age` is the time in seconds after which the session',
    'cookie-failed' =>
        'If the first POST fails, its response has no `Set-Cookie`: a `200`'
        . ' with an alert, or another status.',
    'cookie-value' =>
        'The value is opaque, at most 4096 bytes long, and cannot be'
        . ' guessed.',
    'cookie-attributes' =>
        'Set-Cookie: atls=vGO9HdeKv3C4DGnoafspTwJx;'
        . ' Path=/.well-known/atls; HttpOnly; Max-Age=600',
    'cookie-path' =>
        '`Path` is the prefix of the location',
    'cookie-secure' =>
        '`Secure` is added if the outer connection uses TLS.',
    'cookie-expired' =>
        '`Set-Cookie` with the session\'s name and `Max-Age=0`.',
    'cookie-expired-alert' =>
        'With `200`, the body also contains an alert, unless the client has'
        . ' sent a fatal one',
    'cookie-new' =>
        'A resumed session is a new session with a new cookie.',

    # URIs of sessions

    'location-first' =>
        'If an endpoint gives URIs to sessions, the response to the first POST'
        . ' has the status `201` instead of `200`',
    'location-later' =>
        'They are answered with `200`, without `Location`',
    'location-value' =>
        'The URI is that of the endpoint, a slash unless it ends with one, and'
        . ' the identifier of the session, which is also the value of the'
        . ' cookie',
    'location-failed' =>
        'If the first POST fails, its response has no `Location`.',
    'location-only' =>
        'unless the session has only a URI',

    # Which session, and its end

    'new' =>
        'If the body begins with a ClientHello, it may start a new session.',
    'hello-pieces' =>
        'Until it is complete, its POSTs are answered with `200` and an'
        . ' empty body.',
    'hello-second' =>
        '| half-open; a HelloRetryRequest was sent | is the second ClientHello'
        . ' of that session |',
    'hello-established' =>
        '| established | starts a new session;',
    'empty' =>
        'An empty POST of a session is answered immediately with `200` and'
        . ' an empty body',
    'gone' =>
        'Any later POST with the session\'s cookie or URI is answered with'
        . ' `410`.',
    'goes-on' =>
        '**The session continues unless the table specifies otherwise**',
    'busy' =>
        'If another POST is sent before that, it waits for the end of the'
        . ' previous one',

    # Statuses

    'status-400' =>
        '| `400` | no cookie and no URI of a session, and the body is empty or'
        . ' is not TLS; or a chunked body is invalid |',
    'status-405' =>
        '| `405`, with `Allow: POST` | another method | continues |',
    'status-409' =>
        '| `409` | another POST of the session is in progress | continues'
        . ' with that POST |',
    'status-409-next' =>
        '| `409`, `not-next` | the POST does not begin with [the next'
        . ' record](#posts) of the session | continues unchanged |',
    'status-410' =>
        '| `410` | no ClientHello, and no session for the data',
    'status-413' =>
        '| `413` | the `Content-Length` exceeds `client_max_body_size` |'
        . ' continues |',
    'status-413-expired' =>
        '| `413`, the cookie expired | a body without a `Content-Length`'
        . ' exceeds it | is gone |',
    'status-413-first' =>
        '| `413` `too-large`, the cookie not expired | the same, before its'
        . ' first record was received | continues |',
    'status-415' =>
        '| `415` | another media type | continues |',
    'status-502' =>
        '| `502` | `atls_payload raw`: the inner response is not 2xx |'
        . ' continues |',
    'status-503' =>
        '| `503`, with `Retry-After` in seconds | no resources for a'
        . ' session, a handshake or a connection |',
    'status-own' =>
        'They do not have a problem document of the endpoint.',
    'order-body' =>
        'without a session, `410` if the POST names one or the body is TLS,'
        . ' otherwise `400`',
    'too-large-begun' =>
        'If a body without a `Content-Length` becomes too large or invalid'
        . ' after the response has begun, the response ends with a fatal'
        . ' alert',

    # Problem documents

    'problem' =>
        'Responses of the endpoint with statuses other than `200`, `201` and'
        . ' `204` contain a problem document (RFC 9457)',
    'problem-413' =>
        'except the `413` by `Content-Length`, which contains nginx\'s own'
        . ' HTML page',
    'problem-members' =>
        'It always has the members `type`, `title`, `status` and `detail`.',
    'problem-type' =>
        '`type` is a name, not an address:',
    'problem-500' =>
        '`500` has `about:blank`.',
    'problem-no-cookie' =>
        '`no-cookie`: the body has records of a session, but the POST has no'
        . ' cookie with the name',
    'problem-no-location' =>
        '`no-location`: the same at an endpoint without cookies, and the URI is'
        . ' not that of a session',
    'problem-elsewhere' =>
        '`session-elsewhere`: it belongs to [another endpoint]'
        . '(#other-endpoints), and its cookie is not expired',
    'problem-foreign' =>
        '`session-foreign`: it was started on another machine or before a'
        . ' restart',
    'problem-502' =>
        'If the end of a handshake was in the same POST, a `502` response'
        . ' contains records, with the media type of the request, instead of'
        . ' a problem document',

    # Records

    'records' =>
        '| body of the response | TLS records of the server; may be empty.',
    'records-whole' =>
        'A complete body ends with a complete record',
    'record-length' =>
        'records exceed this size by a few bytes at most',
    'record-version' =>
        'TLS itself is not changed, see RFC 8446 (1.3) and RFC 5246 (1.2).',
    'fragment' =>
        '| maximum fragment length | used if the client requests it (RFC'
        . ' 6066).',
    'version' =>
        '| versions | 1.3 and 1.2, unless',
    'suite' =>
        '| suites | AEAD only: AES-GCM, ChaCha20-Poly1305, AES-CCM.',
    'suite-none' =>
        'If a client offers no such suite, it gets a `handshake_failure`'
        . ' alert',
    'ems' =>
        '| extended master secret | used if the client offers it.',
    'resumption' =>
        'Session IDs of TLS 1.2 are not used for resumption',
    'without' =>
        '| renegotiation, compression, heartbeats, authentication after the'
        . ' handshake | no |',
    'alpn' =>
        'If a client offers protocols, the first of `http/1.1`, `http/1.0`'
        . ' and `http/0.9` that it offers is selected, regardless of the'
        . ' client\'s order.',
    'alpn-none' =>
        'If it offers none of them, it gets a `no_application_protocol`'
        . ' alert.',
    'server-name' =>
        'If the name is not a valid host name, the client gets a'
        . ' `decode_error` alert.',
    'ticket' =>
        'With TLS 1.3, the response to the client\'s last flight contains'
        . ' one ticket',
    'end-last' =>
        'sent after all other data of the server.',
    'end-fatal' =>
        'may also be the last record of a `200` response that contains other'
        . ' data',
    'alert-client' =>
        '| a fatal alert | the session is gone; the response contains no'
        . ' record for the alert |',
    'close-notify' =>
        '| `close_notify` | answered with `close_notify`, after the'
        . ' responses to preceding data.',
);


1;

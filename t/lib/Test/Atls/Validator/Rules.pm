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
        '`Cache-Control: no-store` in all, errors too',
    'content-coding' =>
        '**Content codings** are not spoken',
    'conditions' =>
        '**Conditions and ranges** are ignored',
    'nothing-by-itself' =>
        'The server sends only in responses to POSTs.',
    'framing' =>
        'A response is short, with a `Content-Length`, or is sent as it is'
        . ' made: chunked with HTTP/1.1, and up to the end of the connection'
        . ' with HTTP/1.0',
    'continue' =>
        'Only the `413` above and the statuses of 2 come without'
        . ' `100 Continue`, if that was asked for',

    # Cookies

    'cookie-first' =>
        'The response to the first POST of a session has a cookie',
    'cookie-later' =>
        'with all later POSTs, which have no `Set-Cookie` in their responses',
    'cookie-failed' =>
        'A first POST that fails has no `Set-Cookie`: a `200` with an alert,'
        . ' or another status.',
    'cookie-value' =>
        'The value is opaque, at most 4096 bytes, and not to be guessed.',
    'cookie-attributes' =>
        'Set-Cookie: atls=vGO9HdeKv3C4DGnoafspTwJx;'
        . ' Path=/.well-known/atls; HttpOnly',
    'cookie-path' =>
        '`Path` is the prefix of the location',
    'cookie-secure' =>
        '`Secure` is added if the outer connection is TLS.',
    'cookie-expired' =>
        '`Set-Cookie` with the session\'s name and `Max-Age=0`.',
    'cookie-expired-alert' =>
        'With a `200`, there is an alert in the body, too, if the client has'
        . ' not sent a fatal one',
    'cookie-new' =>
        'A resumed session is a new one with a new cookie.',

    # Which session, and its end

    'new' =>
        'If the body begins with a ClientHello, it may begin a new session.',
    'hello-pieces' =>
        'Until it is complete, its POSTs are answered `200` with an empty'
        . ' body.',
    'hello-second' =>
        '| half-open; a HelloRetryRequest was sent | is the second ClientHello'
        . ' of that session |',
    'hello-established' =>
        '| established | begins a new session;',
    'empty' =>
        'An empty POST of a session is answered `200` with what there is to be'
        . ' sent',
    'gone' =>
        'Any later POST with the session\'s cookie is answered `410`.',
    'goes-on' =>
        '**The session goes on unless the table says otherwise**',
    'busy' =>
        'A second POST in the meantime is answered `409`, and nothing of it is'
        . ' used.',

    # Statuses

    'status-400' =>
        '| `400` | no cookie, and an empty body or one that is no TLS; or a'
        . ' chunked body that cannot be read |',
    'status-405' =>
        '| `405`, with `Allow: POST` | another method | goes on |',
    'status-409' =>
        '| `409` | another POST of the session is in progress | goes on with'
        . ' that POST |',
    'status-410' =>
        '| `410` | no ClientHello, and no session that it could belong to',
    'status-413' =>
        '| `413` | the `Content-Length` is larger than `client_max_body_size` |'
        . ' goes on |',
    'status-413-expired' =>
        '| `413`, the cookie expired | a body without a `Content-Length` is'
        . ' larger | is gone |',
    'status-415' =>
        '| `415` | another media type | goes on |',
    'status-502' =>
        '| `502` | `atls_payload raw`: the inner response is not 2xx | goes on'
        . ' |',
    'status-503' =>
        '| `503`, with `Retry-After` in seconds | no room for a session, a'
        . ' handshake or a connection |',
    'status-own' =>
        'They have no problem document of the endpoint.',
    'order-body' =>
        'without a session, `410` if there was a cookie of the name or the body'
        . ' is TLS, else `400`',
    'too-large-begun' =>
        'Where a body without a `Content-Length` becomes too large, or cannot'
        . ' be read, after the response has begun, that one ends with a fatal'
        . ' alert',

    # Problem documents

    'problem' =>
        'Responses of the endpoint other than `200` have a document of RFC'
        . ' 9457',
    'problem-413' =>
        'but the `413` by `Content-Length`, which is nginx\'s own page of HTML',
    'problem-members' =>
        'It has `type`, `title`, `status` and `detail`, always.',
    'problem-type' =>
        '`type` is a name, not an address:',
    'problem-500' =>
        '`500` has `about:blank`.',
    'problem-elsewhere' =>
        '`session-elsewhere`: it is another endpoint\'s, and its cookie is not'
        . ' expired',
    'problem-502' =>
        'A `502` has records instead of a problem document, and the media type'
        . ' of the request, if the end of a handshake was in the same POST',

    # Records

    'records' =>
        '| body of the response | TLS records of the server; may be empty.',
    'records-whole' =>
        'A complete one ends with the end of a record',
    'record-length' =>
        'records are not longer than that and some bytes',
    'record-version' =>
        'TLS itself is that of RFC 8446 (1.3) and RFC 5246 (1.2), unchanged.',
    'fragment' =>
        '| maximum fragment length | is kept to, if the client asks for it'
        . ' (RFC 6066) |',
    'version' =>
        '| versions | 1.3 and 1.2, unless',
    'suite' =>
        '| suites | AEAD only: AES-GCM, ChaCha20-Poly1305, AES-CCM.',
    'suite-none' =>
        'A client that offers no such suite gets a `handshake_failure` alert',
    'ems' =>
        '| extended master secret | is used if the client offers it.',
    'resumption' =>
        'Session ids of TLS 1.2 resume nothing',
    'without' =>
        '| renegotiation, compression, heartbeats, authentication after the'
        . ' handshake | no |',
    'alpn' =>
        'A client that offers protocols gets the first of `http/1.1`,'
        . ' `http/1.0` and `http/0.9` that is among them, whatever their order.',
    'alpn-none' =>
        'One that offers none of them gets a `no_application_protocol` alert.',
    'server-name' =>
        'A name that cannot be one of a host gets a `decode_error` alert.',
    'ticket' =>
        'With TLS 1.3, the response to the client\'s last flight has one ticket',
    'end-last' =>
        'behind all that the server had to send.',
    'end-fatal' =>
        'also as the last record of a `200` that had begun well',
    'alert-client' =>
        '| a fatal alert | the session is gone; the response has no record for'
        . ' it |',
    'close-notify' =>
        '| `close_notify` | answered by one, after the responses to what came'
        . ' before it.',
);


1;

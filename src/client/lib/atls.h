
/*
 * libatls: a client library for Application-Layer TLS (ATLS): a TLS session
 * whose records are carried in the bodies of HTTP POST requests.
 *
 * A client has one target, for example a web service, and sends HTTP/1.1
 * requests to it.  The requests are encrypted in a TLS session with the target:
 * the inner session.  Its records are sent in POSTs to a URL, the endpoint,
 * over the outer connection, which libcurl handles.  A middlebox that
 * terminates the TLS of the outer connection sees the POSTs, but not the
 * requests.
 *
 *     atls_client_t   *client;
 *     atls_request_t   request = { .path = "/", .on_body = print };
 *
 *     if (atls_client_create(&client, "https://example.com") == ATLS_OK
 *         && atls_perform(client, &request) == ATLS_OK)
 *     {
 *         printf("status %d\n", atls_status(client));
 *     }
 *
 *     atls_close(client);
 *     atls_client_free(client);
 *
 * Trust.  The certificate of the inner session is always verified against the
 * target's name, unless a pre-shared key is used; this cannot be disabled.  The
 * certificate of the outer connection is not trusted: it is recorded, see
 * atls_get_outer(), and never rejected.
 *
 * Memory.  Strings and buffers passed to a function are copied or used during
 * the call only.  Pointers returned by a function belong to the client and are
 * valid until the next call with the same client.  No function keeps a pointer
 * to a request.
 *
 * Threads.  There is no global state.  A client must not be used by two threads
 * at the same time; different clients can be.  A program with several threads
 * should call curl_global_init(CURL_GLOBAL_DEFAULT) before it starts them,
 * since libcurl before 7.84 does not initialize itself in a thread-safe way.
 * It should also ignore SIGPIPE: the library does not change signal handlers.
 *
 * Environment.  http_proxy, https_proxy, all_proxy and no_proxy apply to the
 * outer connection, as with curl.  SSL_CERT_FILE and SSL_CERT_DIR replace the
 * system's trusted certificates, as with OpenSSL.
 *
 * Texts.  Error texts, debug messages and certificate names may contain data
 * from a server.  They are valid UTF-8 and safe to print on a terminal: control
 * characters and the like are replaced by "?".
 */


#ifndef ATLS_H_INCLUDED
#define ATLS_H_INCLUDED


#include <stddef.h>
#include <stdint.h>
#include <stdio.h>


#ifdef __cplusplus
extern "C" {
#endif


#define ATLS_VERSION    "0.1.0"

#if defined(__GNUC__)
#define ATLS_API        __attribute__((visibility("default")))
#else
#define ATLS_API
#endif


/* Errors */

/* Error codes; the numbers are part of the ABI. */

typedef enum {
    ATLS_OK = 0,

    /* errors of the application */

    ATLS_ERROR_USAGE = 1,           /* invalid argument, option or file */
    ATLS_ERROR_MEMORY = 2,          /* out of memory */
    ATLS_ERROR_ABORTED = 3,         /* aborted by a callback */
    ATLS_ERROR_READ = 4,            /* the request body cannot be read, or is
                                       shorter than the specified length */
    ATLS_ERROR_TRUST = 5,           /* cannot load the trusted certificates */
    ATLS_ERROR_IDENTITY = 6,        /* cannot load the client certificate, or
                                       its key */
    ATLS_ERROR_CIPHERS = 7,         /* invalid list of ciphers or groups */

    /* errors of the outer connection */

    ATLS_ERROR_RESOLVE = 10,        /* cannot resolve the endpoint's name */
    ATLS_ERROR_CONNECT = 11,        /* cannot connect to the endpoint */
    ATLS_ERROR_PROXY = 12,          /* any error of the proxy */
    ATLS_ERROR_OUTER_TLS = 13,      /* TLS error of the outer connection */
    ATLS_ERROR_TIMEOUT = 14,        /* a timeout has expired */
    ATLS_ERROR_NETWORK = 15,        /* the established connection failed */

    /* the response to a POST is not an ATLS response */

    ATLS_ERROR_OUTER_STATUS = 20,   /* status is not 200, see
                                       atls_outer_info_t */
    ATLS_ERROR_REDIRECT = 21,       /* redirects are not followed, nor URIs of
                                       sessions at another server */
    ATLS_ERROR_MEDIA_TYPE = 22,     /* wrong Content-Type, or compressed */

    /* errors of the inner session */

    ATLS_ERROR_TLS = 30,            /* the error text has the name of the alert,
                                       if one was received */
    ATLS_ERROR_CERTIFICATE = 31,    /* the server certificate is not trusted or
                                       does not match the target */
    ATLS_ERROR_HTTP = 32,           /* invalid HTTP response */
    ATLS_ERROR_TRUNCATED = 33,      /* the response is incomplete */
    ATLS_ERROR_SESSION_LOST = 34,   /* the session does not exist on the server
                                       any more; the request may or may not have
                                       been processed */
    ATLS_ERROR_PIN = 35             /* the certificate is trusted, but has
                                       another key than ATLS_PINNED_KEY */
} atls_error_e;

/* A short description of an error code; never NULL. */

ATLS_API const char *atls_strerror(atls_error_e error);


/* Clients */

typedef struct atls_client_s  atls_client_t;

/*
 * Creates a client for a target, "https://host" or "https://host:port".
 * Nothing is sent.  On error, *client is NULL.
 */

ATLS_API atls_error_e atls_client_create(atls_client_t **client,
    const char *target);

/* Frees a client without sending anything; NULL is ignored. */

ATLS_API void atls_client_free(atls_client_t *client);

/*
 * Details of the error of the client's last call: one line, without the text of
 * atls_strerror(); "" if there was no error.
 */

ATLS_API const char *atls_error_text(const atls_client_t *client);

/*
 * Faults on the path to the endpoint, recognized by a response: most of them
 * are caused by middleboxes.  They are not authenticated, and for people: a
 * program must not conclude from them that a request can be repeated.  The
 * numbers are part of the ABI.
 */

typedef enum {
    ATLS_FAULT_NONE = 0,

    /* the response is not from an ATLS endpoint */

    ATLS_FAULT_PAGE = 1,            /* a web page, as of a captive portal */
    ATLS_FAULT_REDIRECT = 2,
    ATLS_FAULT_REFUSED = 3,         /* by a filter, or by the server */
    ATLS_FAULT_NO_ENDPOINT = 4,     /* there is none at this URL */
    ATLS_FAULT_GATEWAY = 5,         /* a proxy cannot reach the endpoint */
    ATLS_FAULT_GATEWAY_TIMEOUT = 6, /* a proxy did not wait for the response */
    ATLS_FAULT_TOO_LARGE = 7,       /* the body of the POST is */
    ATLS_FAULT_NO_KEYS = 8,         /* no requests with exported keys */

    /* data are changed on the path */

    ATLS_FAULT_METHOD = 10,
    ATLS_FAULT_MEDIA_TYPE = 11,
    ATLS_FAULT_COMPRESSED = 12,
    ATLS_FAULT_NO_BODY = 13,        /* removed, or a part of it */
    ATLS_FAULT_CHANGED = 14,        /* the body was changed */
    ATLS_FAULT_CACHED = 15,         /* the response is to another POST */
    ATLS_FAULT_REPEATED = 16,       /* a POST was sent twice, or data were
                                       changed */

    /* the cookie, or the URI of the session */

    ATLS_FAULT_NO_SET_COOKIE = 20,  /* the first response sets none */
    ATLS_FAULT_COOKIE_SCOPE = 21,   /* its attributes do not match the URL */
    ATLS_FAULT_NO_COOKIE = 22,      /* it was removed from a POST */
    ATLS_FAULT_LOST = 23,           /* the session was lost at its start: POSTs
                                       are repeated, or reach different
                                       machines */
    ATLS_FAULT_LOCATION = 24,       /* the path in Location of the first
                                       response was removed or changed, or does
                                       not reach the endpoint */

    /* the session */

    ATLS_FAULT_UNTRUSTED = 30       /* the certificate of the service is not
                                       trusted, or has another name */
} atls_fault_e;

/* The fault recognized in the error of the client's last call. */

ATLS_API atls_fault_e atls_fault(const atls_client_t *client);

/* What to do about a fault: a sentence or two; "" if there is no advice. */

ATLS_API const char *atls_fault_advice(atls_fault_e fault);

/* The version of the linked library; ATLS_VERSION is that of this header. */

ATLS_API const char *atls_version(void);


/* Options */

/*
 * Options must be set before the first request or connection of a client,
 * otherwise ATLS_ERROR_USAGE is returned.  Most values are checked when they
 * are used.  Options, lists and kinds of bodies are numbered from 0: the
 * numbers are part of the ABI, and new ones are added at the end.
 */

typedef enum {
    ATLS_ENDPOINT,          /* http or https URL for POSTs; default:
                               <target>/.well-known/atls.  If the endpoint gives
                               URIs to sessions, they are used */

    /* inner session; files are in PEM format */

    ATLS_CA_FILE,           /* trusted CA certificates, instead of the
                               system's */
    ATLS_CA_DIR,            /* directory of these, prepared with
                               "openssl rehash" */
    ATLS_CERT_FILE,         /* client certificate and its chain */
    ATLS_KEY_FILE,          /* private key; default: from ATLS_CERT_FILE */
    ATLS_KEY_PASSPHRASE,    /* passphrase of the private key; there is no
                               prompt */
    ATLS_PSK_IDENTITY,      /* identity of a pre-shared key, for TLS 1.3 or 1.2:
                               at most 128 bytes */
    ATLS_PSK_KEY,           /* pre-shared key: 1 to 256 bytes, in hex */
    ATLS_MIN_PROTOCOL,      /* "TLSv1.2" or "TLSv1.3"; default: "TLSv1.2" */
    ATLS_MAX_PROTOCOL,      /* "TLSv1.2" or "TLSv1.3"; default: "TLSv1.3" */
    ATLS_CIPHERS,           /* TLS 1.2 ciphers, in OpenSSL's format */
    ATLS_CIPHERSUITES,      /* TLS 1.3 cipher suites, in OpenSSL's format */
    ATLS_GROUPS,            /* key exchange groups, in OpenSSL's format */
    ATLS_ALPN,              /* comma-separated list of protocols; "" disables
                               ALPN; default: "http/1.1" */

    /* outer connection */

    ATLS_PROXY,             /* proxy URL, as CURLOPT_PROXY; "" disables proxies;
                               default: from the environment */
    ATLS_PROXY_USER,        /* proxy credentials, "user:password" */
    ATLS_PROXY_CA_FILE,     /* trusted CA certificates for an https proxy, whose
                               certificate is verified; default: libcurl's */
    ATLS_OUTER_HTTP,        /* HTTP version: "1.0", "1.1", "2" (only over TLS),
                               "2-direct" (also without TLS) or "3"; default:
                               libcurl's */
    ATLS_USER_AGENT,        /* default: "libatls/<version>" */
    ATLS_PROXY_AUTH,        /* "basic", "digest", "negotiate", "ntlm", or
                               "anyauth" for what the proxy supports; default:
                               "basic", which is sent at once */
    ATLS_NO_PROXY,          /* comma-separated list of hosts that are accessed
                               without a proxy; "*" for all; default: from the
                               environment */
    ATLS_OUTER_USER,        /* credentials for the endpoint, sent as Basic:
                               "user:password" */

    /* inner session */

    ATLS_PINNED_KEY         /* public key of the server, as with
                               CURLOPT_PINNEDPUBLICKEY: a file, PEM or DER, or
                               SHA-256 digests in base64,
                               "sha256//...;sha256//...".  The certificate must
                               also be trusted */
} atls_string_e;

typedef enum {
    ATLS_CONNECT_TIMEOUT,   /* milliseconds, for each outer connection; 0: no
                               timeout; default: 30000 */
    ATLS_TIMEOUT,           /* milliseconds, for a request including a handshake
                               and repetitions; 0: no timeout; default: 0.  If
                               it expires within the request body, up to a
                               second more is used to notify the server */
    ATLS_IDLE_TIMEOUT,      /* milliseconds without a byte sent or received on
                               the outer connection, rounded up to seconds; 0:
                               no timeout; default: 300000 */
    ATLS_POST_SIZE,         /* approximate maximum body size of a POST, in
                               bytes; larger requests are sent in several POSTs;
                               minimum: 1024, default: 1048576 */
    ATLS_HEADER_SIZE,       /* maximum size of a response header, in bytes;
                               default: 65536 */
    ATLS_EARLY_DATA,        /* 1: send GET, HEAD and OPTIONS requests without a
                               body as early data, if a session is resumed and
                               the server allows it.  An observer of the POST
                               can replay it; default: 0 */
    ATLS_IP_VERSION,        /* of the outer connection: 4 or 6; default: 0, both
                               of them */
    ATLS_RATE,              /* bytes per second that are sent or received on the
                               outer connection; default: 0, unlimited */
    ATLS_RETRIES,           /* how many times a POST is sent again if there is
                               no response, see atls_perform(); 0: never;
                               default: 5 */
    ATLS_EXPORTED_KEYS,     /* 1: send each request in one POST, encrypted with
                               a key that is exported from the session, instead
                               of TLS records.  It is at most as long as
                               ATLS_POST_SIZE, and POSTs are not sent again.
                               The endpoint must allow this; default: 0 */
    ATLS_DTLS               /* 1: DTLS 1.2 instead of TLS.  Each request is sent
                               in one POST, of at most ATLS_POST_SIZE; POSTs are
                               not sent again, except in the handshake.  A
                               response must have a length, or be chunked.  The
                               endpoint must allow DTLS; default: 0 */
} atls_number_e;

/* NULL sets the default. */

ATLS_API atls_error_e atls_set_string(atls_client_t *client,
    atls_string_e option, const char *value);

ATLS_API atls_error_e atls_set_number(atls_client_t *client,
    atls_number_e option, int64_t value);

/* Options that can be set several times; the values are added to a list. */

typedef enum {
    ATLS_OUTER_HEADER,      /* "Name: value", sent with each POST */
    ATLS_PROXY_HEADER,      /* "Name: value", sent to the proxy, too: with
                               CONNECT, or with each POST without TLS */
    ATLS_RESOLVE,           /* "host:port:address", as CURLOPT_RESOLVE */
    ATLS_CONNECT_TO         /* "host:port:host:port", as CURLOPT_CONNECT_TO */
} atls_list_e;

ATLS_API atls_error_e atls_add_string(atls_client_t *client,
    atls_list_e list, const char *value);

/* The same for ATLS_OUTER_HEADER. */

ATLS_API atls_error_e atls_add_outer_header(atls_client_t *client,
    const char *header);


/* Debugging */

/*
 * Debug messages, one line each, without a line end, intended for people: their
 * text is not an interface.  Values of headers with credentials or cookies, and
 * bodies, are omitted.
 */

typedef enum {
    ATLS_DEBUG_OUTER,               /* connection, certificates, POSTs */
    ATLS_DEBUG_OUTER_SENT,          /* line of a POST's header */
    ATLS_DEBUG_OUTER_RECEIVED,      /* header line of the response to a POST */
    ATLS_DEBUG_INNER,               /* TLS, certificates, sessions */
    ATLS_DEBUG_INNER_SENT,          /* line of a request header */
    ATLS_DEBUG_INNER_RECEIVED       /* line of a response header */
} atls_debug_e;

typedef void (*atls_debug_pt)(void *data, atls_debug_e what, const char *line);

ATLS_API atls_error_e atls_set_debug(atls_client_t *client,
    atls_debug_pt debug, void *data);


/* Stores */

/*
 * A store of sessions.  Sessions are resumed only if a client has a store.
 *
 * put() stores a session under a key.  A session is a sequence of secret bytes.
 * At least two sessions should be kept for a key.  take() copies the newest
 * session of a key to buf, which has size bytes, and removes it from the store,
 * so that a session is used once.  It returns the length, or 0 if there is no
 * session.  If several clients share a store, its functions may be called by
 * several threads.
 *
 * Keys are printable ASCII strings, shorter than 128 bytes.  They depend on the
 * target, the endpoint, trusted CAs, and the certificate or the pre-shared key.
 * The content of files counts, not their names.
 *
 * A session and the sessions resumed from it are valid for 24 hours after the
 * full handshake, and only as long as the server certificate, which is a part
 * of the stored session, can be verified.  Anyone with write access to the
 * store can add sessions with known secrets, so only the user must have it.
 */

typedef struct {
    void     (*put)(void *data, const char *key, const void *session,
                    size_t size);
    size_t   (*take)(void *data, const char *key, void *buf, size_t size);
    void      *data;
} atls_store_t;

#define ATLS_SESSION_SIZE   16384   /* larger sessions are not stored */

/* The structure is copied; its data are not, and must outlive the client. */

ATLS_API atls_error_e atls_set_store(atls_client_t *client,
    const atls_store_t *store);

/*
 * A store in a directory used for nothing else, which is created with mode 0700
 * if it does not exist; its parents are not.  Any number of threads and
 * processes can use it.  Failures to write are ignored.  Returns NULL on error,
 * with errno set: EPERM if the directory belongs to another user, EACCES if it
 * is writable by others, ELOOP or ENOTDIR if it is a symbolic link.
 */

ATLS_API atls_store_t *atls_store_file(const char *directory);

ATLS_API void atls_store_file_free(atls_store_t *store);


/* Requests */

typedef struct {
    const char  *name;
    const char  *value;
} atls_header_t;

typedef enum {
    ATLS_BODY_NONE = 0,
    ATLS_BODY_MEMORY,       /* uses bytes and length */
    ATLS_BODY_FILE,         /* uses file, from its position to its end */
    ATLS_BODY_FD,           /* uses fd, from its position to its end */
    ATLS_BODY_READ          /* uses read, rewind and length */
} atls_body_e;

#define ATLS_LENGTH_UNKNOWN     (-1)

/*
 * Reads a body: returns the number of bytes, up to size, 0 at the end, or -1 to
 * abort.  ATLS_READ_FLUSH means that no data are available yet: previous data
 * are then sent at once, instead of waiting until they fill a POST, and the
 * function is called again.
 */

#define ATLS_READ_FLUSH         (-2)

typedef long (*atls_read_pt)(void *data, void *buf, size_t size);

/* Rewinds the body: returns 0, or -1 if this is not possible. */

typedef int (*atls_rewind_pt)(void *data);

/*
 * A zeroed request is a GET of "/" that discards the response.  Callbacks
 * return 0, or another value to abort; NULL is equivalent to a callback that
 * returns 0.  Callbacks may only call functions that query the client.
 *
 * The body is passed in pieces as they arrive.  The header is passed when it is
 * complete and valid: on_status, then on_header for each line, in order,
 * without spaces around the value.  Informational responses (1xx) and trailers
 * are not passed.
 */

typedef struct {
    const char            *method;      /* NULL: GET, or POST if there is a
                                           body; CONNECT is invalid */
    const char            *path;        /* with query string; NULL: "/"; "*" for
                                           OPTIONS */
    const atls_header_t   *headers;     /* Host is the target by default, and
                                           is not sent if its value is NULL;
                                           Content-Length and Transfer-Encoding
                                           are set by the library */
    size_t                 nheaders;

    atls_body_e            body;
    const void            *bytes;
    FILE                  *file;
    int                    fd;
    atls_read_pt           read;
    atls_rewind_pt         rewind;      /* may be NULL */
    int64_t                length;      /* in bytes; with read, it may be
                                           ATLS_LENGTH_UNKNOWN.  A body of
                                           unknown length, as of a file that is
                                           not a regular one, is sent chunked */

    int                  (*on_status)(void *data, int status,
                                      const char *reason);
    int                  (*on_header)(void *data, const char *name,
                                      const char *value);
    int                  (*on_body)(void *data, const void *bytes,
                                    size_t size);
    int                  (*on_wait)(void *data);    /* called at least about
                                           once a second during transfers */

    void                  *data;        /* passed to all callbacks */
} atls_request_t;

/*
 * Sends a request and receives the response, with any status: 404 is ATLS_OK.
 * An open session is used, or a new one is opened.
 *
 * A session is not used if its cookie has expired.  If the request cannot be
 * repeated, a session that was idle for two seconds, or whose connection was
 * closed, is first checked with an empty POST.
 *
 * If a POST gets no response, or not all of it, the same POST is sent again: if
 * the connection is lost, after ATLS_IDLE_TIMEOUT (once), and after a 408, 502,
 * 503 or 504 that is not from the endpoint.  The pauses are 50 milliseconds,
 * then three times as long each, at most 10 seconds; Retry-After may make them
 * longer up to this limit.  The server sends the same response again, and does
 * not process the POST again, so this is safe for all requests.  If the server
 * has not kept the response (atls_retry_buffer), or if all repetitions fail,
 * the call fails with the first error.  If it is the first POST of a session,
 * another session starts; it is not repeated after a timeout, nor with early
 * data.
 *
 * If the session is lost, a new one is opened.  The request is repeated once if
 * nothing of it was sent yet, or if it is idempotent (GET, HEAD, OPTIONS, PUT,
 * DELETE), its body can be read again (memory, a regular file, rewind()), and
 * no callback for the response was called; otherwise, ATLS_ERROR_SESSION_LOST
 * is returned.  After an error, the client can be used again.
 */

ATLS_API atls_error_e atls_perform(atls_client_t *client,
    const atls_request_t *request);

/*
 * Whether a part of the last request may have been sent to the service.  If
 * not, the service certainly has not processed the request.
 */

ATLS_API int atls_request_sent(const atls_client_t *client);

/* Opens a session if there is none: a handshake without a request. */

ATLS_API atls_error_e atls_connect(atls_client_t *client);

/*
 * Closes the session, if any, and notifies the server, in a POST that may take
 * five seconds.  The next request opens a new session.
 */

ATLS_API void atls_close(atls_client_t *client);

/* The status of the last response; 0 if there was none. */

ATLS_API int atls_status(const atls_client_t *client);


/* Information */

typedef struct {
    const char           *subject;      /* RFC 2253 */
    const char           *issuer;
    unsigned char         sha256[32];   /* of der */
    const unsigned char  *der;
    size_t                der_size;
} atls_certificate_t;

typedef enum {
    ATLS_EARLY_DATA_NONE,               /* none was sent */
    ATLS_EARLY_DATA_ACCEPTED,
    ATLS_EARLY_DATA_REJECTED            /* and sent again after the handshake */
} atls_early_data_e;

typedef struct {
    int                   open;         /* boolean */
    const char           *protocol;     /* "TLSv1.2" or "TLSv1.3" */
    const char           *cipher;       /* OpenSSL name */
    const char           *alpn;         /* "" if no protocol was selected */
    int                   resumed;      /* boolean */
    int                   psk;          /* boolean: the server is authenticated
                                           by the pre-shared key */
    atls_early_data_e     early_data;
    long                  verify_result;    /* X509_V_OK or X509_V_ERR_...; -1
                                               if there is no certificate */
    const char           *verify_text;      /* description of verify_result */
    const atls_certificate_t  *certificate; /* server certificate or NULL */
} atls_session_info_t;

/*
 * The open inner session, or the last one, or what is known of a failed
 * handshake.  Returns ATLS_ERROR_USAGE if there was no session.
 */

ATLS_API atls_error_e atls_get_session(atls_client_t *client,
    atls_session_info_t *info);

typedef struct {
    int                   status;       /* status of the last POST; 0 if there
                                           was no response */
    int                   curl_error;   /* CURLcode of the last POST */
    const char           *http;         /* HTTP version: "1.0", "1.1", "2", "3",
                                           or "" if unknown */
    long                  retry_after;  /* Retry-After of the last response, in
                                           seconds; 0 if there was none */
    unsigned              posts;        /* number of POSTs of the client */

    /*
     * The certificates of the outer connection, from its last full handshake.
     * They are verified against the endpoint's name with the same trusted CAs
     * as the inner certificate; the result is for information only.  There are
     * none without TLS, or if libcurl's TLS library does not support it.
     */

    const atls_certificate_t  *chain;   /* as received: the server certificate
                                           is the first */
    size_t                nchain;
    long                  verify_result;    /* X509_V_OK or X509_V_ERR_...; -1
                                               if there is no certificate */
    const char           *verify_text;      /* description of verify_result */
} atls_outer_info_t;

/* The outer connection of the last POST. */

ATLS_API atls_error_e atls_get_outer(atls_client_t *client,
    atls_outer_info_t *info);

typedef struct {

    /*
     * Microseconds since the call: when a name was resolved, when the outer
     * connection was established, and when the inner session was open.  0 if
     * that did not happen in the call.
     */

    int64_t               name_lookup;
    int64_t               connect;
    int64_t               handshake;

    unsigned              connections;  /* new outer connections */
    int                   connect_status;   /* of the proxy's last response to
                                               CONNECT; 0 if there was none */

    /* addresses of the outer connection; "" and 0 if unknown */

    char                  local_ip[46];
    char                  remote_ip[46];
    int                   local_port;
    int                   remote_port;

    size_t                header_size;  /* of the request header, in bytes */
} atls_transfer_info_t;

/* The last call of atls_perform() or atls_connect(). */

ATLS_API atls_error_e atls_get_transfer(atls_client_t *client,
    atls_transfer_info_t *info);

/*
 * Exports keying material (RFC 5705; RFC 8446, section 7.5) of the open
 * session: size bytes to out.  context may be NULL for no context.  With the
 * label "EXPORTER-Channel-Binding", an empty context and 32 bytes, this is the
 * channel binding of RFC 9266.  Returns ATLS_ERROR_USAGE if no session is open.
 */

ATLS_API atls_error_e atls_exporter(atls_client_t *client, const char *label,
    const void *context, size_t context_size, void *out, size_t size);


#ifdef __cplusplus
}
#endif


#endif /* ATLS_H_INCLUDED */

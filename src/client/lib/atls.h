
/*
 * libatls: a client of Application-Layer TLS, that is, TLS inside HTTP.
 *
 * A client uses HTTP/1.1 with one target inside a TLS session (the inner one),
 * whose records are carried in the bodies of POSTs to an endpoint (the outer
 * connection, by libcurl).  A middlebox that terminates the outer TLS sees the
 * POSTs but not their contents.
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
 * Trust.  The inner certificate is always verified against the target's name,
 * unless a pre-shared key is used; this cannot be disabled.  The outer
 * certificate is not trusted: it is recorded, see atls_get_outer().
 *
 * Memory.  Strings and bytes passed to a function are copied, or used during
 * the call only.  Data returned by a function belong to the client, and are
 * valid until the next call with the same client.  No function keeps a pointer
 * to a request.
 *
 * Threads.  There is no global state.  A client may be used by one thread at a
 * time, different clients by different threads.  A program with several threads
 * should call curl_global_init(CURL_GLOBAL_DEFAULT) before starting them, as
 * this is not thread-safe in libcurl before 7.84.  It should also ignore
 * SIGPIPE: the library sets no signal handlers.
 *
 * Environment.  http_proxy, https_proxy, all_proxy and no_proxy apply to the
 * outer connection, as in curl; SSL_CERT_FILE and SSL_CERT_DIR to the system's
 * trust store, as in OpenSSL.
 *
 * Error texts, debug messages and names of certificates may quote a server.
 * They are UTF-8, with "?" instead of characters unsafe for a terminal.
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


/* Errors.  The numbers of these will not change. */

typedef enum {
    ATLS_OK = 0,

    /* of the caller's side */

    ATLS_ERROR_USAGE = 1,           /* wrong argument, option or file */
    ATLS_ERROR_MEMORY = 2,
    ATLS_ERROR_ABORTED = 3,         /* a callback said so */
    ATLS_ERROR_READ = 4,            /* the request's body can't be read, or is
                                       shorter than said */

    /* of the outer connection */

    ATLS_ERROR_RESOLVE = 10,        /* the endpoint's name */
    ATLS_ERROR_CONNECT = 11,
    ATLS_ERROR_PROXY = 12,          /* any trouble with the proxy */
    ATLS_ERROR_OUTER_TLS = 13,
    ATLS_ERROR_TIMEOUT = 14,
    ATLS_ERROR_NETWORK = 15,        /* the connection failed later on */

    /* the outer answer is not one of ATLS */

    ATLS_ERROR_OUTER_STATUS = 20,   /* not 200, see atls_outer_info_t */
    ATLS_ERROR_REDIRECT = 21,       /* never followed */
    ATLS_ERROR_MEDIA_TYPE = 22,

    /* of the inner session */

    ATLS_ERROR_TLS = 30,            /* with the alert's name, if it is one */
    ATLS_ERROR_CERTIFICATE = 31,    /* of the server, not trusted or not the
                                       target's */
    ATLS_ERROR_HTTP = 32,           /* the answer is no proper HTTP */
    ATLS_ERROR_TRUNCATED = 33,      /* the answer ended early */
    ATLS_ERROR_SESSION_LOST = 34    /* the server let go of the session: the
                                       request may or may not have been
                                       processed */
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

/* The version of the linked library; ATLS_VERSION is that of this header. */

ATLS_API const char *atls_version(void);


/*
 * Options must be set before the first request or connection of a client,
 * otherwise ATLS_ERROR_USAGE is returned.  Most values are checked when they
 * are used.
 */

typedef enum {
    ATLS_ENDPOINT,          /* URL to send POSTs to, http or https; default:
                               <target>/.well-known/atls */

    /* inner TLS.  Files are PEM */

    ATLS_CA_FILE,           /* trusted instead of what the system trusts */
    ATLS_CA_DIR,            /* likewise, as made by openssl rehash */
    ATLS_CERT_FILE,         /* client certificate and its chain */
    ATLS_KEY_FILE,          /* default: in ATLS_CERT_FILE */
    ATLS_KEY_PASSPHRASE,    /* never asked for */
    ATLS_PSK_IDENTITY,      /* pre-shared key of TLS 1.3 or 1.2: a name of 128
                               bytes at most */
    ATLS_PSK_KEY,           /* and 1 to 256 bytes in hex */
    ATLS_MIN_PROTOCOL,      /* "TLSv1.2" or "TLSv1.3"; default: TLSv1.2 */
    ATLS_MAX_PROTOCOL,      /* default: TLSv1.3 */
    ATLS_CIPHERS,           /* of TLS 1.2, OpenSSL's syntax */
    ATLS_CIPHERSUITES,      /* of TLS 1.3, likewise */
    ATLS_GROUPS,            /* for the key exchange, likewise */
    ATLS_ALPN,              /* comma-separated; default: "http/1.1"; "" for
                               none */

    /* outer connection */

    ATLS_PROXY,             /* as CURLOPT_PROXY: URL with any of libcurl's
                               schemes; default: the environment's; "" for
                               none */
    ATLS_PROXY_USER,        /* "user:password" */
    ATLS_PROXY_CA_FILE,     /* for a proxy spoken to over TLS, which is
                               verified; default: libcurl's */
    ATLS_OUTER_HTTP,        /* "1.0", "1.1", "2" (with TLS only), "2-direct"
                               (without, too) or "3"; default: libcurl's */
    ATLS_USER_AGENT         /* default: "libatls/<version>" */
} atls_string_e;

typedef enum {
    ATLS_CONNECT_TIMEOUT,   /* milliseconds, for each outer connection; 0 for
                               none; default 30000 */
    ATLS_TIMEOUT,           /* milliseconds, for a request, its handshake and
                               its repetition together; 0, default, for none.
                               Giving up within a request's body may take a
                               second more, to tell the server */
    ATLS_IDLE_TIMEOUT,      /* milliseconds, rounded up to seconds, in which
                               the outer connection moves not one byte; 0 for
                               none; default 300000 */
    ATLS_POST_SIZE,         /* bytes of a POST's body, roughly; 1024 or more;
                               default 1048576.  A larger request is sent in
                               several POSTs */
    ATLS_HEADER_SIZE,       /* bytes, the largest header of an answer; default
                               65536 */
    ATLS_EARLY_DATA         /* 1: GET, HEAD and OPTIONS without a body go out
                               with the first flight if the session is one
                               resumed and the server allows it.  Anybody who
                               sees the POST can send it again, once or more;
                               default 0 */
} atls_number_e;

/* NULL sets the default. */

ATLS_API atls_error_e atls_set_string(atls_client_t *client,
    atls_string_e option, const char *value);

ATLS_API atls_error_e atls_set_number(atls_client_t *client,
    atls_number_e option, int64_t value);

/* Adds "Name: value" to each POST. */

ATLS_API atls_error_e atls_add_outer_header(atls_client_t *client,
    const char *header);


/*
 * Debug messages, one line each, without a line end, intended for people: their
 * text is not an interface.  Values of headers with credentials or cookies, and
 * bodies, are omitted.
 */

typedef enum {
    ATLS_DEBUG_OUTER,               /* the connection, certificates, POSTs */
    ATLS_DEBUG_OUTER_SENT,          /* a line of a header */
    ATLS_DEBUG_OUTER_RECEIVED,
    ATLS_DEBUG_INNER,               /* TLS, certificates, sessions */
    ATLS_DEBUG_INNER_SENT,
    ATLS_DEBUG_INNER_RECEIVED
} atls_debug_e;

typedef void (*atls_debug_pt)(void *data, atls_debug_e what, const char *line);

ATLS_API atls_error_e atls_set_debug(atls_client_t *client,
    atls_debug_pt debug, void *data);


/*
 * Where sessions are kept for resumption; without a store there is none.
 *
 * put() keeps a session: bytes that are a secret.  Several may be kept of a
 * key, at least two should.  take() hands out the newest one and forgets it,
 * so that nobody gets it twice: at most size bytes into buf; it returns the
 * length, 0 if there is none.  Both may be called by several threads if the
 * store is used by several clients.
 *
 * Keys are printable ASCII of less than 128 bytes.  They depend on target,
 * endpoint, and the options of trust and identity: on what is in files, not on
 * their names.
 *
 * A session is resumed for 24 hours after its full handshake, however often,
 * and only if the certificate of that handshake, which is in the bytes, still
 * verifies.  Who can write to the store has sessions accepted whose secrets
 * are known to him: it must be the user's alone.
 */

typedef struct {
    void     (*put)(void *data, const char *key, const void *session,
                    size_t size);
    size_t   (*take)(void *data, const char *key, void *buf, size_t size);
    void      *data;
} atls_store_t;

#define ATLS_SESSION_SIZE   16384   /* longer ones are not stored */

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
    ATLS_BODY_MEMORY,       /* bytes, length */
    ATLS_BODY_FILE,         /* file, from its position to its end */
    ATLS_BODY_FD,           /* fd, likewise */
    ATLS_BODY_READ          /* read, rewind, length */
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
    const char            *method;      /* NULL: GET, or POST with a body;
                                           anything but CONNECT */
    const char            *path;        /* with query; "*" for OPTIONS */
    const atls_header_t   *headers;     /* besides Host, which is the target
                                           unless it is here; not
                                           Content-Length or
                                           Transfer-Encoding */
    size_t                 nheaders;

    atls_body_e            body;
    const void            *bytes;
    FILE                  *file;
    int                    fd;
    atls_read_pt           read;
    atls_rewind_pt         rewind;      /* may be NULL */
    int64_t                length;      /* bytes; of read it may be
                                           ATLS_LENGTH_UNKNOWN: then, and with
                                           files that are not regular ones, the
                                           body is sent chunked */

    int                  (*on_status)(void *data, int status,
                                      const char *reason);
    int                  (*on_header)(void *data, const char *name,
                                      const char *value);
    int                  (*on_body)(void *data, const void *bytes,
                                    size_t size);
    int                  (*on_wait)(void *data);    /* about once a second, or
                                           more often, during transfers */

    void                  *data;        /* for all callbacks */
} atls_request_t;

/*
 * Sends a request and receives the response, with any status: 404 is ATLS_OK.
 * An open session is used, or a new one is opened.
 *
 * If the session is lost, a new one is opened.  The request is repeated once if
 * nothing of it was sent yet, or if it is idempotent (GET, HEAD, OPTIONS, PUT,
 * DELETE), its body can be read again (memory, a regular file, rewind()), and
 * no callback for the response was called; otherwise, ATLS_ERROR_SESSION_LOST
 * is returned.  After an error, the client can be used again.
 */

ATLS_API atls_error_e atls_perform(atls_client_t *client,
    const atls_request_t *request);

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
    ATLS_EARLY_DATA_REJECTED            /* and sent again as usual */
} atls_early_data_e;

typedef struct {
    int                   open;         /* requests can be sent in it */
    const char           *protocol;     /* "TLSv1.3" */
    const char           *cipher;       /* OpenSSL's name */
    const char           *alpn;         /* "" if the server chose none */
    int                   resumed;
    int                   psk;          /* known by the pre-shared key, not by
                                           a certificate */
    atls_early_data_e     early_data;
    long                  verify_result;    /* X509_V_..., 0 is good; -1 if
                                               there was nothing to verify */
    const char           *verify_text;
    const atls_certificate_t  *certificate; /* the server's; NULL if none */
} atls_session_info_t;

/*
 * The open inner session, or the last one, or what is known of a failed
 * handshake.  ATLS_ERROR_USAGE if there was no session.
 */

ATLS_API atls_error_e atls_get_session(atls_client_t *client,
    atls_session_info_t *info);

typedef struct {
    int                   status;       /* of the last POST; 0 if none came */
    int                   curl_error;   /* libcurl's CURLcode of it, which may
                                           say more than an atls_error_e */
    const char           *http;         /* "1.0", "1.1", "2", "3" or "" */
    long                  retry_after;  /* seconds, as the last answer had it;
                                           0 if it had none */
    unsigned              posts;        /* since the client was made */

    /*
     * The certificate of the outer TLS, and whether it is, for
     * the endpoint's name, trusted by ATLS_CA_FILE and ATLS_CA_DIR, or by the
     * system.  It makes no difference to the client.  Of the last full
     * handshake; no certificates: no TLS, or a libcurl that does not tell.
     */

    const atls_certificate_t  *chain;   /* as sent, the first is its own */
    size_t                nchain;
    long                  verify_result;    /* X509_V_..., 0 is good; -1 if
                                               there was nothing to verify */
    const char           *verify_text;
} atls_outer_info_t;

ATLS_API atls_error_e atls_get_outer(atls_client_t *client,
    atls_outer_info_t *info);

/*
 * Exports keying material (RFC 5705; RFC 8446, section 7.5) of the open
 * session: size bytes to out. context may be NULL for no context.  With the
 * label "EXPORTER-Channel-Binding", an empty context and 32 bytes, this is the
 * channel binding of RFC 9266.  ATLS_ERROR_USAGE if no session is open.
 */

ATLS_API atls_error_e atls_exporter(atls_client_t *client, const char *label,
    const void *context, size_t context_size, void *out, size_t size);


#ifdef __cplusplus
}
#endif


#endif /* ATLS_H_INCLUDED */

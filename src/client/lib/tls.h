
/*
 * The inner TLS: OpenSSL's, between two buffers.
 */


#ifndef ATLS_CLIENT_TLS_H_INCLUDED
#define ATLS_CLIENT_TLS_H_INCLUDED


#include <openssl/ssl.h>

#include "buf.h"
#include "debug.h"
#include "error.h"
#include "peer.h"
#include "resume.h"


/* Plaintext that came.  Another result than ATLS_OK ends the reading. */

typedef atls_error_e (*atls_plain_pt)(void *data, const unsigned char *bytes,
    size_t n);

/* A session came that can be resumed. */

typedef void (*atls_ticket_pt)(void *data, const atls_resume_t *resume);


typedef struct {
    atls_peer_t          peer;
    const char          *cert_file;         /* NULL is the default, as in */
    const char          *key_file;          /* atls.h */
    const char          *passphrase;
    const char          *psk_identity;
    const char          *psk_key;
    const char          *min_protocol;
    const char          *max_protocol;
    const char          *ciphers;
    const char          *ciphersuites;
    const char          *groups;
    const char          *alpn;
} atls_tls_conf_t;


typedef struct {
    SSL_CTX             *ctx;
    SSL                 *ssl;               /* NULL: no session yet */
    BIO                 *in;                /* the SSL's */
    BIO                 *out;

    atls_failure_t      *failure;
    const atls_debug_t  *debug;
    atls_peer_t          peer;
    const char          *passphrase;
    const char          *psk_identity;
    unsigned char       *psk;
    size_t               psk_size;

    atls_plain_pt        plain;
    atls_ticket_pt       ticket;
    void                *data;              /* of these two */

    atls_resume_t        offered;           /* for resumption */
    X509                *certificate;       /* the server's, accepted or not */
    STACK_OF(X509)      *chain;             /* that it came with */
    time_t               began;             /* the full handshake */
    unsigned             finished:1;        /* the handshake */
    unsigned             closed:1;          /* close_notify received */
    unsigned             alert:1;           /* a fatal alert received */
    unsigned             resumed:1;
    unsigned             psk_used:1;
    unsigned             early:1;           /* early data were sent */
    unsigned             tickets;           /* received in this session */
    unsigned             records;           /* sent with this key */
    size_t               flight;            /* of what is to be sent, the end
                                               of the handshake */
    unsigned char        buf[SSL3_RT_MAX_PLAIN_LENGTH];
} atls_tls_t;


/*
 * Makes the context.  The structure is zero; strings of the configuration have
 * to stay.  trust is shared.
 */

atls_error_e atls_tls_init(atls_tls_t *tls, const atls_tls_conf_t *conf,
    X509_STORE *trust, const atls_debug_t *debug, atls_failure_t *failure);

void atls_tls_done(atls_tls_t *tls);

/*
 * Whether a session that was stored would be accepted if it were to begin now:
 * X509_V_OK, or what is wrong.
 */

long atls_tls_judge(const atls_tls_t *tls, const atls_resume_t *resume);

/* Begins a new session.  offered is emptied, or has none. */

atls_error_e atls_tls_open(atls_tls_t *tls, atls_resume_t *offered);

/* The largest early data that can be sent in place of a handshake's start. */

size_t atls_tls_early_max(const atls_tls_t *tls);
atls_error_e atls_tls_early(atls_tls_t *tls, const unsigned char *bytes,
    size_t n);
int atls_tls_early_accepted(const atls_tls_t *tls);

/* Continues the handshake. */

atls_error_e atls_tls_handshake(atls_tls_t *tls);

/*
 * Processes records: of the handshake, then of application data, whose
 * plaintext is passed to plain().
 */

atls_error_e atls_tls_receive(atls_tls_t *tls, const unsigned char *bytes,
    size_t n);

/* Encrypts plaintext. */

atls_error_e atls_tls_write(atls_tls_t *tls, const unsigned char *bytes,
    size_t n);

/* Writes a close_notify, if necessary. */

void atls_tls_shutdown(atls_tls_t *tls);

/* The server's certificate, accepted or not, or NULL; not to be freed. */

X509 *atls_tls_certificate(const atls_tls_t *tls);

/* Moves the records that are to be sent to a buffer. */

atls_error_e atls_tls_drain(atls_tls_t *tls, atls_buf_t *out);

/* Whether there are any. */

int atls_tls_pending(const atls_tls_t *tls);


#endif /* ATLS_CLIENT_TLS_H_INCLUDED */

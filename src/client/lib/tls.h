
/*
 * The inner TLS session: OpenSSL with memory BIOs.
 */


#ifndef ATLS_CLIENT_TLS_H_INCLUDED
#define ATLS_CLIENT_TLS_H_INCLUDED


#include <openssl/ssl.h>

#include "buf.h"
#include "datagrams.h"
#include "debug.h"
#include "error.h"
#include "peer.h"
#include "pin.h"
#include "resume.h"


/* Receives plaintext.  If it does not return ATLS_OK, processing stops. */

typedef atls_error_e (*atls_plain_pt)(void *data, const unsigned char *bytes,
    size_t n);

/* Receives a session that can be resumed. */

typedef void (*atls_ticket_pt)(void *data, const atls_resume_t *resume);


typedef struct {
    atls_peer_t          peer;
    const char          *cert_file;         /* strings are as in atls.h, */
    const char          *key_file;          /* NULL is the default */
    const char          *passphrase;
    const char          *psk_identity;
    const char          *psk_key;
    const char          *min_protocol;
    const char          *max_protocol;
    const char          *ciphers;
    const char          *ciphersuites;
    const char          *groups;
    const char          *alpn;
    const char          *pinned_key;
    int                  datagram;          /* DTLS 1.2 */
} atls_tls_conf_t;


typedef struct {
    SSL_CTX             *ctx;
    SSL                 *ssl;               /* NULL: no session yet */
    BIO                 *in;                /* owned by ssl */
    BIO                 *out;

    atls_failure_t      *failure;
    const atls_debug_t  *debug;
    atls_peer_t          peer;
    const char          *passphrase;
    const char          *psk_identity;
    unsigned char       *psk;
    size_t               psk_size;
    atls_pins_t          pins;

    atls_plain_pt        plain;
    atls_ticket_pt       ticket;
    void                *data;              /* passed to plain() and ticket() */

    atls_resume_t        offered;           /* session to resume */
    X509                *certificate;       /* of the server, valid or not */
    STACK_OF(X509)      *chain;             /* received with the certificate */
    time_t               began;             /* time of the full handshake */
    int64_t              opened;            /* when it was finished, by
                                               atls_clock_us(); set to 0 by the
                                               caller */
    unsigned             unpinned:1;        /* the key is not a pinned one */
    unsigned             finished:1;        /* the handshake is complete */
    unsigned             closed:1;          /* close_notify received */
    unsigned             alert:1;           /* a fatal alert received */
    unsigned             resumed:1;
    unsigned             psk_used:1;
    unsigned             early:1;           /* early data were sent */
    unsigned             datagram:1;        /* DTLS */
    unsigned             tickets;           /* received in this session */
    unsigned             records;           /* sent with the current key */
    size_t               flight;            /* handshake bytes not sent yet */
    unsigned char        buf[SSL3_RT_MAX_PLAIN_LENGTH];

    /* DTLS */

    uint64_t             number;            /* of the record being read */
    uint64_t             next;              /* of the next one with data */
    atls_datagrams_t     datagrams;         /* of a response */
} atls_tls_t;


/*
 * Creates the SSL_CTX.  The structure must be zeroed; strings of the
 * configuration must stay valid.  A reference to trust is taken.
 */

atls_error_e atls_tls_init(atls_tls_t *tls, const atls_tls_conf_t *conf,
    X509_STORE *trust, const atls_debug_t *debug, atls_failure_t *failure);

void atls_tls_done(atls_tls_t *tls);

/*
 * Verifies the certificate of a stored session at the current time, with the
 * current options.  Returns X509_V_OK or an X509_V_ERR_... code.
 */

long atls_tls_verify_stored(const atls_tls_t *tls, const atls_resume_t *resume);

/*
 * Starts a new session.  If offered has a session, it is used for resumption;
 * it is moved, and the structure is zeroed.
 */

atls_error_e atls_tls_open(atls_tls_t *tls, atls_resume_t *offered);

/* The maximum size of early data of the offered session; 0: not allowed. */

size_t atls_tls_early_max(const atls_tls_t *tls);
atls_error_e atls_tls_early(atls_tls_t *tls, const unsigned char *bytes,
    size_t n);
int atls_tls_early_accepted(const atls_tls_t *tls);

/* Continues the handshake. */

atls_error_e atls_tls_handshake(atls_tls_t *tls);

/*
 * Processes records: of the handshake, then of application data, whose
 * plaintext is passed to plain().  With DTLS, records of data that are missing
 * or reordered are an error: the POSTs of this library are sent one by one.
 */

atls_error_e atls_tls_receive(atls_tls_t *tls, const unsigned char *bytes,
    size_t n);

/* Whether the version is 1.2, of TLS or DTLS. */

int atls_tls_is_12(const SSL *ssl);

/* Encrypts plaintext. */

atls_error_e atls_tls_write(atls_tls_t *tls, const unsigned char *bytes,
    size_t n);

/*
 * Writes a record without data, a KeyUpdate: OpenSSL does not write empty
 * records.  The server can be asked for one, too.  TLS 1.2 has none: nothing is
 * written.
 */

atls_error_e atls_tls_poll(atls_tls_t *tls, int ask);

/* Writes a close_notify, if necessary. */

void atls_tls_shutdown(atls_tls_t *tls);

/* The server certificate, valid or not, or NULL; not to be freed. */

X509 *atls_tls_certificate(const atls_tls_t *tls);

/* Moves records to be sent to a buffer. */

atls_error_e atls_tls_drain(atls_tls_t *tls, atls_buf_t *out);

/* Whether there are records to be sent. */

int atls_tls_pending(const atls_tls_t *tls);


#endif /* ATLS_CLIENT_TLS_H_INCLUDED */

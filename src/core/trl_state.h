
/*
 * The portable state of an established TLS or DTLS session, extracted from an
 * SSL object after its handshake.  It has a fixed size and no pointers: it is
 * stored in shared memory, and any process can continue the session.
 *
 * Plain C and OpenSSL's public API, no nginx types.
 */


#ifndef _TRL_STATE_H_INCLUDED_
#define _TRL_STATE_H_INCLUDED_


#include <openssl/ssl.h>

#include "trl_record.h"
#include "trl_window.h"


/* The version of the structures below, to be incremented with any change. */

#define TRL_STATE_VERSION           6

#define TRL_MAX_SECRET              48      /* SHA-384 */
#define TRL_MASTER_SECRET           48
#define TRL_RANDOM                  32

#define TRL_NO_ALERT                255


typedef struct {
    uint16_t            version;            /* TRL_STATE_VERSION */
    uint16_t            protocol;           /* TRL_TLSv1_*, TRL_DTLSv1_2 */
    uint16_t            suite;              /* IANA number */
    uint16_t            group;              /* TLS group number, or 0 */
    uint16_t            max_fragment;       /* largest plaintext either way,
                                               RFC 6066, section 4 */
    uint8_t             aead;               /* trl_aead_e */
    uint8_t             sha384;             /* 1: SHA-384, 0: SHA-256 */
    uint8_t             extended_master;    /* RFC 7627; always 1 in TLS 1.3 */

    /* progress of an established session */

    uint8_t             message_len;        /* bytes of an unfinished message
                                               header */
    uint8_t             answer_owed;        /* a message is pending */
    uint8_t             read_closed;        /* close_notify received */
    uint8_t             write_closed;       /* close_notify or alert sent */

    trl_key_t          read;
    trl_key_t          write;

    union {
        struct {
            uint8_t     read_secret[TRL_MAX_SECRET];
            uint8_t     write_secret[TRL_MAX_SECRET];
            uint8_t     exporter_secret[TRL_MAX_SECRET];
        } tls13;

        struct {
            uint8_t     master_secret[TRL_MASTER_SECRET];
            uint8_t     client_random[TRL_RANDOM];
            uint8_t     server_random[TRL_RANDOM];
            uint32_t    message_rest;       /* after the header */
            uint32_t    next_flight;        /* DTLS: the number of the next
                                               record of the handshake */
            trl_window_t  window;           /* DTLS: records opened */
            uint32_t    users;              /* DTLS: copies in use */
        } tls12;
    } u;
} trl_state_t;


/*
 * Data collected by callbacks during a handshake.  It is owned by the caller,
 * must exist as long as the SSL, and must be wiped (OPENSSL_cleanse) after
 * freezing.
 */

typedef struct {
    uint8_t             client_secret[TRL_MAX_SECRET];
    uint8_t             server_secret[TRL_MAX_SECRET];
    uint8_t             exporter_secret[TRL_MAX_SECRET];
    uint8_t             client_len;
    uint8_t             server_len;
    uint8_t             exporter_len;
    uint8_t             rekeyed;            /* a KeyUpdate was seen */
    uint8_t             past_hello;         /* more than a ServerHello, or a
                                               HelloRetryRequest, was sent */
    uint8_t             changed;            /* DTLS: ChangeCipherSpec was
                                               received in its place */
    uint8_t             alert_in;           /* the last alert received, and */
    uint8_t             alert_out;          /* sent; TRL_NO_ALERT: none */
    unsigned            finished;           /* Finished messages sent */
    unsigned            messages;           /* received; in DTLS, the number of
                                               the next one */
    uint64_t            sent;               /* records under the last keys */
    uint64_t            received;           /* records under the last keys */
    uint64_t            taken;              /* of received, by the handshake */
    uint64_t            next;               /* DTLS: number of the next record
                                               sent, with its epoch */
} trl_watch_t;


/*
 * Prepares a context: sets its key log and message callbacks, and disables
 * read_ahead, as data after the handshake must stay in the BIO.  Contexts for
 * SSL_set_SSL_CTX() must also be prepared: OpenSSL uses the key log callback of
 * the current context.  The callback is only set while needed, so SSLs of a
 * context must belong to one thread.  Returns 0 or -1.
 */

int trl_watch_ctx(SSL_CTX *ctx);

/* Starts collecting data of a new SSL of such a context.  Returns 0 or -1. */

int trl_watch(SSL *ssl, trl_watch_t *watch);

/* 1 if record protection with the cipher is supported, otherwise 0. */

int trl_cipher_supported(const SSL_CIPHER *cipher);

/* The name of a protocol, such as "TLSv1.3". */

const char *trl_protocol_name(unsigned protocol);

/*
 * The OpenSSL name of a suite, such as "TLS_AES_128_GCM_SHA256"; NULL for an
 * unknown one.  The memory for this is freed by the second function.
 */

const char *trl_suite_name(unsigned suite);
void trl_suite_cleanup(void);

/*
 * The OpenSSL name of a TLS group ("prime256v1", "X25519"), or the TLS name if
 * there is none ("X25519MLKEM768"); NULL for an unknown group.
 */

const char *trl_group_name(unsigned group);

/* The maximum plaintext size of a record, RFC 6066, section 4. */

size_t trl_max_fragment(const SSL_SESSION *session);

/*
 * Sets only the negotiated protocol, suite and group, for use before the
 * handshake is finished.
 */

void trl_state_describe(SSL *ssl, trl_state_t *state);

/*
 * The name of a negotiated suite or group that is not supported in a state;
 * NULL if there is none.  It must be checked before the server's first flight
 * is sent, so that the handshake fails.
 */

const char *trl_unsupported(SSL *ssl);

/*
 * Extracts the state from a client or server SSL whose handshake is finished,
 * and from which no data have been read since.  Afterwards, the SSL can only be
 * freed; it is marked as shut down, so that its session stays in the cache.
 * Its output stays in its BIO.  Returns 0, or -1 with *reason set to a static
 * string.
 */

int trl_freeze(SSL *ssl, trl_watch_t *watch, trl_state_t *state,
    const char **reason);

/*
 * The limit on records under one key: that of the AEAD and, in DTLS, of the
 * numbers of an epoch.
 */

uint64_t trl_state_limit(const trl_state_t *state);

/*
 * TLS 1.3 KeyUpdate, RFC 8446, section 7.2: derives the next secret, key and iv
 * of one direction and resets seq.  Returns 0 or -1.
 */

int trl_state_update_read(trl_state_t *state);
int trl_state_update_write(trl_state_t *state);


#endif /* _TRL_STATE_H_INCLUDED_ */

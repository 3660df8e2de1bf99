
/*
 * The inner TLS session, see tls.h.
 */


#include <string.h>

#include <openssl/err.h>

#include "cert.h"
#include "clock.h"
#include "tls.h"
#include "tls_ctx.h"
#include "tls_error.h"
#include "tls_verify.h"


#define ATLS_TLS_MAX_TICKETS    64          /* per session */

/* bytes that OpenSSL may write during one POST: KeyUpdates, alerts */

#define ATLS_TLS_MAX_ANSWERS    16384

/* records per key: half of the limit of AES-GCM in RFC 8446, section 5.5 */

#define ATLS_TLS_MAX_RECORDS    (1 << 23)

/* DTLS: records fit into a datagram; the epoch of data; an hour, in us */

#define ATLS_TLS_MTU            1232
#define ATLS_TLS_EPOCH          ((uint64_t) 1 << 48)
#define ATLS_TLS_TIMER          3600000000U


static int atls_tls_new_session(SSL *ssl, SSL_SESSION *session);
static atls_error_e atls_tls_established(atls_tls_t *tls);
static unsigned int atls_tls_timer(SSL *ssl, unsigned int timer);
static atls_error_e atls_tls_datagram(void *data, const unsigned char *record,
    size_t n);
static atls_error_e atls_tls_input(atls_tls_t *tls, const unsigned char *bytes,
    size_t n);
static atls_error_e atls_tls_read(atls_tls_t *tls);


atls_error_e
atls_tls_init(atls_tls_t *tls, const atls_tls_conf_t *conf, X509_STORE *trust,
    const atls_debug_t *debug, atls_failure_t *failure)
{
    tls->failure = failure;
    tls->debug = debug;
    tls->peer = conf->peer;
    tls->passphrase = conf->passphrase;
    tls->datagram = conf->datagram != 0;

    ERR_clear_error();

    tls->ctx = atls_ctx_create(tls, conf, trust);

    if (tls->ctx == NULL
        || (conf->pinned_key
            && atls_pins_parse(&tls->pins, conf->pinned_key, failure) == -1))
    {
        return failure->error;
    }

    if (tls->pins.n && tls->psk) {
        return atls_fail(failure, ATLS_ERROR_USAGE,
                         "a pinned key and a pre-shared key are mutually "
                         "exclusive");
    }

    SSL_CTX_set_cert_verify_callback(tls->ctx, atls_tls_verify, tls);
    SSL_CTX_sess_set_new_cb(tls->ctx, atls_tls_new_session);

    return ATLS_OK;
}


static int
atls_tls_new_session(SSL *ssl, SSL_SESSION *session)
{
    atls_tls_t  *tls = SSL_get_app_data(ssl);

    atls_resume_t  resume;

    if (++tls->tickets > ATLS_TLS_MAX_TICKETS) {
        return 0;
    }

    if (tls->ticket && SSL_SESSION_is_resumable(session)) {
        resume.session = session;
        resume.chain = tls->chain;
        resume.began = tls->began;

        tls->ticket(tls->data, &resume);
    }

    return 0;
}


void
atls_tls_done(atls_tls_t *tls)
{
    SSL_free(tls->ssl);
    SSL_CTX_free(tls->ctx);
    atls_resume_free(&tls->offered);
    X509_free(tls->certificate);
    sk_X509_pop_free(tls->chain, X509_free);
    OPENSSL_clear_free(tls->psk, tls->psk_size);
    atls_pins_free(&tls->pins);
    OPENSSL_cleanse(tls->buf, sizeof(tls->buf));
}


atls_error_e
atls_tls_open(atls_tls_t *tls, atls_resume_t *offered)
{
    SSL  *ssl;

    ERR_clear_error();

    SSL_free(tls->ssl);
    atls_resume_free(&tls->offered);
    X509_free(tls->certificate);
    sk_X509_pop_free(tls->chain, X509_free);

    tls->offered = *offered;
    memset(offered, 0, sizeof(atls_resume_t));

    tls->certificate = NULL;
    tls->chain = NULL;
    tls->began = time(NULL);
    tls->in = NULL;
    tls->out = NULL;
    tls->unpinned = 0;
    tls->finished = 0;
    tls->closed = 0;
    tls->alert = 0;
    tls->resumed = 0;
    tls->psk_used = 0;
    tls->early = 0;
    tls->tickets = 0;
    tls->records = 0;
    tls->flight = 0;
    tls->next = ATLS_TLS_EPOCH + 1;         /* after Finished */

    ssl = tls->ssl = SSL_new(tls->ctx);
    if (ssl == NULL) {
        return atls_fail_memory(tls->failure);
    }

    tls->in = BIO_new(BIO_s_mem());
    tls->out = BIO_new(BIO_s_mem());

    if (tls->in == NULL || tls->out == NULL) {
        BIO_free(tls->in);
        BIO_free(tls->out);
        SSL_free(ssl);
        tls->ssl = NULL;
        return atls_fail_memory(tls->failure);
    }

    SSL_set_bio(ssl, tls->in, tls->out);
    SSL_set_app_data(ssl, tls);
    SSL_set_connect_state(ssl);

    if (tls->datagram) {
        SSL_set_mtu(ssl, ATLS_TLS_MTU);
        DTLS_set_timer_cb(ssl, atls_tls_timer);
    }

    if (atls_peer_set_param(&tls->peer, SSL_get0_param(ssl)) == -1
        || (!tls->peer.ip && SSL_set_tlsext_host_name(ssl, tls->peer.host) != 1)
        || (tls->offered.session
            && SSL_set_session(ssl, tls->offered.session) != 1))
    {
        return atls_fail_openssl(tls->failure, ATLS_ERROR_TLS,
                                 "cannot prepare the handshake");
    }

    return ATLS_OK;
}


size_t
atls_tls_early_max(const atls_tls_t *tls)
{
    SSL_SESSION  *session = tls->offered.session;

    return session
           && SSL_SESSION_get_protocol_version(session) == TLS1_3_VERSION
           ? SSL_SESSION_get_max_early_data(session) : 0;
}


atls_error_e
atls_tls_early(atls_tls_t *tls, const unsigned char *bytes, size_t n)
{
    size_t  written;

    ERR_clear_error();

    if (SSL_write_early_data(tls->ssl, bytes, n, &written) != 1) {
        return atls_tls_error(tls, "cannot send early data");
    }

    tls->early = 1;

    return ATLS_OK;
}


int
atls_tls_early_accepted(const atls_tls_t *tls)
{
    return tls->early && tls->finished
           && SSL_get_early_data_status(tls->ssl) == SSL_EARLY_DATA_ACCEPTED;
}


atls_error_e
atls_tls_handshake(atls_tls_t *tls)
{
    int  rc;

    if (tls->finished) {
        return ATLS_OK;
    }

    ERR_clear_error();

    rc = SSL_do_handshake(tls->ssl);

    if (rc == 1) {
        return atls_tls_established(tls);
    }

    switch (SSL_get_error(tls->ssl, rc)) {

    case SSL_ERROR_WANT_READ:
        return ATLS_OK;

    case SSL_ERROR_ZERO_RETURN:
        return atls_fail(tls->failure, ATLS_ERROR_TLS,
                         "the handshake failed: the server closed the session");
    }

    return atls_tls_error(tls, "the handshake failed");
}


static atls_error_e
atls_tls_established(atls_tls_t *tls)
{
    SSL   *ssl = tls->ssl;
    X509  *x509;

    x509 = SSL_get0_peer_certificate(ssl);

    /* options could make OpenSSL select a suite without these */

    if ((x509 == NULL && tls->psk == NULL)
        || SSL_CIPHER_get_cipher_nid(SSL_get_current_cipher(ssl)) == NID_undef)
    {
        return atls_fail(tls->failure, ATLS_ERROR_TLS,
                         "the handshake failed: no certificate or no "
                         "encryption");
    }

    /*
     * In TLS 1.3, OpenSSL reports external pre-shared keys as resumption, too.
     * In TLS 1.2, a new ticket is part of the handshake, and OpenSSL replaces
     * the SSL_SESSION: RFC 5077, section 3.3.
     */

    tls->finished = 1;
    tls->opened = atls_clock_us();
    tls->resumed = SSL_session_reused(ssl) && tls->offered.session
                   && (atls_tls_is_12(ssl)
                       || SSL_get_session(ssl) == tls->offered.session);
    tls->psk_used = x509 == NULL;
    tls->flight = BIO_ctrl_pending(tls->out);

    if (tls->resumed) {
        tls->began = tls->offered.began;
        tls->chain = tls->offered.chain;
        tls->offered.chain = NULL;
    }

    atls_debug(tls->debug, ATLS_DEBUG_INNER, "inner TLS: %s, %s%s%s%s",
               SSL_get_version(ssl), SSL_get_cipher_name(ssl),
               tls->resumed ? ", resumed" : "",
               tls->psk_used ? ", pre-shared key" : "",
               !tls->early ? ""
               : atls_tls_early_accepted(tls) ? ", early data accepted"
                                              : ", early data rejected");
    atls_tls_debug_certificate(tls);

    return ATLS_OK;
}


int
atls_tls_is_12(const SSL *ssl)
{
    return SSL_version(ssl) == TLS1_2_VERSION
           || SSL_version(ssl) == DTLS1_2_VERSION;
}


/*
 * OpenSSL must not send a flight again by itself when it is called later: the
 * caller does, if there is no response.
 */

static unsigned int
atls_tls_timer(SSL *ssl, unsigned int timer)
{
    (void) ssl;
    (void) timer;

    return ATLS_TLS_TIMER;
}


/* Data after a close_notify are ignored. */

atls_error_e
atls_tls_receive(atls_tls_t *tls, const unsigned char *bytes, size_t n)
{
    size_t        piece;
    atls_error_e  rc;

    if (tls->datagram) {
        return atls_datagrams_add(&tls->datagrams, bytes, n, atls_tls_datagram,
                                  tls, tls->failure);
    }

    for (rc = ATLS_OK; n && rc == ATLS_OK && !tls->closed; n -= piece) {

        piece = n < sizeof(tls->buf) ? n : sizeof(tls->buf);

        rc = atls_tls_input(tls, bytes, piece);
        bytes += piece;
    }

    return rc;
}


/* OpenSSL treats what it reads at once as a datagram. */

static atls_error_e
atls_tls_datagram(void *data, const unsigned char *record, size_t n)
{
    int          i;
    atls_tls_t  *tls = data;

    if (tls->closed) {
        return ATLS_OK;
    }

    tls->number = 0;

    for (i = 3; i < 11; i++) {
        tls->number = tls->number << 8 | record[i];
    }

    return atls_tls_input(tls, record, n);
}


static atls_error_e
atls_tls_input(atls_tls_t *tls, const unsigned char *bytes, size_t n)
{
    atls_error_e  rc;

    if (BIO_write(tls->in, bytes, (int) n) != (int) n) {
        return atls_fail_memory(tls->failure);
    }

    rc = atls_tls_handshake(tls);

    return rc == ATLS_OK && tls->finished ? atls_tls_read(tls) : rc;
}


static atls_error_e
atls_tls_read(atls_tls_t *tls)
{
    int           ret;
    size_t        n;
    atls_error_e  rc;

    for ( ;; ) {
        ERR_clear_error();

        ret = SSL_read_ex(tls->ssl, tls->buf, sizeof(tls->buf), &n);

        if (tls->tickets > ATLS_TLS_MAX_TICKETS) {
            return atls_fail(tls->failure, ATLS_ERROR_TLS,
                             "too many session tickets");
        }

        if (BIO_ctrl_pending(tls->out) > tls->flight + ATLS_TLS_MAX_ANSWERS) {
            return atls_fail(tls->failure, ATLS_ERROR_TLS,
                             "too many responses requested by the server");
        }

        if (ret != 1) {
            break;
        }

        if (tls->datagram && tls->number != tls->next++) {
            return atls_fail(tls->failure, ATLS_ERROR_TLS,
                             "records of the response are missing or "
                             "reordered");
        }

        rc = tls->plain(tls->data, tls->buf, n);
        if (rc != ATLS_OK) {
            return rc;
        }

        if (BIO_ctrl_pending(tls->in) == 0 && !SSL_has_pending(tls->ssl)) {
            return ATLS_OK;
        }
    }

    switch (SSL_get_error(tls->ssl, ret)) {

    case SSL_ERROR_WANT_READ:
        return ATLS_OK;

    case SSL_ERROR_ZERO_RETURN:
        atls_debug(tls->debug, ATLS_DEBUG_INNER,
                   "inner TLS: closed by the server");
        tls->closed = 1;
        return ATLS_OK;
    }

    return atls_tls_error(tls, "the session failed");
}


atls_error_e
atls_tls_write(atls_tls_t *tls, const unsigned char *bytes, size_t n)
{
    size_t  written;

    ERR_clear_error();

    if (++tls->records > ATLS_TLS_MAX_RECORDS
        && SSL_version(tls->ssl) == TLS1_3_VERSION)
    {
        tls->records = 0;
        (void) SSL_key_update(tls->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
    }

    if (n && SSL_write_ex(tls->ssl, bytes, n, &written) != 1) {
        return atls_tls_error(tls, "cannot encrypt the request");
    }

    return ATLS_OK;
}


atls_error_e
atls_tls_poll(atls_tls_t *tls, int ask)
{
    if (SSL_version(tls->ssl) != TLS1_3_VERSION) {
        return ATLS_OK;
    }

    ERR_clear_error();
    tls->records = 0;

    if (SSL_key_update(tls->ssl, ask ? SSL_KEY_UPDATE_REQUESTED
                                     : SSL_KEY_UPDATE_NOT_REQUESTED)
        != 1
        || SSL_do_handshake(tls->ssl) != 1)
    {
        return atls_tls_error(tls, "cannot change the key");
    }

    return ATLS_OK;
}


void
atls_tls_shutdown(atls_tls_t *tls)
{
    ERR_clear_error();

    if (tls->ssl && tls->finished) {
        (void) SSL_shutdown(tls->ssl);
    }

    ERR_clear_error();
}


atls_error_e
atls_tls_drain(atls_tls_t *tls, atls_buf_t *out)
{
    char    *data;
    size_t   n;

    n = (size_t) BIO_get_mem_data(tls->out, &data);

    if (atls_buf_add(out, data, n) == -1) {
        return atls_fail_memory(tls->failure);
    }

    (void) BIO_reset(tls->out);
    tls->flight = 0;

    /* a response begins with a record */

    tls->datagrams.have = 0;

    return ATLS_OK;
}


int
atls_tls_pending(const atls_tls_t *tls)
{
    return tls->ssl && BIO_ctrl_pending(tls->out) != 0;
}

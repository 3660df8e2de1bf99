
/*
 * A session for atls doctor, see probe_session.h.
 */


#include <stdlib.h>
#include <string.h>

#include "../../lib/clock.h"
#include "../../lib/fault.h"
#include "../base/verbose.h"
#include "../options/route.h"
#include "probe_session.h"


#define CMD_PROBE_SESSION_IDLE        30000   /* milliseconds */
#define CMD_PROBE_SESSION_CLOSE       3000
#define CMD_PROBE_SESSION_ANSWER      65536   /* maximum size of responses */
#define CMD_PROBE_SESSION_FLIGHTS     5


static atls_error_e cmd_probe_session_tls(cmd_probe_session_t *session);
static size_t cmd_probe_session_padding(SSL *ssl, int type, size_t size,
    void *data);
static atls_error_e cmd_probe_session_flight(cmd_probe_session_t *session);
static atls_error_e cmd_probe_session_failed(cmd_probe_session_t *session,
    atls_error_e rc);
static atls_error_e cmd_probe_session_plain(void *data,
    const unsigned char *bytes, size_t n);


atls_error_e
cmd_probe_session_init(cmd_probe_session_t *session,
    const cmd_options_t *options, const atls_target_t *target,
    X509_STORE *trust)
{
    memset(session, 0, sizeof(cmd_probe_session_t));

    session->options = options;
    session->target = target;
    session->trust = trust;

    if (options->verbose) {
        session->debug.handler = cmd_verbose;
    }

    session->outer = cmd_probe_session_outer(session, &session->failure);

    return session->outer ? cmd_probe_session_tls(session)
                          : session->failure.error;
}


atls_outer_t *
cmd_probe_session_outer(cmd_probe_session_t *session, atls_failure_t *failure)
{
    atls_outer_conf_t     conf;
    const cmd_options_t  *options = session->options;

    memset(&conf, 0, sizeof(atls_outer_conf_t));

    conf.url = options->via ? options->via : session->target->endpoint;
    conf.user = options->via_user;
    conf.headers = (const char *const *) options->via_headers.items;
    conf.idle_timeout = CMD_PROBE_SESSION_IDLE + options->wait;
    conf.trust = session->trust;
    conf.debug = session->debug;

    cmd_route(&conf.route, options);

    return atls_outer_create(&conf, failure);
}


static atls_error_e
cmd_probe_session_tls(cmd_probe_session_t *session)
{
    atls_error_e          rc;
    atls_tls_conf_t       conf;
    const cmd_options_t  *options = session->options;

    memset(&conf, 0, sizeof(atls_tls_conf_t));

    conf.peer = session->target->peer;
    conf.cert_file = options->cert_file;
    conf.key_file = options->key_file;
    conf.passphrase = options->passphrase;
    conf.psk_identity = options->psk_identity;
    conf.psk_key = options->psk_key;
    conf.ciphers = options->ciphers;
    conf.ciphersuites = options->ciphersuites;
    conf.min_protocol = options->min_protocol;
    conf.max_protocol = options->max_protocol;
    conf.pinned_key = options->pinned_key;

    session->tls.plain = cmd_probe_session_plain;
    session->tls.data = session;

    rc = atls_tls_init(&session->tls, &conf, session->trust, &session->debug,
                       &session->failure);

    /* later, OpenSSL 3.2 does not take SSL_set_block_padding() into account */

    if (rc == ATLS_OK) {
        SSL_CTX_set_record_padding_callback(session->tls.ctx,
                                            cmd_probe_session_padding);
        SSL_CTX_set_record_padding_callback_arg(session->tls.ctx, session);
    }

    return rc;
}


static size_t
cmd_probe_session_padding(SSL *ssl, int type, size_t size, void *data)
{
    cmd_probe_session_t  *session = data;

    (void) ssl;
    (void) type;

    return session->padded > size ? session->padded - size : 0;
}


void
cmd_probe_session_free(cmd_probe_session_t *session)
{
    atls_outer_free(session->outer);
    atls_tls_done(&session->tls);
    atls_buf_free(&session->out);
    atls_buf_free(&session->answer);
}


atls_error_e
cmd_probe_session_start(cmd_probe_session_t *session)
{
    atls_error_e   rc;
    atls_resume_t  none;

    memset(&none, 0, sizeof(atls_resume_t));
    atls_failure_clear(&session->failure);
    atls_outer_forget(session->outer);

    session->open = 0;
    session->out.len = 0;
    session->answer.len = 0;

    rc = atls_tls_open(&session->tls, &none);

    if (rc == ATLS_OK) {
        rc = atls_tls_handshake(&session->tls);
    }

    if (rc == ATLS_OK) {
        rc = cmd_probe_session_flight(session);
    }

    return cmd_probe_session_failed(session, rc);
}


atls_error_e
cmd_probe_session_finish(cmd_probe_session_t *session)
{
    int           i;
    atls_error_e  rc;

    rc = ATLS_OK;

    for (i = 0; i < CMD_PROBE_SESSION_FLIGHTS && rc == ATLS_OK; i++) {

        if (atls_tls_pending(&session->tls)) {
            rc = cmd_probe_session_flight(session);

        } else if (!session->tls.finished) {
            session->failure.fault = ATLS_FAULT_NO_BODY;
            rc = atls_fail(&session->failure, ATLS_ERROR_TLS,
                           "the server did not continue the handshake: %s",
                           atls_fault_text(ATLS_FAULT_NO_BODY));

        } else {
            break;
        }
    }

    session->open = rc == ATLS_OK && session->tls.finished
                    && !session->tls.closed;

    return cmd_probe_session_failed(session, rc);
}


atls_error_e
cmd_probe_session_open(cmd_probe_session_t *session)
{
    atls_error_e  rc;

    rc = cmd_probe_session_start(session);

    return rc == ATLS_OK ? cmd_probe_session_finish(session) : rc;
}


static atls_error_e
cmd_probe_session_flight(cmd_probe_session_t *session)
{
    atls_error_e  rc;

    session->out.len = 0;

    rc = atls_tls_drain(&session->tls, &session->out);

    return rc == ATLS_OK ? cmd_probe_session_post(session, 0, session->out.len)
                         : rc;
}


/*
 * Sends an alert of the client, so that the server does not wait.  The cookie
 * in a cached response belongs to another session.
 */

static atls_error_e
cmd_probe_session_failed(cmd_probe_session_t *session, atls_error_e rc)
{
    atls_failure_t  failure;

    if ((rc == ATLS_ERROR_TLS || rc == ATLS_ERROR_CERTIFICATE)
        && session->failure.fault != ATLS_FAULT_CACHED
        && atls_tls_pending(&session->tls))
    {
        failure = session->failure;
        (void) cmd_probe_session_flight(session);
        session->failure = failure;
    }

    return rc;
}


atls_error_e
cmd_probe_session_poll(cmd_probe_session_t *session)
{
    return cmd_probe_session_post(session, 0, 0);
}


atls_error_e
cmd_probe_session_write(cmd_probe_session_t *session, const void *bytes,
    size_t n)
{
    atls_error_e  rc;

    atls_failure_clear(&session->failure);

    rc = atls_tls_write(&session->tls, bytes, n);

    return rc == ATLS_OK ? atls_tls_drain(&session->tls, &session->out) : rc;
}


atls_error_e
cmd_probe_session_post(cmd_probe_session_t *session, size_t offset, size_t n)
{
    atls_failure_clear(&session->failure);

    return atls_outer_post(session->outer, session->out.data + offset, n,
                           cmd_probe_session_sink, session);
}


atls_error_e
cmd_probe_session_sink(void *data, const unsigned char *bytes, size_t n)
{
    cmd_probe_session_t  *session = data;

    return atls_tls_receive(&session->tls, bytes, n);
}


static atls_error_e
cmd_probe_session_plain(void *data, const unsigned char *bytes, size_t n)
{
    cmd_probe_session_t  *session = data;

    if (n > CMD_PROBE_SESSION_ANSWER - session->answer.len) {
        return atls_fail(&session->failure, ATLS_ERROR_HTTP,
                         "the response to HEAD is too large");
    }

    return atls_buf_add(&session->answer, bytes, n) == 0
           ? ATLS_OK : atls_fail_memory(&session->failure);
}


/* Responses to HEAD have no body. */

unsigned
cmd_probe_session_answers(const cmd_probe_session_t *session)
{
    unsigned     n;
    const char  *p, *end;

    static const char  line[] = "HTTP/1.1 ";

    n = 0;
    p = (const char *) session->answer.data;

    while (p) {
        end = memmem(p, session->answer.len
                        - (size_t) (p - (const char *) session->answer.data),
                     "\r\n\r\n", 4);
        if (end == NULL) {
            break;
        }

        n += (size_t) (end - p) > sizeof(line)
             && strncmp(p, line, sizeof("HTTP/1.") - 1) == 0
             && p[sizeof(line) - 1] != '1';
        p = end + 4;
    }

    return n;
}


atls_error_e
cmd_probe_session_expect(cmd_probe_session_t *session, unsigned answers)
{
    if (cmd_probe_session_answers(session) >= answers) {
        return ATLS_OK;
    }

    if (session->tls.closed) {
        return atls_fail(&session->failure, ATLS_ERROR_TRUNCATED,
                         "the server closed the session without a response");
    }

    if (session->answer.len) {
        return atls_fail(&session->failure, ATLS_ERROR_HTTP,
                         "the service does not use HTTP");
    }

    session->failure.fault = ATLS_FAULT_NO_BODY;

    return atls_fail(&session->failure, ATLS_ERROR_TRUNCATED,
                     "no response to HEAD: %s",
                     atls_fault_text(ATLS_FAULT_NO_BODY));
}


void
cmd_probe_session_close(cmd_probe_session_t *session)
{
    if (session->open && !session->tls.closed) {
        session->open = 0;

        atls_tls_shutdown(&session->tls);
        atls_outer_set_deadline(session->outer,
                                atls_clock() + CMD_PROBE_SESSION_CLOSE);
        (void) cmd_probe_session_flight(session);
        atls_outer_set_deadline(session->outer, 0);
    }
}

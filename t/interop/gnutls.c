
/*
 * ATLS with GnuTLS 3.6 or later: push and pull functions instead of a socket.
 *
 *     cc -o gnutls gnutls.c -lgnutls
 */


#include <errno.h>
#include <gnutls/gnutls.h>

#include "session.h"


static gnutls_session_t                  session;
static gnutls_certificate_credentials_t  trust;
static gnutls_psk_client_credentials_t   psk;
static gnutls_datum_t                    ticket;
static int                               dry;   /* end of the response */


static void
must(int rc, const char *what)
{
    if (rc < 0) {
        die("TLS: %s: %s", what, gnutls_strerror(rc));
    }
}


static void
make_credentials(void)
{
    gnutls_datum_t  key = { options.key, (unsigned) options.key_len };

    must(gnutls_certificate_allocate_credentials(&trust), "memory");

    if (gnutls_certificate_set_x509_trust_file(trust, options.ca,
                                               GNUTLS_X509_FMT_PEM) <= 0)
    {
        die("TLS: no certificates in %s", options.ca);
    }

    if (options.identity) {
        must(gnutls_psk_allocate_client_credentials(&psk), "memory");
        must(gnutls_psk_set_client_credentials(psk, options.identity, &key,
                                               GNUTLS_PSK_KEY_RAW),
             "pre-shared key");
    }
}


/* TLS output: collected for the next POST. */

static ssize_t
push(gnutls_transport_ptr_t ptr, const void *data, size_t len)
{
    post_add(ptr, data, len);

    return (ssize_t) len;
}


/* TLS input: the POST's response.  Its end is not the end of the session. */

static ssize_t
pull(gnutls_transport_ptr_t ptr, void *data, size_t len)
{
    size_t  n;

    n = post_read(ptr, data, len);

    dry = n == 0;

    if (dry) {
        gnutls_transport_set_errno(session, EAGAIN);
        return -1;
    }

    return (ssize_t) n;
}


/* The default function would wait until a socket is readable. */

static int
pull_timeout(gnutls_transport_ptr_t ptr, unsigned int ms)
{
    (void) ptr;
    (void) ms;

    return 1;
}


static void
begin(int resume)
{
    char         priority[128];
    const char  *versions;

    versions = options.version == 13 ? "+VERS-TLS1.3"
               : options.version == 12 ? "+VERS-TLS1.2"
               : "+VERS-TLS1.3:+VERS-TLS1.2";

    snprintf(priority, sizeof(priority), "NORMAL:-VERS-ALL:%s%s", versions,
             options.identity ? ":+ECDHE-PSK:+PSK" : "");

    must(gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NONBLOCK), "session");
    must(gnutls_priority_set_direct(session, priority, NULL), priority);
    must(gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, trust),
         "trust");

    if (psk) {
        must(gnutls_credentials_set(session, GNUTLS_CRD_PSK, psk),
             "pre-shared key");
    }

    must(gnutls_server_name_set(session, GNUTLS_NAME_DNS, options.name,
                                strlen(options.name)),
         "name");

    /* a proxy may terminate the outer TLS: only this verification counts */

    gnutls_session_set_verify_cert(session, options.name, 0);

    gnutls_transport_set_ptr(session, &post);
    gnutls_transport_set_push_function(session, push);
    gnutls_transport_set_pull_function(session, pull);
    gnutls_transport_set_pull_timeout_function(session, pull_timeout);

    if (resume) {
        must(gnutls_session_set_data(session, ticket.data, ticket.size),
             "ticket");
    }
}


/* Sends the alert that TLS may have written: the server closes the session. */

static void
failed(const char *what, int rc)
{
    gnutls_datum_t  text;

    gnutls_alert_send_appropriate(session, rc);
    post_send(&post);

    if (rc == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR
        && gnutls_certificate_verification_status_print(
               gnutls_session_get_verify_cert_status(session), GNUTLS_CRT_X509,
               &text, 0) >= 0)
    {
        die("TLS: %s: %s", what, text.data);
    }

    die("TLS: %s: %s", what, gnutls_strerror(rc));
}


static void
handshake(void)
{
    int  rc;

    while ((rc = gnutls_handshake(session)) < 0) {

        if (rc == GNUTLS_E_AGAIN) {

            /* first read the response: a flight may be in several pieces */

            if (dry && !post_send(&post)) {
                die("TLS: the server's flight is not complete");
            }

        } else if (gnutls_error_is_fatal(rc)) {
            failed("handshake", rc);
        }
    }
}


/* Returns 0 at the end of the POST's response, or of the session. */

static size_t
read_plaintext(void *from, char *buf, size_t size)
{
    int     *closed = from;
    ssize_t  n;

    while ((n = gnutls_record_recv(session, buf, size)) < 0) {

        /* also returned after a ticket, when more data follow */

        if (n == GNUTLS_E_AGAIN && dry) {
            return 0;
        }

        if (gnutls_error_is_fatal((int) n)) {
            failed("reading", (int) n);
        }
    }

    *closed = n == 0;                           /* close_notify */

    return (size_t) n;
}


static void
write_plaintext(const char *data, int len)
{
    ssize_t  sent;

    sent = gnutls_record_send(session, data, (size_t) len);

    if (sent != len) {
        failed("writing", (int) sent);
    }

    post_send(&post);
}


static void
close_session(void)
{
    gnutls_bye(session, GNUTLS_SHUT_WR);        /* _RDWR would need input */
    post_send(&post);
}


/* RFC 5705: NULL is no context, which differs from "" in TLS 1.2 */

static void
export_key(unsigned char *material)
{
    must(gnutls_prf_rfc5705(session, strlen(options.label), options.label, 0,
                            NULL, EXPORTED, (char *) material),
         "exporter");
}


static const char *
version(void)
{
    return gnutls_protocol_get_version(session) == GNUTLS_TLS1_3 ? "TLSv1.3"
                                                                 : "TLSv1.2";
}


static int
resumed(void)
{
    return gnutls_session_is_resumed(session);
}


static void
end(void)
{
    gnutls_free(ticket.data);
    must(gnutls_session_get_data2(session, &ticket), "ticket");

    gnutls_deinit(session);
}


static const tls_t  tls = {
    begin, handshake, write_plaintext, read_plaintext, close_session,
    export_key, version, resumed, end
};


int
main(int argc, char **argv)
{
    options_read(argc, argv);
    make_credentials();

    session_run(&tls);

    gnutls_free(ticket.data);
    gnutls_certificate_free_credentials(trust);

    if (psk) {
        gnutls_psk_free_client_credentials(psk);
    }

    return 0;
}

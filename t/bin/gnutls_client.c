
/*
 * The client of client.h with GnuTLS.  The priority string, with protocol
 * versions, suites and groups, is created by Test::Atls::Stack.
 */


#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/gnutls.h>

#include "client.h"


#define MAX_ALPN  8


static gnutls_session_t                  session;
static gnutls_certificate_credentials_t  credentials;
static gnutls_psk_client_credentials_t   psk_credentials;
static gnutls_datum_t                    alpn[MAX_ALPN];
static unsigned                          alpn_n;
static unsigned                          flags;
static unsigned                          early_sent;
static buf_t                             resume;
static buf_t                             ticket;
static unsigned                          tickets;
static char                             *priority;
static char                             *sni;
static char                             *ca;
static char                             *cert;
static char                             *key;
static char                             *identity;
static char                             *psk;


static void
must(int ret, const char *what)
{
    if (ret < 0) {
        fprintf(stderr, "TLS client: %s\n", gnutls_strerror(ret));
        client_die(what);
    }
}


static ssize_t
push(gnutls_transport_ptr_t ptr, const void *data, size_t len)
{
    (void) ptr;

    buf_add(&client.out, data, len);

    return (ssize_t) len;
}


static ssize_t
pull(gnutls_transport_ptr_t ptr, void *data, size_t len)
{
    (void) ptr;

    if (client.in.len == 0) {
        gnutls_transport_set_errno(session, EAGAIN);
        return -1;
    }

    if (len > client.in.len) {
        len = client.in.len;
    }

    memcpy(data, client.in.data, len);
    buf_shift(&client.in, len);

    return (ssize_t) len;
}


/* no more data are received while waiting */

static int
pull_timeout(gnutls_transport_ptr_t ptr, unsigned ms)
{
    (void) ptr;
    (void) ms;

    return client.in.len != 0;
}


static int
watch(gnutls_session_t s, unsigned type, unsigned when, unsigned incoming,
    const gnutls_datum_t *message)
{
    (void) s;
    (void) when;
    (void) message;

    if (incoming && type == GNUTLS_HANDSHAKE_KEY_UPDATE) {
        client.updates++;
    }

    if (incoming && type == GNUTLS_HANDSHAKE_NEW_SESSION_TICKET) {
        client.tickets++;
    }

    return 0;
}


void
stack_set(const char *name, const char *value, size_t len)
{
    char  *copy;

    copy = malloc(len + 1);

    if (copy == NULL) {
        client_die("no memory");
    }

    memcpy(copy, value, len + 1);

    if (strcmp(name, "priority") == 0) {
        priority = copy;

    } else if (strcmp(name, "sni") == 0) {
        sni = copy;

    } else if (strcmp(name, "ca") == 0) {
        ca = copy;

    } else if (strcmp(name, "cert") == 0) {
        cert = copy;

    } else if (strcmp(name, "key") == 0) {
        key = copy;

    } else if (strcmp(name, "alpn") == 0 && alpn_n < MAX_ALPN) {
        alpn[alpn_n].data = (unsigned char *) copy;
        alpn[alpn_n++].size = (unsigned) len;

    } else if (strcmp(name, "psk_identity") == 0) {
        identity = copy;

    } else if (strcmp(name, "psk_key") == 0) {
        psk = copy;

    } else if (strcmp(name, "session") == 0) {
        buf_add(&resume, value, len);
        free(copy);

    } else if (strcmp(name, "ocsp") == 0) {
        free(copy);         /* GnuTLS requests it anyway */

    } else if (strcmp(name, "no_tickets") == 0) {
        flags |= GNUTLS_NO_TICKETS;
        free(copy);

    } else {
        client_die(name);
    }
}


static void
set_credentials(void)
{
    gnutls_datum_t  k;

    must(gnutls_certificate_allocate_credentials(&credentials), "memory");

    if (ca) {
        must(gnutls_certificate_set_x509_trust_file(credentials, ca,
                                                    GNUTLS_X509_FMT_PEM), ca);
        gnutls_session_set_verify_cert(session, NULL, 0);
    }

    if (cert) {
        must(gnutls_certificate_set_x509_key_file(credentials, cert, key,
                                                  GNUTLS_X509_FMT_PEM), cert);
    }

    must(gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials),
         "credentials");

    if (psk) {
        k.data = (unsigned char *) psk;
        k.size = (unsigned) strlen(psk);

        must(gnutls_psk_allocate_client_credentials(&psk_credentials),
             "memory");
        must(gnutls_psk_set_client_credentials(psk_credentials, identity, &k,
                                               GNUTLS_PSK_KEY_HEX), "psk");
        must(gnutls_credentials_set(session, GNUTLS_CRD_PSK, psk_credentials),
             "psk");
    }
}


void
stack_start(void)
{
    const char  *at;

    /* the certificate is sent regardless of the CAs named by the server */

    must(gnutls_init(&session, GNUTLS_CLIENT | GNUTLS_NONBLOCK
                               | GNUTLS_ENABLE_EARLY_DATA
                               | GNUTLS_FORCE_CLIENT_CERT | flags),
         "gnutls_init()");

    gnutls_transport_set_push_function(session, push);
    gnutls_transport_set_pull_function(session, pull);
    gnutls_transport_set_pull_timeout_function(session, pull_timeout);
    gnutls_handshake_set_timeout(session, 0);
    gnutls_handshake_set_hook_function(session, GNUTLS_HANDSHAKE_ANY,
                                       GNUTLS_HOOK_POST, watch);

    at = priority ? priority : "NORMAL";
    must(gnutls_priority_set_direct(session, at, &at), at);

    set_credentials();

    if (sni) {
        must(gnutls_server_name_set(session, GNUTLS_NAME_DNS, sni,
                                    strlen(sni)), "sni");
    }

    if (alpn_n) {
        must(gnutls_alpn_set_protocols(session, alpn, alpn_n, 0), "alpn");
    }

    if (resume.len) {
        must(gnutls_session_set_data(session, resume.data, resume.len),
             "session");
    }
}


/* Returns whether the call must be repeated. */

static int
check(ssize_t ret, const char *what)
{
    if (ret >= 0 || ret == GNUTLS_E_AGAIN) {
        return 0;
    }

    if (ret == GNUTLS_E_WARNING_ALERT_RECEIVED
        || ret == GNUTLS_E_FATAL_ALERT_RECEIVED)
    {
        client_alert(gnutls_alert_get(session));
    }

    if (!gnutls_error_is_fatal((int) ret)) {
        return 1;
    }

    client_error("%s: %s", what, gnutls_strerror((int) ret));

    if (ret != GNUTLS_E_FATAL_ALERT_RECEIVED) {
        gnutls_alert_send_appropriate(session, (int) ret);
    }

    return 0;
}


void
stack_handshake(void)
{
    int  ret;

    do {
        ret = gnutls_handshake(session);
    } while (check(ret, "gnutls_handshake()"));

    client.established = (ret == 0);
}


void
stack_early(const char *data, size_t len)
{
    /* sent directly after the ClientHello, if the ticket allows it */

    if (resume.len && gnutls_record_get_max_early_data_size(session)) {
        early_sent = 1;
        check(gnutls_record_send_early_data(session, data, len),
              "gnutls_record_send_early_data()");
    }

    if (!client.failed) {
        stack_handshake();
    }
}


static void
get_session(buf_t *b)
{
    gnutls_datum_t  data;

    if (gnutls_session_get_data2(session, &data) == 0) {
        buf_add(b, data.data, data.size);
        gnutls_free(data.data);
    }
}


/* TLS 1.3: takes the ticket now, as GnuTLS 3.8 has none after a KeyUpdate. */

void
stack_read(void)
{
    char     buf[16384];
    size_t   before;
    ssize_t  n;

    while (!client.closed && !client.failed) {
        before = client.in.len;
        n = gnutls_record_recv(session, buf, sizeof(buf));

        if (n > 0) {
            buf_add(&client.plain, buf, n);

        } else if (n == 0) {
            client.closed = 1;
            client_alert(GNUTLS_A_CLOSE_NOTIFY);

        } else if (!check(n, "gnutls_record_recv()")
                   && client.in.len == before)
        {
            /* also returned after a KeyUpdate or a ticket */

            break;
        }
    }

    if (tickets != client.tickets) {
        tickets = client.tickets;
        ticket.len = 0;
        get_session(&ticket);
    }
}


void
stack_write(const char *data, size_t len)
{
    ssize_t  n;

    while (len) {
        n = gnutls_record_send(session, data, len);

        if (n < 0) {
            if (check(n, "gnutls_record_send()")) {
                continue;
            }

            return;
        }

        data += n;
        len -= n;
    }
}


void
stack_update(int requested)
{
    check(gnutls_session_key_update(session, requested ? GNUTLS_KU_PEER : 0),
          "gnutls_session_key_update()");
}


void
stack_shutdown(void)
{
    check(gnutls_bye(session, GNUTLS_SHUT_WR), "gnutls_bye()");
}


static void
value(const char *text)
{
    if (text) {
        buf_add(&client.value, text, strlen(text));
    }
}


static void
get_cert(void)
{
    unsigned               n;
    const gnutls_datum_t  *list;

    list = gnutls_certificate_get_peers(session, &n);

    if (list && n) {
        buf_add(&client.value, list[0].data, list[0].size);
    }
}


static const char *
early_status(void)
{
    if (!early_sent) {
        return "none";
    }

    return gnutls_session_get_flags(session) & GNUTLS_SFLAGS_EARLY_DATA
           ? "accepted" : "rejected";
}


void
stack_get(const char *name)
{
    gnutls_datum_t  d;

    if (strcmp(name, "protocol") == 0) {
        value(gnutls_protocol_get_name(gnutls_protocol_get_version(session)));

    } else if (strcmp(name, "cipher") == 0) {
        value(gnutls_ciphersuite_get(session));

    } else if (strcmp(name, "alpn") == 0) {
        if (gnutls_alpn_get_selected_protocol(session, &d) == 0) {
            buf_add(&client.value, d.data, d.size);
        }

    } else if (strcmp(name, "resumed") == 0) {
        value(gnutls_session_is_resumed(session) ? "1" : "");

    } else if (strcmp(name, "early") == 0) {
        value(early_status());

    } else if (strcmp(name, "session") == 0) {
        if (gnutls_protocol_get_version(session) == GNUTLS_TLS1_3) {
            buf_add(&client.value, ticket.data, ticket.len);

        } else {
            get_session(&client.value);
        }

    } else if (strcmp(name, "cert") == 0) {
        get_cert();

    } else if (strcmp(name, "ocsp") == 0) {
        if (gnutls_ocsp_status_request_get(session, &d) == 0) {
            buf_add(&client.value, d.data, d.size);
        }

    } else {
        client_die(name);
    }
}


void
stack_binding(void)
{
    gnutls_datum_t  d;

    if (gnutls_session_channel_binding(session, GNUTLS_CB_TLS_EXPORTER, &d)
        == 0)
    {
        buf_add(&client.value, d.data, d.size);
        gnutls_free(d.data);
    }
}


void
stack_export(const char *label, size_t out, const char *context, size_t len)
{
    char  k[1024];

    if (out > sizeof(k)) {
        client_die("a long export");
    }

    if (gnutls_prf_rfc5705(session, strlen(label), label, len, context, out, k)
        == 0)
    {
        buf_add(&client.value, k, out);
    }
}

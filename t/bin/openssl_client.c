
/* The client of client.h with OpenSSL. */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "client.h"


static SSL            *ssl;
static SSL_CTX        *ctx;
static SSL_SESSION    *session;     /* to be resumed, or the newest one */
static unsigned        fresh;       /* it is the newest one */
static unsigned char   psk[SSL_MAX_MASTER_KEY_LENGTH * 8];
static size_t          psk_len;
static char            identity[256];
static char           *sni;
static buf_t           alpn;
static unsigned        ocsp;        /* request the certificate's status */
static unsigned        dtls;


static void
failed(const char *what)
{
    char           text[256];
    unsigned long  code;

    code = ERR_peek_error();

    if (code) {
        ERR_error_string_n(code, text, sizeof(text));
        client_error("%s: %s", what, text);

    } else {
        client_error("%s failed", what);
    }

    ERR_clear_error();
}


/* an error in options is an error of the test */

static void
must(int ok, const char *what)
{
    if (!ok) {
        ERR_print_errors_fp(stderr);
        client_die(what);
    }
}


static int
version(const char *name)
{
    return strcmp(name, "TLSv1.3") == 0 ? TLS1_3_VERSION
           : strcmp(name, "TLSv1.2") == 0 ? TLS1_2_VERSION
           : strcmp(name, "DTLSv1.2") == 0 ? DTLS1_2_VERSION
           : strcmp(name, "TLSv1.1") == 0 ? TLS1_1_VERSION : 0;
}


static void
watch(int sent, int protocol, int type, const void *buf, size_t len, SSL *s,
    void *arg)
{
    (void) protocol;
    (void) s;
    (void) arg;

    if (sent || type != SSL3_RT_HANDSHAKE || len == 0) {
        return;
    }

    switch (*(const unsigned char *) buf) {

    case SSL3_MT_KEY_UPDATE:
        client.updates++;
        break;

    case SSL3_MT_NEWSESSION_TICKET:
        client.tickets++;
        break;
    }
}


static void
info(const SSL *s, int where, int ret)
{
    (void) s;

    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT) {
        client_alert(ret & 0xff);
    }
}


static int
new_session(SSL *s, SSL_SESSION *sess)
{
    (void) s;

    SSL_SESSION_free(session);
    session = sess;
    fresh = 1;

    return 1;
}


static unsigned int
give_psk(SSL *s, const char *hint, char *id, unsigned int id_size,
    unsigned char *key, unsigned int key_size)
{
    (void) s;
    (void) hint;

    if (strlen(identity) >= id_size || psk_len > key_size) {
        return 0;
    }

    strcpy(id, identity);
    memcpy(key, psk, psk_len);

    return (unsigned int) psk_len;
}


static void
create(void)
{
    ctx = SSL_CTX_new(dtls ? DTLS_client_method() : TLS_client_method());
    must(ctx != NULL, "no SSL_CTX");

    if (dtls) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_QUERY_MTU);
    }

    SSL_CTX_set_msg_callback(ctx, watch);
    SSL_CTX_set_info_callback(ctx, info);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT
                                        | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, new_session);
}


static void
set_session(const char *value, size_t len)
{
    const unsigned char  *p;

    p = (const unsigned char *) value;
    session = d2i_SSL_SESSION(NULL, &p, (long) len);
    must(session != NULL, "no session");
}


void
stack_set(const char *name, const char *value, size_t len)
{
    char  n;

    if (strcmp(name, "dtls") == 0) {
        dtls = 1;
        return;
    }

    if (ctx == NULL) {
        create();
    }

    if (strcmp(name, "min") == 0) {
        must(SSL_CTX_set_min_proto_version(ctx, version(value)), value);

    } else if (strcmp(name, "max") == 0) {
        must(SSL_CTX_set_max_proto_version(ctx, version(value)), value);

    } else if (strcmp(name, "ciphers") == 0) {
        must(SSL_CTX_set_cipher_list(ctx, value), value);

    } else if (strcmp(name, "ciphersuites") == 0) {
        must(SSL_CTX_set_ciphersuites(ctx, value), value);

    } else if (strcmp(name, "groups") == 0) {
        must(SSL_CTX_set1_groups_list(ctx, value), value);

    } else if (strcmp(name, "sni") == 0) {
        sni = strdup(value);

    } else if (strcmp(name, "ca") == 0) {
        must(SSL_CTX_load_verify_locations(ctx, value, NULL), value);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);

    } else if (strcmp(name, "cert") == 0) {
        must(SSL_CTX_use_certificate_chain_file(ctx, value), value);

    } else if (strcmp(name, "key") == 0) {
        must(SSL_CTX_use_PrivateKey_file(ctx, value, SSL_FILETYPE_PEM), value);

    } else if (strcmp(name, "alpn") == 0) {
        n = (char) len;
        buf_add(&alpn, &n, 1);
        buf_add(&alpn, value, len);

    } else if (strcmp(name, "psk_identity") == 0) {
        must(len < sizeof(identity), "identity");
        strcpy(identity, value);
        SSL_CTX_set_psk_client_callback(ctx, give_psk);

    } else if (strcmp(name, "psk_key") == 0) {
        psk_len = client_unhex(value, psk, sizeof(psk));

    } else if (strcmp(name, "session") == 0) {
        set_session(value, len);

    } else if (strcmp(name, "max_early") == 0) {
        must(session && SSL_SESSION_set_max_early_data(session, atoi(value)),
             "no session for max_early");

    } else if (strcmp(name, "ocsp") == 0) {
        ocsp = 1;

    } else if (strcmp(name, "no_tickets") == 0) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);

    } else if (strcmp(name, "no_ems") == 0) {
#ifdef SSL_OP_NO_EXTENDED_MASTER_SECRET
        SSL_CTX_set_options(ctx, SSL_OP_NO_EXTENDED_MASTER_SECRET);
#else
        client_die("no_ems needs OpenSSL 3");
#endif

    } else {
        client_die(name);
    }
}


/* With DTLS, nothing is sent again by time. */

static unsigned
timer(SSL *s, unsigned duration)
{
    (void) s;
    (void) duration;

    return 3600000000u;
}


void
stack_start(void)
{
    BIO  *in, *out;

    if (ctx == NULL) {
        create();
    }

    ssl = SSL_new(ctx);
    in = BIO_new(BIO_s_mem());
    out = BIO_new(BIO_s_mem());
    must(ssl && in && out, "no SSL");

    SSL_set_bio(ssl, in, out);
    SSL_set_connect_state(ssl);

    if (dtls) {
        must(SSL_set_mtu(ssl, 1232), "mtu");
        DTLS_set_timer_cb(ssl, timer);
    }

    if (sni) {
        must(SSL_set_tlsext_host_name(ssl, sni), "sni");
    }

    if (alpn.len) {
        must(SSL_set_alpn_protos(ssl, (unsigned char *) alpn.data,
                                 (unsigned) alpn.len)
             == 0, "alpn");
    }

    if (ocsp) {
        must(SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp), "ocsp");
    }

    if (session) {
        must(SSL_set_session(ssl, session), "session");
    }
}


/*
 * Input goes through a BIO, output is moved from another one.  With DTLS, one
 * record at a time, as a memory BIO has no boundaries.  Returns 0 if there was
 * none.
 */

static int
feed(void)
{
    size_t                n;
    const unsigned char  *p;

    n = client.in.len;
    p = (const unsigned char *) client.in.data;

    if (n == 0) {
        return 0;
    }

    if (dtls) {
        must(n >= 13 && n >= 13 + (size_t) (p[11] << 8) + p[12], "record");
        n = 13 + (size_t) (p[11] << 8) + p[12];
    }

    must(BIO_write(SSL_get_rbio(ssl), p, (int) n) == (int) n, "BIO_write()");
    buf_shift(&client.in, n);

    return 1;
}


static void
check(int ret, const char *what)
{
    long   len;
    BIO   *out;
    char  *data;

    if (ret <= 0) {

        switch (SSL_get_error(ssl, ret)) {

        case SSL_ERROR_WANT_READ:
            break;

        case SSL_ERROR_ZERO_RETURN:
            client.closed = 1;
            break;

        default:
            failed(what);
        }
    }

    out = SSL_get_wbio(ssl);
    len = BIO_get_mem_data(out, &data);
    buf_add(&client.out, data, len);

    (void) BIO_reset(out);
}


void
stack_handshake(void)
{
    int  ret;

    do {
        (void) feed();

        ERR_clear_error();
        ret = SSL_do_handshake(ssl);
        client.established = (ret == 1);

        check(ret, "SSL_do_handshake()");

    } while (ret != 1 && client.in.len);
}


void
stack_early(const char *data, size_t len)
{
    int     ret;
    size_t  n;

    if (session == NULL || SSL_SESSION_get_max_early_data(session) == 0) {
        stack_handshake();
        return;
    }

    ERR_clear_error();
    ret = SSL_write_early_data(ssl, data, len, &n);

    check(ret, "SSL_write_early_data()");
}


void
stack_read(void)
{
    int   n;
    char  buf[16384];

    (void) feed();

    for ( ;; ) {
        ERR_clear_error();
        n = SSL_read(ssl, buf, sizeof(buf));

        if (n > 0) {
            buf_add(&client.plain, buf, n);
            continue;
        }

        check(n, "SSL_read()");

        if (client.failed || !feed()) {
            return;
        }
    }
}


void
stack_write(const char *data, size_t len)
{
    size_t  n;

    /* with DTLS, OpenSSL does not split data */

    for ( /* void */ ; len; data += n, len -= n) {
        n = (dtls && len > 16384) ? 16384 : len;

        ERR_clear_error();
        check(SSL_write(ssl, data, (int) n), "SSL_write()");
    }
}


void
stack_update(int requested)
{
    int  n;

    ERR_clear_error();

    n = dtls ? SSL_renegotiate(ssl)
             : SSL_key_update(ssl, requested ? SSL_KEY_UPDATE_REQUESTED
                                             : SSL_KEY_UPDATE_NOT_REQUESTED);

    check(n == 1 ? SSL_do_handshake(ssl) : -1, "SSL_key_update()");
}


void
stack_shutdown(void)
{
    ERR_clear_error();

    /* 0: sent, without a response yet */

    check(SSL_shutdown(ssl) < 0 ? -1 : 1, "SSL_shutdown()");
}


static void
value(const char *text)
{
    buf_add(&client.value, text, strlen(text));
}


static const char *
early_status(void)
{
    switch (SSL_get_early_data_status(ssl)) {

    case SSL_EARLY_DATA_ACCEPTED:
        return "accepted";

    case SSL_EARLY_DATA_REJECTED:
        return "rejected";

    default:
        return "none";
    }
}


static void
der(int (*encode)(void *object, unsigned char **out), void *object)
{
    int             n;
    unsigned char  *p;

    p = NULL;
    n = object ? encode(object, &p) : 0;

    if (n > 0) {
        buf_add(&client.value, p, n);
        OPENSSL_free(p);
    }
}


static int
encode_session(void *object, unsigned char **out)
{
    return i2d_SSL_SESSION(object, out);
}


static int
encode_cert(void *object, unsigned char **out)
{
    return i2d_X509(object, out);
}


void
stack_get(const char *name)
{
    X509                 *x;
    long                  n;
    unsigned              len;
    unsigned char        *response;
    const unsigned char  *p;

    if (strcmp(name, "protocol") == 0) {
        value(SSL_get_version(ssl));

    } else if (strcmp(name, "cipher") == 0) {
        value(SSL_get_cipher_name(ssl));

    } else if (strcmp(name, "alpn") == 0) {
        SSL_get0_alpn_selected(ssl, &p, &len);
        buf_add(&client.value, p, len);

    } else if (strcmp(name, "resumed") == 0) {
        value(SSL_session_reused(ssl) ? "1" : "");

    } else if (strcmp(name, "early") == 0) {
        value(early_status());

    } else if (strcmp(name, "session") == 0) {
        if (fresh) {
            der(encode_session, session);

        } else if (client.tickets) {
            /* a new TLS 1.2 ticket, for which there is no callback */
            der(encode_session, SSL_get_session(ssl));
        }

    } else if (strcmp(name, "cert") == 0) {
        x = SSL_get_peer_certificate(ssl);
        der(encode_cert, x);
        X509_free(x);

    } else if (strcmp(name, "ocsp") == 0) {
        n = SSL_get_tlsext_status_ocsp_resp(ssl, &response);
        buf_add(&client.value, response, n > 0 ? (size_t) n : 0);

    } else {
        client_die(name);
    }
}


/* RFC 9266: the context is present and empty */

void
stack_binding(void)
{
    stack_export("EXPORTER-Channel-Binding", 32, "", 0);
}


void
stack_export(const char *label, size_t out, const char *context, size_t len)
{
    unsigned char  key[1024];

    must(out <= sizeof(key), "a long export");

    if (SSL_export_keying_material(ssl, key, out, label, strlen(label),
                                   (const unsigned char *) context, len,
                                   context != NULL)
        != 1)
    {
        /* no value on errors */

        ERR_clear_error();
        return;
    }

    buf_add(&client.value, key, out);
}

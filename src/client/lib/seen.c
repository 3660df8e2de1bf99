
/*
 * The certificates of an outer connection, see seen.h.
 */


#include <stdio.h>
#include <string.h>

#include <curl/curl.h>
#include <openssl/err.h>
#include <openssl/opensslv.h>

#include "cert.h"
#include "seen.h"


static int atls_seen_verify(X509_STORE_CTX *ctx, void *data);
static void atls_seen_record(atls_seen_t *seen, STACK_OF(X509) *chain);
static long atls_seen_verify_chain(atls_seen_t *seen, X509 *leaf,
    STACK_OF(X509) *chain);


int
atls_seen_same_openssl(void)
{
    char                    ours[sizeof("OpenSSL/00.")];
    const char             *theirs;
    curl_version_info_data *info;

    info = curl_version_info(CURLVERSION_NOW);
    theirs = info->ssl_version;

    snprintf(ours, sizeof(ours), "OpenSSL/%u.",
             (unsigned) OPENSSL_VERSION_MAJOR % 100);

    return theirs && strncmp(theirs, ours, strlen(ours)) == 0;
}


void
atls_seen_watch(atls_seen_t *seen, SSL_CTX *ctx)
{
    SSL_CTX_set_cert_verify_callback(ctx, atls_seen_verify, seen);
}


/*
 * The handshake continues as without this callback: libcurl is configured to
 * ignore the result for an endpoint, but not for a proxy.
 */

static int
atls_seen_verify(X509_STORE_CTX *ctx, void *data)
{
    atls_seen_t  *seen = data;

    int              rc, error;
    STACK_OF(X509)  *chain;

    rc = X509_verify_cert(ctx);
    error = X509_STORE_CTX_get_error(ctx);

    if (!atls_peer_matches(&seen->peer, ctx)) {
        return rc;
    }

    chain = X509_STORE_CTX_get0_untrusted(ctx);

    atls_seen_clear(seen);
    atls_seen_record(seen, chain);

    seen->result = atls_seen_verify_chain(seen, X509_STORE_CTX_get0_cert(ctx),
                                          chain);
    seen->text = X509_verify_cert_error_string(seen->result);

    atls_debug(&seen->debug, ATLS_DEBUG_OUTER,
               "outer certificate verification, ignored: %s",
               seen->text);

    ERR_clear_error();
    X509_STORE_CTX_set_error(ctx, error);

    return rc;
}


static void
atls_seen_record(atls_seen_t *seen, STACK_OF(X509) *chain)
{
    int   i;
    char  name[sizeof("outer certificate 00")];

    for (i = 0; i < sk_X509_num(chain) && i < ATLS_SEEN_MAX; i++) {

        if (atls_certificate_fill(&seen->chain[i], sk_X509_value(chain, i))
            == -1)
        {
            return;
        }

        seen->nchain++;

        snprintf(name, sizeof(name), "outer certificate %u",
                 (unsigned) i % ATLS_SEEN_MAX);
        atls_certificate_debug(&seen->chain[i], &seen->debug,
                               ATLS_DEBUG_OUTER, name);
    }
}


static long
atls_seen_verify_chain(atls_seen_t *seen, X509 *leaf, STACK_OF(X509) *chain)
{
    return seen->trust == NULL || leaf == NULL
           ? X509_V_ERR_UNSPECIFIED
           : atls_peer_verify(&seen->peer, seen->trust, -1, leaf, chain);
}


void
atls_seen_clear(atls_seen_t *seen)
{
    size_t  i;

    for (i = 0; i < seen->nchain; i++) {
        atls_certificate_clear(&seen->chain[i]);
    }

    seen->nchain = 0;
    seen->result = -1;
    seen->text = "";
}

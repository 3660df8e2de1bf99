
/*
 * The certificate of the server, see tls_verify.h.
 */


#include <string.h>

#include <openssl/err.h>

#include "cert.h"
#include "fault.h"
#include "tls_verify.h"


/*
 * Verifies a certificate as usual, and saves it: OpenSSL does not keep a
 * certificate that is not trusted.
 */

int
atls_tls_verify(X509_STORE_CTX *ctx, void *data)
{
    atls_tls_t  *tls = data;

    X509  *x509;

    x509 = X509_STORE_CTX_get0_cert(ctx);

    if (x509 && X509_up_ref(x509) == 1) {
        X509_free(tls->certificate);
        tls->certificate = x509;
    }

    sk_X509_pop_free(tls->chain, X509_free);
    tls->chain = X509_chain_up_ref(X509_STORE_CTX_get0_untrusted(ctx));

    if (X509_verify_cert(ctx) != 1) {
        return 0;
    }

    if (x509 == NULL || !atls_pins_match(&tls->pins, x509)) {
        tls->unpinned = 1;
        X509_STORE_CTX_set_error(ctx, X509_V_ERR_APPLICATION_VERIFICATION);
        return 0;
    }

    return 1;
}


/*
 * OpenSSL verifies a certificate in the full handshake, but not on resumption.
 * A session must not be resumed if its certificate is no longer trusted.
 */

long
atls_tls_verify_stored(const atls_tls_t *tls, const atls_resume_t *resume)
{
    X509  *x509;

    x509 = SSL_SESSION_get0_peer(resume->session);

    if (x509 == NULL) {
        return tls->psk ? X509_V_OK : X509_V_ERR_UNSPECIFIED;
    }

    if (!atls_pins_match(&tls->pins, x509)) {
        return X509_V_ERR_APPLICATION_VERIFICATION;
    }

    return atls_peer_verify(&tls->peer, SSL_CTX_get_cert_store(tls->ctx),
                            SSL_CTX_get_security_level(tls->ctx), x509,
                            resume->chain);
}


X509 *
atls_tls_certificate(const atls_tls_t *tls)
{
    X509  *x509;

    x509 = tls->ssl ? SSL_get0_peer_certificate(tls->ssl) : NULL;

    return x509 ? x509 : tls->certificate;
}


void
atls_tls_debug_certificate(atls_tls_t *tls)
{
    X509                *x509;
    atls_certificate_t   certificate;

    x509 = atls_tls_certificate(tls);

    if (x509 == NULL || tls->debug->handler == NULL) {
        return;
    }

    memset(&certificate, 0, sizeof(certificate));

    if (atls_certificate_fill(&certificate, x509) == 0) {
        atls_certificate_debug(&certificate, tls->debug, ATLS_DEBUG_INNER,
                               "inner certificate");
        atls_certificate_clear(&certificate);
    }
}


atls_error_e
atls_tls_certificate_error(atls_tls_t *tls, long result)
{
    X509                *x509;
    const char          *reason;
    atls_error_e         error;
    atls_certificate_t   certificate;

    ERR_clear_error();

    error = tls->unpinned ? ATLS_ERROR_PIN : ATLS_ERROR_CERTIFICATE;

    tls->failure->fault = tls->unpinned ? ATLS_FAULT_NONE
                                        : ATLS_FAULT_UNTRUSTED;

    reason = tls->unpinned ? "the key of the certificate is not a pinned one"
                           : X509_verify_cert_error_string(result);

    memset(&certificate, 0, sizeof(certificate));
    x509 = atls_tls_certificate(tls);

    if (x509 == NULL || atls_certificate_fill(&certificate, x509) == -1) {
        return atls_fail(tls->failure, error, "%s; requested %s", reason,
                         tls->peer.host);
    }

    atls_fail(tls->failure, error,
              "%s; requested %s, certificate subject %.256s,"
              " issuer %.256s", reason, tls->peer.host, certificate.subject,
              certificate.issuer);

    atls_certificate_clear(&certificate);

    return error;
}

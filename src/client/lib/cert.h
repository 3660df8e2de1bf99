
/* Certificates: trust, verification, and data of certificates received. */


#ifndef ATLS_CLIENT_CERT_H_INCLUDED
#define ATLS_CLIENT_CERT_H_INCLUDED


#include <openssl/x509.h>

#include "debug.h"
#include "error.h"
#include "peer.h"


/*
 * Trusted certificates of a file and a directory; both NULL: those of the
 * system.  Returns NULL on error.
 */

X509_STORE *atls_trust_create(const char *file, const char *dir,
    atls_failure_t *failure);

/*
 * Computes a digest, in hex, of the certificates loaded from the file; those of
 * the directory are loaded on demand and are not included.  Returns 0 or -1.
 */

#define ATLS_TRUST_DIGEST   65

int atls_trust_digest(X509_STORE *trust, char digest[ATLS_TRUST_DIGEST]);

/* The same for one certificate, which may be NULL. */

int atls_certificate_digest(const X509 *x509, char digest[ATLS_TRUST_DIGEST]);

/* Sets the peer's name to be verified in a certificate.  Returns 0 or -1. */

int atls_peer_set_param(const atls_peer_t *peer, X509_VERIFY_PARAM *param);

/*
 * Verifies the certificate of a server at the current time, with an OpenSSL
 * security level, or -1 for the default.  Returns X509_V_OK or an
 * X509_V_ERR_... code.
 */

long atls_peer_verify(const atls_peer_t *peer, X509_STORE *trust, int level,
    X509 *x509, STACK_OF(X509) *chain);

/*
 * Whether a verification is for a connection to the peer, and not to a proxy.
 * OpenSSL has no function for this, so the expected names are compared.
 */

int atls_peer_matches(const atls_peer_t *peer, X509_STORE_CTX *ctx);

/* Returns 0 or -1.  The structure must be zeroed or cleared. */

int atls_certificate_fill(atls_certificate_t *certificate, X509 *x509);
void atls_certificate_clear(atls_certificate_t *certificate);

void atls_certificate_debug(const atls_certificate_t *certificate,
    const atls_debug_t *debug, atls_debug_e what, const char *name);


#endif /* ATLS_CLIENT_CERT_H_INCLUDED */

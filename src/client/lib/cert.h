
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

/* The digest, in hex, of those that were in a file.  Returns 0 or -1. */

#define ATLS_TRUST_DIGEST   65

int atls_trust_digest(X509_STORE *trust, char digest[ATLS_TRUST_DIGEST]);

/* Likewise, of one certificate; NULL is one, too. */

int atls_certificate_digest(const X509 *x509, char digest[ATLS_TRUST_DIGEST]);

/* What is asked of a certificate's names.  Returns 0 or -1. */

int atls_peer_expect(const atls_peer_t *peer, X509_VERIFY_PARAM *param);

/*
 * What is to be said of a server's certificate now: X509_V_OK, or what is
 * wrong.  level is OpenSSL's, of security.
 */

long atls_peer_verify(const atls_peer_t *peer, X509_STORE *trust, int level,
    X509 *x509, STACK_OF(X509) *chain);

/*
 * Whether a context of verification is of a connection with the peer.  It does
 * not tell if it is of one with a proxy, but the name that is asked for does,
 * mostly.
 */

int atls_peer_is_asked(const atls_peer_t *peer, X509_STORE_CTX *ctx);

/* Returns 0 or -1.  The old content must be empty or cleared. */

int atls_certificate_fill(atls_certificate_t *certificate, X509 *x509);
void atls_certificate_clear(atls_certificate_t *certificate);

void atls_certificate_debug(const atls_certificate_t *certificate,
    const atls_debug_t *debug, atls_debug_e what, const char *name);


#endif /* ATLS_CLIENT_CERT_H_INCLUDED */

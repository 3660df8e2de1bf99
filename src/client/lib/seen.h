
/* The certificates of an outer connection: recorded but not trusted. */


#ifndef ATLS_CLIENT_SEEN_H_INCLUDED
#define ATLS_CLIENT_SEEN_H_INCLUDED


#include <openssl/ssl.h>

#include "debug.h"
#include "peer.h"


#define ATLS_SEEN_MAX       8               /* certificates that are kept */


typedef struct {
    atls_peer_t          peer;
    X509_STORE          *trust;             /* may be NULL */
    atls_debug_t         debug;

    atls_certificate_t   chain[ATLS_SEEN_MAX];
    size_t               nchain;
    long                 result;
    const char          *text;
} atls_seen_t;


/*
 * Whether libcurl uses the same OpenSSL library as libatls.  If not, an SSL_CTX
 * of libcurl cannot be used here.
 */

int atls_seen_same_openssl(void);

/*
 * Records and verifies the certificates of connections to the peer.  The
 * results of handshakes do not change.
 */

void atls_seen_watch(atls_seen_t *seen, SSL_CTX *ctx);

void atls_seen_clear(atls_seen_t *seen);


#endif /* ATLS_CLIENT_SEEN_H_INCLUDED */


/*
 * The SSL_CTX of inner sessions: protocols, cipher suites, and the identity of
 * the client.
 */


#ifndef ATLS_CLIENT_TLS_CTX_H_INCLUDED
#define ATLS_CLIENT_TLS_CTX_H_INCLUDED


#include "tls.h"


/*
 * A reference to trust is taken; tls must stay valid.  Returns NULL on error,
 * which is in tls->failure.
 */

SSL_CTX *atls_ctx_create(atls_tls_t *tls, const atls_tls_conf_t *conf,
    X509_STORE *trust);


#endif /* ATLS_CLIENT_TLS_CTX_H_INCLUDED */

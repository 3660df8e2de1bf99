
/*
 * The certificate of the server in the inner TLS session.  Other functions are
 * in tls.h.
 */


#ifndef ATLS_CLIENT_TLS_VERIFY_H_INCLUDED
#define ATLS_CLIENT_TLS_VERIFY_H_INCLUDED


#include "tls.h"


/* The callback of an SSL_CTX, whose data are an atls_tls_t. */

int atls_tls_verify(X509_STORE_CTX *ctx, void *data);

/* Writes the certificate to the debug callback. */

void atls_tls_debug_certificate(atls_tls_t *tls);

/* Sets and returns the error for an X509_V_ERR_... code. */

atls_error_e atls_tls_certificate_error(atls_tls_t *tls, long result);


#endif /* ATLS_CLIENT_TLS_VERIFY_H_INCLUDED */

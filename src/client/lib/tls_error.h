
/*
 * Errors of the inner TLS session: alerts, certificates, faults on the path.
 */


#ifndef ATLS_CLIENT_TLS_ERROR_H_INCLUDED
#define ATLS_CLIENT_TLS_ERROR_H_INCLUDED


#include "tls.h"


/*
 * Returns an error for an alert received, a certificate that is not trusted, or
 * another error of OpenSSL.  The error queue of OpenSSL is cleared.
 */

atls_error_e atls_tls_error(atls_tls_t *tls, const char *what);


#endif /* ATLS_CLIENT_TLS_ERROR_H_INCLUDED */


/*
 * A request and its answer, in a session that is opened when needed.
 */


#ifndef ATLS_CLIENT_EXCHANGE_H_INCLUDED
#define ATLS_CLIENT_EXCHANGE_H_INCLUDED


#include "client.h"


/* Plaintext of the session of a client: data. */

atls_error_e atls_exchange_plain(void *data, const unsigned char *bytes,
    size_t n);


#endif /* ATLS_CLIENT_EXCHANGE_H_INCLUDED */

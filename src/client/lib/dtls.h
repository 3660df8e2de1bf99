
/*
 * Requests with DTLS records (ATLS_DTLS): each is sent in one POST, and so is
 * the response.
 */


#ifndef ATLS_CLIENT_DTLS_H_INCLUDED
#define ATLS_CLIENT_DTLS_H_INCLUDED


#include "error.h"


/*
 * Sends the request of client->message, and passes the response to
 * client->response.  Opens the session if necessary.  On error, client->lost
 * tells whether the request may be repeated if it is idempotent, and
 * client->sending whether the server may have received it.
 */

atls_error_e atls_dtls_perform(atls_client_t *client);


#endif /* ATLS_CLIENT_DTLS_H_INCLUDED */

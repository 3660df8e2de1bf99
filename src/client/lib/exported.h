
/*
 * Requests with exported keys (ATLS_EXPORTED_KEYS): each is a message, sent in
 * one POST, and so is the response.  TLS records are only used for the
 * handshake, and to close the session.
 *
 * Several clients can use the session of one of them, the lead, at the same
 * time, in different threads: each POST has its own connection.
 */


#ifndef ATLS_CLIENT_EXPORTED_H_INCLUDED
#define ATLS_CLIENT_EXPORTED_H_INCLUDED


#include "error.h"


/*
 * The server accepts numbers of messages that are smaller than the largest one
 * by less than this.
 */

#define ATLS_EXPORTED_WINDOW    64


/*
 * Called before the first request of a client with the same options as the
 * lead, which must exist longer, and must not send requests itself.
 */

void atls_exported_share(atls_client_t *client, atls_client_t *lead);

/*
 * Sends the message of client->message, and passes the response to
 * client->response.  Opens the session if necessary.  On error, client->lost
 * tells whether the request may be repeated if it is idempotent, and
 * client->sending whether the server may have received it.
 */

atls_error_e atls_exported_perform(atls_client_t *client);


#endif /* ATLS_CLIENT_EXPORTED_H_INCLUDED */


/*
 * The session of a client: opened by a handshake, and used for POSTs.  It is
 * described by members of the client, see client.h.
 */


#ifndef ATLS_CLIENT_SESSION_H_INCLUDED
#define ATLS_CLIENT_SESSION_H_INCLUDED


#include <stdint.h>

#include "error.h"


/*
 * Opens a new session, resumed from the store if possible.  early: the request
 * may be sent as early data.  With TLS 1.3, the last flight is not sent yet.
 */

atls_error_e atls_session_open(atls_client_t *client, int early);

/*
 * Called before a request: checks whether the open session, if any, still
 * exists.  If it does not, client->open is 0 afterwards.  A session is not used
 * if its cookie has expired.  If the request cannot be repeated, and the
 * session was not used just before, it is probed by an empty POST.  After an
 * error, nothing of the request was sent, and the session may be used again.
 */

atls_error_e atls_session_check(atls_client_t *client, int repeatable);

/*
 * Sends pending records in a POST and processes the response.  On error,
 * client->lost tells whether the session was lost.
 */

atls_error_e atls_session_post(atls_client_t *client);

/*
 * Sends pending alerts, such as close_notify, until the deadline, by
 * atls_clock().  Errors are ignored.  The second function returns the usual
 * deadline.
 */

void atls_session_send_alert(atls_client_t *client, int64_t deadline);
int64_t atls_session_alert_deadline(const atls_client_t *client);


#endif /* ATLS_CLIENT_SESSION_H_INCLUDED */

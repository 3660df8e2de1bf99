
/*
 * Upgraded connections (RFC 9110, section 7.8) in a session: after a 101
 * response, both sides may send at any time.
 */


#ifndef ATLS_CLIENT_UPGRADE_H_INCLUDED
#define ATLS_CLIENT_UPGRADE_H_INCLUDED


#include "buf.h"
#include "retry.h"


/*
 * The same as atls_perform() with a request that may be upgraded, to the
 * protocol in its Upgrade header.  If so, the 101 response is passed to the
 * callbacks, and data after it to on_body.
 */

atls_error_e atls_upgrade(atls_client_t *client, const atls_request_t *request);

/* Whether it was. */

int atls_upgraded(const atls_client_t *client);

/*
 * Afterwards, the plaintext in the records that are passed to
 * atls_upgraded_receive() is passed to this function.
 */

void atls_upgraded_open(atls_client_t *client, atls_sink_pt plain, void *data);
atls_error_e atls_upgraded_receive(void *data, const unsigned char *bytes,
    size_t n);

/*
 * Adds records to a POST: with data, a record without data that shows whose
 * poll it is, or close_notify.  If it asks for an answer, the response begins
 * with a record, even if the POST is still open.  With TLS 1.2, polls have no
 * record.
 */

atls_error_e atls_upgraded_seal(void *data, const unsigned char *bytes,
    size_t n, atls_buf_t *out);
atls_error_e atls_upgraded_poll(void *data, int ask, atls_buf_t *out);
atls_error_e atls_upgraded_close(void *data, atls_buf_t *out);

/* Whether the server has closed the session. */

int atls_upgraded_closed(void *data);

/* Gives the client back: its next request opens a new session. */

void atls_upgraded_end(atls_client_t *client);

/* The connection and the failure of the client, and how often it repeats. */

const atls_retry_t *atls_upgraded_retry(const atls_client_t *client);


#endif /* ATLS_CLIENT_UPGRADE_H_INCLUDED */

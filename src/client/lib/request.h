
/*
 * An inner request: its header, and its body piece by piece.
 */


#ifndef ATLS_CLIENT_REQUEST_H_INCLUDED
#define ATLS_CLIENT_REQUEST_H_INCLUDED


#include <sys/types.h>

#include "buf.h"
#include "error.h"


typedef struct {
    const atls_request_t    *request;
    const char              *method;
    atls_failure_t          *failure;

    atls_buf_t               header;

    int64_t                  length;        /* ATLS_LENGTH_UNKNOWN: chunked */
    int64_t                  sent;
    off_t                    start;         /* of a file; -1: it can't be
                                               rewound */
    unsigned                 ended:1;       /* all of the body was read */
} atls_message_t;


/*
 * Whether method, path and headers are such that can be sent.  It is the same
 * for all ways that a request may go.
 */

atls_error_e atls_request_check(const atls_request_t *request,
    atls_failure_t *failure);

/* Checks the request, and makes its header. */

atls_error_e atls_message_open(atls_message_t *message,
    const atls_request_t *request, const char *authority,
    atls_failure_t *failure);

/*
 * The next bytes of the body as it is to be sent, from 1 to size, which is
 * ATLS_MESSAGE_MIN or more; 0: there are none yet, what was read is to be sent.
 * Not to be called once it has ended.
 */

#define ATLS_MESSAGE_MIN    64

atls_error_e atls_message_read(atls_message_t *message, unsigned char *buf,
    size_t size, size_t *n);

/*
 * Goes back to the body's beginning.  Returns 0; -1 if it can't be had again.
 * Nothing of it was read: nothing to go back.
 */

int atls_message_rewind(atls_message_t *message);

/* RFC 9110, section 9.2.2 and 9.2.1; those of early data are safe, too. */

int atls_message_idempotent(const atls_message_t *message);
int atls_message_early(const atls_message_t *message);

void atls_message_close(atls_message_t *message);


#endif /* ATLS_CLIENT_REQUEST_H_INCLUDED */

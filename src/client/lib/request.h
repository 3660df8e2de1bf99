
/*
 * Inner requests: the header, and the body in pieces.
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
    off_t                    start;         /* file offset of the body; -1: not
                                               seekable */
    unsigned                 ended:1;       /* the whole body was read */
} atls_message_t;


/*
 * Checks the method, path and headers.  The check is the same for ATLS and for
 * plain HTTPS.
 */

atls_error_e atls_request_check(const atls_request_t *request,
    atls_failure_t *failure);

/* Checks the request and writes its header. */

atls_error_e atls_message_open(atls_message_t *message,
    const atls_request_t *request, const char *authority,
    atls_failure_t *failure);

/*
 * Reads the next 1 to size bytes of the body, encoded as they are sent; size is
 * ATLS_MESSAGE_MIN or more.  If *n is 0, no data are available yet, and
 * previous data should be sent.  Must not be called after the end of the body.
 */

#define ATLS_MESSAGE_MIN    64

atls_error_e atls_message_read(atls_message_t *message, unsigned char *buf,
    size_t size, size_t *n);

/*
 * Reads the whole request, header and body, which must fit into a POST.  "what"
 * is used in the error text.
 */

atls_error_e atls_message_whole(atls_message_t *message, atls_buf_t *buf,
    size_t most, const char *what);

/* Rewinds the body.  Returns 0, or -1 if this is not possible. */

int atls_message_rewind(atls_message_t *message);

/*
 * Whether the request is idempotent (RFC 9110, section 9.2.2); whether it is,
 * and its body can probably be rewound; and whether it can be sent as early
 * data: it must be safe (section 9.2.1) and have no body.
 */

int atls_message_idempotent(const atls_message_t *message);
int atls_message_repeatable(const atls_message_t *message);
int atls_message_early(const atls_message_t *message);

void atls_message_close(atls_message_t *message);


#endif /* ATLS_CLIENT_REQUEST_H_INCLUDED */


/*
 * The bytes of a POST and of the response, see outer_io.h.
 */


#include <string.h>

#include "outer_io.h"
#include "outer_session.h"
#include "outer_struct.h"


int
atls_outer_progress(void *data, curl_off_t dltotal, curl_off_t dlnow,
    curl_off_t ultotal, curl_off_t ulnow)
{
    atls_outer_t  *outer = data;

    (void) dltotal;
    (void) dlnow;
    (void) ultotal;
    (void) ulnow;

    return outer->wait && outer->wait(outer->wait_data) != 0;
}


size_t
atls_outer_read(char *buf, size_t size, size_t n, void *data)
{
    atls_outer_t  *outer = data;

    n = outer->source ? outer->source(outer->sink_data, buf, size * n) : 0;

    return n == 0 ? CURL_READFUNC_PAUSE : n == ATLS_SOURCE_END ? 0 : n;
}


/* After a response, such as one of a proxy to authenticate, it may go on. */

int
atls_outer_once(void *data, char *remote, char *local, int remote_port,
    int local_port)
{
    atls_outer_t  *outer = data;

    (void) remote;
    (void) local;
    (void) remote_port;
    (void) local_port;

    outer->lost = outer->waits;
    outer->waits = 1;

    return outer->lost ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}


/*
 * The last line of a header is empty.  There may be several headers, each of
 * which begins with a status line, and a trailer, which does not.
 */

size_t
atls_outer_header(char *line, size_t size, size_t n, void *data)
{
    atls_outer_t  *outer = data;

    n *= size;
    outer->waits = 0;

    if (*line == '\r' || *line == '\n') {
        outer->headed = 1;

    } else if (n >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        outer->headed = 0;
    }

    return n;
}


size_t
atls_outer_write(char *bytes, size_t size, size_t n, void *data)
{
    atls_outer_t  *outer = data;

    n *= size;

    if (outer->reply.kind == ATLS_REPLY_UNKNOWN) {
        atls_outer_begin(outer);
    }

    if (outer->sink_error != ATLS_OK) {
        return 0;
    }

    if (outer->reply.kind == ATLS_REPLY_GOOD) {

        if (outer->full && outer->full(outer->sink_data)) {
            return CURL_WRITEFUNC_PAUSE;
        }

        outer->sink_error = outer->sink(outer->sink_data,
                                        (unsigned char *) bytes, n);

        return outer->sink_error == ATLS_OK ? n : 0;
    }

    return atls_reply_body(&outer->reply, bytes, n) == 0 ? n : 0;
}


void
atls_outer_begin(atls_outer_t *outer)
{
    atls_reply_begin(&outer->reply);

    if (atls_reply_field(&outer->reply, "Set-Cookie")) {
        atls_expiry_look(&outer->expiry, outer->curl);

        /* if all responses set cookies, only one is recorded in vain */

        if (outer->repost.size) {
            atls_repost_clear(&outer->repost);
        }
    }

    if (outer->reply.kind == ATLS_REPLY_GOOD && outer->reply.status == 201) {
        atls_outer_follow(outer);
    }
}

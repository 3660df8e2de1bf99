
/*
 * The header of a request of a local program: HTTP/1.x (RFC 9112), as strictly
 * as it can be read.
 */


#ifndef ATLS_CMD_LOCAL_H_INCLUDED
#define ATLS_CMD_LOCAL_H_INCLUDED


#include "../lib/http.h"
#include "headers.h"
#include "stream.h"


typedef struct {
    char            *method;            /* "-" until it is known */
    char            *path;              /* likewise; with the query */
    char            *host;              /* NULL: there is none */
    int              minor;             /* of the version, 0 or 1 */
    cmd_headers_t    headers;           /* when it is ready: to be passed on */
    int64_t          length;            /* of the body;
                                           ATLS_LENGTH_UNKNOWN: chunked */
    char            *origin;            /* NULL, or headers of a browser */
    char            *referer;
    char            *site;

    unsigned         keepalive:1;       /* the connection may be kept */
    unsigned         expect:1;          /* 100 (Continue) is waited for */

    int              status;            /* why it is refused; 0: it is not */
    const char      *error;

    atls_lines_t     lines;
} cmd_local_t;


/*
 * 1: it is ready; 0: the peer has gone, or said nothing in time; -1: it is
 * refused.  Whatever it is, it is to be freed.
 */

int cmd_local_read(cmd_local_t *local, cmd_stream_t *stream);

void cmd_local_free(cmd_local_t *local);


#endif /* ATLS_CMD_LOCAL_H_INCLUDED */

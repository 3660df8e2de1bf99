
/*
 * The header of a request of a local program: HTTP/1.x (RFC 9112), parsed
 * strictly.
 */


#ifndef ATLS_CMD_LOCAL_H_INCLUDED
#define ATLS_CMD_LOCAL_H_INCLUDED


#include "../../lib/http.h"
#include "../base/headers.h"
#include "stream.h"


typedef struct {
    char            *method;            /* "-" until parsed */
    char            *path;              /* with query string; "-" until
                                           parsed; of CONNECT: not checked */
    char            *host;              /* value of Host, or NULL */
    int              minor;             /* minor HTTP version, 0 or 1 */
    cmd_headers_t    headers;           /* to be forwarded */
    int64_t          length;            /* of the body; ATLS_LENGTH_UNKNOWN:
                                           chunked */
    char            *origin;            /* Origin, Referer and Sec-Fetch-Site,
                                           or NULL */
    char            *referer;
    char            *site;
    char            *proxy_auth;        /* Proxy-Authorization, or NULL */

    unsigned         keepalive:1;       /* keep-alive is allowed */
    unsigned         expect:1;          /* Expect: 100-continue */
    unsigned         upgrade:1;         /* to WebSocket */

    int              status;            /* status of the error response; 0: no
                                           error */
    const char      *error;

    atls_lines_t     lines;
} cmd_local_t;


/*
 * Returns 1 if the header is valid, -1 if the request must be rejected, and 0
 * if the client closed the connection or sent nothing in time.  The structure
 * must be freed in any case.
 */

int cmd_local_read(cmd_local_t *local, cmd_stream_t *stream);

void cmd_local_free(cmd_local_t *local);


#endif /* ATLS_CMD_LOCAL_H_INCLUDED */

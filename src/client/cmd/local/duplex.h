
/*
 * An open POST: data are added to it while its response is received.  Whether
 * the path passes both at the same time is found out by trying, since a
 * middlebox may store a POST until it is complete, or its response.
 *
 *     cmd_duplex_begin(&duplex, &body, asks);
 *
 *     while (!cmd_duplex_is_due(&duplex, now, the response has begun)) {
 *         ... cmd_duplex_read() by the connection ...
 *     }
 *
 *     cmd_duplex_end(&duplex);
 */


#ifndef ATLS_CMD_DUPLEX_H_INCLUDED
#define ATLS_CMD_DUPLEX_H_INCLUDED


#include "../../lib/buf.h"


typedef enum {
    CMD_DUPLEX_UNKNOWN = 0,
    CMD_DUPLEX_PASSED,
    CMD_DUPLEX_STORED
} cmd_duplex_path_e;


typedef struct {
    cmd_duplex_path_e    path;
    const atls_buf_t    *body;              /* not owned; it grows */
    size_t               read;              /* bytes of it */
    int64_t              began;             /* by atls_clock() */
    int64_t              expires;           /* the cookie, which the response to
                                               the next POST may prolong;
                                               0: never */
    unsigned             open:1;
    unsigned             asks:1;
} cmd_duplex_t;


/* If the POST asks for it, the response begins at once. */

void cmd_duplex_begin(cmd_duplex_t *duplex, const atls_buf_t *body, int asks);

/* Whether data can be added to the body. */

int cmd_duplex_has_room(const cmd_duplex_t *duplex);

/*
 * Whether the POST is to be ended: it is large or old enough, its response has
 * not begun in time, or half of the time of the cookie has passed.  The second
 * function tells when to ask again.
 */

int cmd_duplex_is_due(cmd_duplex_t *duplex, int64_t now, int begun);
int64_t cmd_duplex_until(const cmd_duplex_t *duplex, int begun);

void cmd_duplex_end(cmd_duplex_t *duplex);

/* The next bytes, as by an atls_source_pt. */

size_t cmd_duplex_read(cmd_duplex_t *duplex, void *buf, size_t size);


#endif /* ATLS_CMD_DUPLEX_H_INCLUDED */

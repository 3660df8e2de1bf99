
/*
 * Open POSTs, see duplex.h.
 */


#include <string.h>

#include "../../lib/clock.h"
#include "../../lib/outer.h"
#include "duplex.h"


/* a POST ends before it is too large for endpoints and proxies, or too old */

#define CMD_DUPLEX_SIZE     (512 * 1024)
#define CMD_DUPLEX_UNREAD   (128 * 1024)
#define CMD_DUPLEX_TIME     25000           /* milliseconds */
#define CMD_DUPLEX_TRIAL    1000            /* until the response begins */


void
cmd_duplex_begin(cmd_duplex_t *duplex, const atls_buf_t *body, int asks)
{
    duplex->body = body;
    duplex->read = 0;
    duplex->began = atls_clock();
    duplex->open = 1;
    duplex->asks = asks;
}


int
cmd_duplex_has_room(const cmd_duplex_t *duplex)
{
    return duplex->body->len - duplex->read < CMD_DUPLEX_UNREAD
           && duplex->body->len < CMD_DUPLEX_SIZE;
}


int
cmd_duplex_is_due(cmd_duplex_t *duplex, int64_t now, int begun)
{
    int  late;

    late = now >= cmd_duplex_until(duplex, begun);

    if (begun) {
        duplex->path = CMD_DUPLEX_PASSED;

    } else if (late
               && (duplex->asks || duplex->path == CMD_DUPLEX_UNKNOWN))
    {
        duplex->path = CMD_DUPLEX_STORED;
    }

    return late || duplex->body->len >= CMD_DUPLEX_SIZE;
}


/*
 * Half of the cookie's time is left for the end of the POST, and the beginning
 * of the next one: this process may not run for a while.
 */

int64_t
cmd_duplex_until(const cmd_duplex_t *duplex, int begun)
{
    int64_t  until, half;

    if (!begun) {
        return duplex->began + CMD_DUPLEX_TRIAL;
    }

    until = duplex->began + CMD_DUPLEX_TIME;
    half = duplex->began + (duplex->expires - duplex->began) / 2;

    return duplex->expires && half < until ? half : until;
}


void
cmd_duplex_end(cmd_duplex_t *duplex)
{
    duplex->open = 0;
}


size_t
cmd_duplex_read(cmd_duplex_t *duplex, void *buf, size_t size)
{
    size_t  n;

    n = duplex->body->len - duplex->read;

    if (n == 0) {
        return duplex->open ? 0 : ATLS_SOURCE_END;
    }

    n = n < size ? n : size;

    memcpy(buf, duplex->body->data + duplex->read, n);
    duplex->read += n;

    return n;
}

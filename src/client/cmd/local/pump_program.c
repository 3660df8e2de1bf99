
/*
 * The local program of a pump, see pump_program.h.
 */


#include <errno.h>
#include <string.h>

#include "../../lib/clock.h"
#include "pump_limits.h"
#include "pump_program.h"
#include "stop.h"


#define CMD_PUMP_STALL      300000          /* milliseconds without progress
                                               until a program is gone that does
                                               not read, */
#define CMD_PUMP_CLOSED     3000            /* if there will be no more data */


void
cmd_pump_read(cmd_pump_t *pump)
{
    ssize_t        n;
    cmd_stream_t  *stream = pump->stream;

    while (pump->in.len < CMD_PUMP_SIZE) {

        n = cmd_stream_fill(stream, 0);

        if (n == -1 && errno == EAGAIN) {
            return;
        }

        if (n <= 0
            || atls_buf_add(&pump->in, stream->buf + stream->pos, (size_t) n)
               == -1)
        {
            pump->ended = 1;
            return;
        }

        stream->pos += (size_t) n;
    }
}


void
cmd_pump_write(cmd_pump_t *pump)
{
    ssize_t  n;

    n = cmd_stream_send(pump->stream, pump->out.data + pump->pos,
                        pump->out.len - pump->pos);

    if (n == -1) {
        pump->gone = 1;
        return;
    }

    pump->pos += (size_t) n;

    if (n) {
        pump->progress = atls_clock();
    }

    if (pump->pos < pump->out.len && pump->pos < CMD_PUMP_SIZE) {
        return;
    }

    /* a program that never has read everything does not let it grow */

    pump->out.len -= pump->pos;
    memmove(pump->out.data, pump->out.data + pump->pos, pump->out.len);
    pump->pos = 0;
}


/* A program that does not read must not keep the session, or the command. */

void
cmd_pump_stall(cmd_pump_t *pump)
{
    int  closed;

    closed = cmd_stopping() || pump->type->closed(pump->data);

    if (pump->pos < pump->out.len
        && atls_clock() - pump->progress
           > (closed ? CMD_PUMP_CLOSED : CMD_PUMP_STALL))
    {
        pump->gone = 1;
    }
}


atls_error_e
cmd_pump_receive(void *data, const unsigned char *bytes, size_t n)
{
    cmd_pump_t  *pump = data;

    pump->received += n;

    if (pump->out.len == 0) {
        pump->progress = atls_clock();
    }

    return atls_buf_add(&pump->out, bytes, n) == -1
           ? atls_fail_memory(pump->failure) : ATLS_OK;
}

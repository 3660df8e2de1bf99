
/*
 * Bodies of local requests, see body.h.
 */


#include <string.h>

#include "../../lib/clock.h"
#include "body.h"


#define CMD_BODY_LINES      16384       /* total size of chunk lines, or of a
                                           trailer */


static int cmd_body_timeout(const cmd_body_t *body);
static int cmd_body_continue(cmd_body_t *body);
static long cmd_body_counted(cmd_body_t *body, char *buf, size_t n);
static long cmd_body_chunked(cmd_body_t *body, char *buf, size_t n);


void
cmd_body_init(cmd_body_t *body, const cmd_local_t *local, cmd_stream_t *stream)
{
    memset(body, 0, sizeof(cmd_body_t));

    body->stream = stream;
    body->rest = local->length;
    body->expect = local->expect;
    body->ended = body->rest == 0;
    body->chunks.limit = CMD_BODY_LINES;
}


long
cmd_body_read(cmd_body_t *body, void *buf, size_t size)
{
    long     n;
    ssize_t  got;

    n = 0;

    while (n == 0 && !body->ended) {

        if (cmd_body_continue(body) == -1) {
            return -1;
        }

        got = cmd_stream_fill(body->stream, cmd_body_timeout(body));

        if (got <= 0) {
            if (got == -1 && !cmd_stream_gone(body->stream)) {
                body->status = 408;
                body->error = "request body timed out";
            }

            return -1;
        }

        if ((size_t) got > size) {
            got = (ssize_t) size;
        }

        n = body->rest == ATLS_LENGTH_UNKNOWN
            ? cmd_body_chunked(body, buf, (size_t) got)
            : cmd_body_counted(body, buf, (size_t) got);
    }

    return n;
}


static int
cmd_body_timeout(const cmd_body_t *body)
{
    int64_t  timeout;

    timeout = CMD_STREAM_TIMEOUT;

    if (body->deadline && body->deadline - atls_clock() < timeout) {
        timeout = body->deadline - atls_clock();
    }

    return timeout < 0 ? 0 : (int) timeout;
}


/* Sends 100 (Continue), unless the client already sends the body. */

static int
cmd_body_continue(cmd_body_t *body)
{
    struct iovec       piece;
    static const char  line[] = "HTTP/1.1 100 Continue\r\n\r\n";

    if (!body->expect) {
        return 0;
    }

    body->expect = 0;

    if (cmd_stream_pending(body->stream)) {
        return 0;
    }

    piece.iov_base = (void *) line;
    piece.iov_len = sizeof(line) - 1;

    return cmd_stream_write(body->stream, &piece, 1);
}


static long
cmd_body_counted(cmd_body_t *body, char *buf, size_t n)
{
    cmd_stream_t  *stream = body->stream;

    if (n > (uint64_t) body->rest) {
        n = (size_t) body->rest;
    }

    memcpy(buf, stream->buf + stream->pos, n);

    stream->pos += n;
    body->rest -= (int64_t) n;
    body->ended = body->rest == 0;

    return (long) n;
}


/*
 * Decodes n bytes in the buffer.  Data after the end of the body belong to the
 * next request.
 */

static long
cmd_body_chunked(cmd_body_t *body, char *buf, size_t n)
{
    char                 *to;
    size_t                piece;
    atls_chunks_t        *chunks = &body->chunks;
    cmd_stream_t         *stream = body->stream;
    const unsigned char  *bytes, *pos, *end;

    bytes = (unsigned char *) stream->buf + stream->pos;
    pos = bytes;
    end = bytes + n;
    to = buf;

    while (pos < end && chunks->state != ATLS_CHUNK_COMPLETE) {

        if (atls_chunks_read(chunks, &pos, end, &piece)) {
            body->status = 400;
            body->error = "invalid chunked body";
            return -1;
        }

        to = mempcpy(to, pos - piece, piece);
    }

    stream->pos += (size_t) (pos - bytes);
    body->ended = chunks->state == ATLS_CHUNK_COMPLETE;

    return (long) (to - buf);
}

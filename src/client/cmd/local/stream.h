
/*
 * A connection of a local program, with an input buffer.
 */


#ifndef ATLS_CMD_STREAM_H_INCLUDED
#define ATLS_CMD_STREAM_H_INCLUDED


#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "listen.h"


#define CMD_STREAM_SIZE     (32 * 1024)
#define CMD_STREAM_TIMEOUT  60000           /* milliseconds for a few bytes */


typedef struct {
    int      fd;
    char     peer[CMD_LISTEN_NAME];
    size_t   pos;                           /* start of unread data in buf */
    size_t   len;
    char     buf[CMD_STREAM_SIZE];
} cmd_stream_t;


/* The stream closes the socket. */

void cmd_stream_init(cmd_stream_t *stream, int fd);
void cmd_stream_close(cmd_stream_t *stream);

/*
 * Waits for a new request, for the timeout in milliseconds, or forever if it is
 * -1.  Returns 1 if there are data or the connection is closed.  Once the
 * server is being stopped, the function waits only for data in transit.
 */

int cmd_stream_wait_request(cmd_stream_t *stream, int timeout);

/*
 * Waits for data in the buffer, which start at pos.  Returns their size, 0 at
 * the end of the connection, or -1 on error or timeout (EAGAIN).
 */

ssize_t cmd_stream_fill(cmd_stream_t *stream, int timeout);

/* Whether there are unread data. */

int cmd_stream_pending(const cmd_stream_t *stream);

/* Waits for unread data or the end of the connection; returns 0 on timeout. */

int cmd_stream_wait(const cmd_stream_t *stream, int timeout);

/*
 * Whether the client closed its side of the connection, or there is an error.
 */

int cmd_stream_gone(const cmd_stream_t *stream);

/*
 * Writes all pieces and modifies them.  Returns 0, or -1 on error, or if the
 * client does not read for minutes.
 */

int cmd_stream_write(const cmd_stream_t *stream, struct iovec *pieces,
    size_t n);

/*
 * Writes what is possible without waiting; returns the number of bytes, or -1
 * on error.
 */

ssize_t cmd_stream_send(const cmd_stream_t *stream, const void *bytes,
    size_t n);

/* Closes the output, and discards input until its end or a timeout. */

void cmd_stream_end(cmd_stream_t *stream);

/* Makes the connection be reset when it is closed. */

void cmd_stream_reset(const cmd_stream_t *stream);


#endif /* ATLS_CMD_STREAM_H_INCLUDED */


/*
 * A connection of a local program: bytes in, through a buffer, and bytes out.
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
    size_t   pos;                           /* what was taken of the buffer */
    size_t   len;
    char     buf[CMD_STREAM_SIZE];
} cmd_stream_t;


/* The socket is the stream's to be closed. */

void cmd_stream_init(cmd_stream_t *stream, int fd);
void cmd_stream_close(cmd_stream_t *stream);

/*
 * Waits for something new to begin: 1 if it does, or if the peer has gone; 0 if
 * nothing comes within the milliseconds, -1 for any time.  If the program is to
 * end, what is on its way will come within a moment, or not at all.
 */

int cmd_stream_begins(cmd_stream_t *stream, int timeout);

/*
 * Waits for bytes: how many there are in the buffer from pos; 0 if the peer
 * has closed, -1 if it failed or if the time is up.
 */

ssize_t cmd_stream_fill(cmd_stream_t *stream, int timeout);

/* Whether something has come that was not taken. */

int cmd_stream_pending(const cmd_stream_t *stream);

/* Waits for that, or for the end: 0 if the milliseconds are over. */

int cmd_stream_wait(const cmd_stream_t *stream, int timeout);

/* Whether the peer has closed, or its half, or has failed. */

int cmd_stream_gone(const cmd_stream_t *stream);

/* Writes all; the pieces are used up.  0, or -1 if the peer has gone. */

int cmd_stream_write(const cmd_stream_t *stream, struct iovec *pieces,
    size_t n);

/* Ends what is written; what the peer still sends is thrown away. */

void cmd_stream_end(cmd_stream_t *stream);

/* Ends it so that the peer sees a failure. */

void cmd_stream_reset(const cmd_stream_t *stream);


#endif /* ATLS_CMD_STREAM_H_INCLUDED */

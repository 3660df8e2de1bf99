
/*
 * --compressed: decoding of response bodies.
 */


#ifndef ATLS_CMD_DECODE_H_INCLUDED
#define ATLS_CMD_DECODE_H_INCLUDED


#include <stddef.h>


#define CMD_DECODE_CODINGS  "deflate, gzip"

typedef struct cmd_coding_s  cmd_coding_t;

typedef struct {
    cmd_coding_t   **codings;           /* in the order of the headers */
    size_t           n;
    int              unknown;           /* one of them is not supported */
} cmd_decode_t;

/* Receives a decoded piece; returns an exit code. */

typedef int (*cmd_decode_pt)(void *data, const void *bytes, size_t n);


/* Adds the codings of a Content-Encoding header to a zeroed structure. */

void cmd_decode_add(cmd_decode_t *decode, const char *value);

/* Decodes a piece of the body.  Returns an exit code. */

int cmd_decode(const cmd_decode_t *decode, const void *bytes, size_t n,
    cmd_decode_pt sink, void *data);

/* Returns an error if the end of the body is missing. */

int cmd_decode_end(const cmd_decode_t *decode);

void cmd_decode_free(cmd_decode_t *decode);


#endif /* ATLS_CMD_DECODE_H_INCLUDED */


/*
 * A strict HTTP/1.x parser (RFC 9112) for requests and responses: lines,
 * fields, lengths and chunks.
 */


#ifndef ATLS_CLIENT_HTTP_H_INCLUDED
#define ATLS_CLIENT_HTTP_H_INCLUDED


#include <stddef.h>
#include <stdint.h>

#include "buf.h"


typedef enum {
    ATLS_LINE_READY = 0,
    ATLS_LINE_MORE,                         /* bytes are needed */
    ATLS_LINE_TOO_LARGE,
    ATLS_LINE_NO_CRLF,
    ATLS_LINE_CONTROL,                      /* has a control character */
    ATLS_LINE_MEMORY
} atls_line_e;


typedef struct {
    atls_buf_t           text;              /* lines that end with "\0\n" */
    size_t               line;              /* where the last one begins */
    size_t               next;              /* where the next one begins */
    size_t               read;              /* bytes of all lines */
    size_t               limit;             /* of these */
} atls_lines_t;


typedef enum {
    ATLS_CHUNK_SIZE = 0,
    ATLS_CHUNK_EXTENSION,
    ATLS_CHUNK_START,                       /* LF */
    ATLS_CHUNK_DATA,
    ATLS_CHUNK_END,                         /* CR */
    ATLS_CHUNK_NEXT,                        /* LF */
    ATLS_CHUNK_TRAILER,                     /* at a line's beginning */
    ATLS_CHUNK_TRAILER_LINE,
    ATLS_CHUNK_TRAILER_NEXT,                /* LF */
    ATLS_CHUNK_TRAILER_END,                 /* LF */
    ATLS_CHUNK_COMPLETE
} atls_chunk_e;


typedef struct {
    atls_chunk_e         state;
    uint64_t             rest;              /* of the chunk */
    size_t               read;              /* of lines around a chunk */
    size_t               limit;             /* of these */
    unsigned             digits:1;          /* of the size: there were some */
} atls_chunks_t;


/* Takes bytes up to the end of a line, which is added to the text. */

atls_line_e atls_lines_read(atls_lines_t *lines, const unsigned char **pos,
    const unsigned char *end);

/* Empties the text. */

void atls_lines_clear(atls_lines_t *lines);

/* The last line, and the one after a line, as strings. */

char *atls_lines_last(const atls_lines_t *lines);
char *atls_lines_next(const char *line);

/* The status line.  Returns the reason phrase; NULL: it is no status line. */

const char *atls_http_status(const char *line, unsigned *minor, int *status);

/* Ends the name with \0.  Returns the value; NULL: it is no field. */

char *atls_http_field(char *line);

/* The value of Content-Length.  Returns 0 or -1. */

int atls_http_length(const char *value, uint64_t *length);

/*
 * Takes bytes up to the next piece of a chunk, and that; none is taken after
 * the last chunk and its trailer.  Returns NULL, or what is wrong.  n: how long
 * the piece is, which ends at pos; 0: bytes are needed, or it is complete.
 */

const char *atls_chunks_read(atls_chunks_t *chunks, const unsigned char **pos,
    const unsigned char *end, size_t *n);

/* Tokens, field values: RFC 9110, section 5.6.2 and 5.5. */

int atls_http_is_token(const char *text, size_t n);
int atls_http_is_value(const char *text, size_t n);


#endif /* ATLS_CLIENT_HTTP_H_INCLUDED */

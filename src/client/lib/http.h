
/*
 * A strict HTTP/1.x parser (RFC 9112) for requests and responses: lines,
 * fields, lengths and chunks.
 */


#ifndef ATLS_CLIENT_HTTP_H_INCLUDED
#define ATLS_CLIENT_HTTP_H_INCLUDED


#include <stddef.h>
#include <stdint.h>
#include <strings.h>

#include "buf.h"


typedef enum {
    ATLS_LINE_READY = 0,
    ATLS_LINE_MORE,                         /* the line is incomplete */
    ATLS_LINE_TOO_LARGE,
    ATLS_LINE_NO_CRLF,
    ATLS_LINE_CONTROL,                      /* the line has a control
                                               character */
    ATLS_LINE_MEMORY
} atls_line_e;


typedef struct {
    atls_buf_t           text;              /* lines that end with "\0\n" */
    size_t               line;              /* offset of the last line */
    size_t               next;              /* offset of the next line */
    size_t               read;              /* bytes of all lines read */
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
    uint64_t             rest;              /* bytes left in the chunk */
    size_t               read;              /* bytes of lines around a chunk */
    size_t               limit;             /* of these */
    unsigned             digits:1;          /* the size has digits */
} atls_chunks_t;


/* Reads bytes up to the end of a line, and adds the line to the text. */

atls_line_e atls_lines_read(atls_lines_t *lines, const unsigned char **pos,
    const unsigned char *end);

/* Empties the text. */

void atls_lines_clear(atls_lines_t *lines);

/* The last line, and the line after another one; null-terminated. */

char *atls_lines_last(const atls_lines_t *lines);
char *atls_lines_next(const char *line);

/*
 * Parses a status line.  Returns the reason phrase, or NULL if it is invalid.
 */

const char *atls_http_status(const char *line, unsigned *minor, int *status);

/*
 * Parses a field line and null-terminates the name.  Returns the value, or NULL
 * if the line is invalid.
 */

char *atls_http_field(char *line);

/* The value of a line that was parsed. */

const char *atls_http_value(const char *line);

/* Parses the value of Content-Length.  Returns 0 or -1. */

int atls_http_length(const char *value, uint64_t *length);

/*
 * Reads a chunked body (RFC 9112, section 7.1), up to the end of the next piece
 * of data.  The piece has n bytes and ends at pos; if n is 0, the body is
 * complete or more bytes are needed.  Bytes after the last chunk and its
 * trailer are not read.  Returns NULL or an error message.
 */

const char *atls_chunks_read(atls_chunks_t *chunks, const unsigned char **pos,
    const unsigned char *end, size_t *n);

/*
 * Whether a text is a token or a field value (RFC 9110, sections 5.6.2 and
 * 5.5).
 */

int atls_http_is_token(const char *text, size_t n);
int atls_http_is_value(const char *text, size_t n);

/*
 * Whether two names of header fields are equal.  Most differ in the first
 * letter.
 */

#define atls_http_is_name(a, b)                                               \
    ((*(a) | 0x20) == (*(b) | 0x20) && strcasecmp(a, b) == 0)

/*
 * Whether a method is idempotent, see RFC 9110, section 9.2.2: such a request
 * can be repeated.
 */

int atls_http_is_idempotent(const char *method);


/* Appends a header line, several times as fast as atls_buf_print(). */

int atls_http_add(atls_buf_t *header, const char *name, const char *value);


#endif /* ATLS_CLIENT_HTTP_H_INCLUDED */

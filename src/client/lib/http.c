
/*
 * HTTP/1.x lines, fields, lengths and chunks, see http.h.
 */


#include <string.h>

#include <openssl/crypto.h>

#include "http.h"


#define ATLS_HTTP_MAX_LENGTH    ((uint64_t) 1 << 62)

#define ATLS_HTTP_BYTES(ch)     ((uint64_t) 0x0101010101010101 * (ch))


static atls_line_e atls_lines_end(atls_lines_t *lines);
static const char *atls_chunks_line(atls_chunks_t *chunks, unsigned char ch);
static const char *atls_chunks_size(atls_chunks_t *chunks, unsigned char ch);


atls_line_e
atls_lines_read(atls_lines_t *lines, const unsigned char **pos,
    const unsigned char *end)
{
    size_t                n;
    const unsigned char  *eol;

    eol = memchr(*pos, '\n', (size_t) (end - *pos));
    n = (size_t) ((eol ? eol + 1 : end) - *pos);

    lines->read += n;

    if (lines->read > lines->limit) {
        return ATLS_LINE_TOO_LARGE;
    }

    if (atls_buf_add(&lines->text, *pos, n) == -1) {
        return ATLS_LINE_MEMORY;
    }

    *pos += n;

    return eol ? atls_lines_end(lines) : ATLS_LINE_MORE;
}


/* Null-terminates a complete line. */

static atls_line_e
atls_lines_end(atls_lines_t *lines)
{
    char    *line;
    size_t   len;

    line = (char *) lines->text.data + lines->next;
    len = lines->text.len - lines->next;

    if (len < 2 || line[len - 2] != '\r') {
        return ATLS_LINE_NO_CRLF;
    }

    line[len - 2] = '\0';

    if (!atls_http_is_value(line, len - 2)) {
        return ATLS_LINE_CONTROL;
    }

    lines->line = lines->next;
    lines->next = lines->text.len;

    return ATLS_LINE_READY;
}


void
atls_lines_clear(atls_lines_t *lines)
{
    lines->text.len = 0;
    lines->line = 0;
    lines->next = 0;
}


char *
atls_lines_last(const atls_lines_t *lines)
{
    return (char *) lines->text.data + lines->line;
}


/* A parsed line may contain null characters. */

char *
atls_lines_next(const char *line)
{
    return (char *) rawmemchr(line, '\n') + 1;
}


const char *
atls_http_status(const char *line, unsigned *minor, int *status)
{
    if (strncmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1')
        || line[8] != ' '
        || line[9] < '1' || line[9] > '9'
        || line[10] < '0' || line[10] > '9'
        || line[11] < '0' || line[11] > '9'
        || (line[12] != ' ' && line[12] != '\0'))
    {
        return NULL;
    }

    *minor = line[7] == '1';
    *status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');

    return line[12] == ' ' ? &line[13] : &line[12];
}


char *
atls_http_field(char *line)
{
    char    *colon, *value;
    size_t   len;

    colon = strchr(line, ':');

    if (colon == NULL || !atls_http_is_token(line, (size_t) (colon - line))) {
        return NULL;
    }

    *colon = '\0';
    value = (char *) atls_http_value(line);
    len = strlen(value);

    while (len && (value[len - 1] == ' ' || value[len - 1] == '\t')) {
        value[--len] = '\0';
    }

    return value;
}


const char *
atls_http_value(const char *line)
{
    line += strlen(line) + 1;

    while (*line == ' ' || *line == '\t') {
        line++;
    }

    return line;
}


int
atls_http_length(const char *value, uint64_t *length)
{
    uint64_t  n;

    n = 0;

    do {
        if (*value < '0' || *value > '9' || n > ATLS_HTTP_MAX_LENGTH / 10) {
            return -1;
        }

        n = n * 10 + (uint64_t) (*value++ - '0');

    } while (*value != '\0');

    *length = n;

    return 0;
}


const char *
atls_chunks_read(atls_chunks_t *chunks, const unsigned char **pos,
    const unsigned char *end, size_t *n)
{
    const char  *error;

    *n = 0;

    while (*pos < end && chunks->state != ATLS_CHUNK_COMPLETE) {

        if (chunks->state == ATLS_CHUNK_DATA) {

            *n = (size_t) (end - *pos);

            if (*n > chunks->rest) {
                *n = (size_t) chunks->rest;
            }

            *pos += *n;
            chunks->rest -= *n;

            if (chunks->rest == 0) {
                chunks->state = ATLS_CHUNK_END;
            }

            return NULL;
        }

        error = atls_chunks_line(chunks, *(*pos)++);

        if (error) {
            return error;
        }
    }

    return NULL;
}


/* Parses a byte between the data of chunks. */

static const char *
atls_chunks_line(atls_chunks_t *chunks, unsigned char ch)
{
    if (ch == '\0' || ++chunks->read > chunks->limit) {
        return "invalid or too long chunk lines";
    }

    switch (chunks->state) {

    case ATLS_CHUNK_SIZE:
        return atls_chunks_size(chunks, ch);

    case ATLS_CHUNK_EXTENSION:
        if (ch == '\r') {
            chunks->state = ATLS_CHUNK_START;
        }

        return ch == '\n' ? "invalid chunk extension" : NULL;

    case ATLS_CHUNK_START:
        if (chunks->rest == 0) {
            chunks->state = ATLS_CHUNK_TRAILER;

        } else {
            chunks->state = ATLS_CHUNK_DATA;
            chunks->digits = 0;
            chunks->read = 0;
        }

        break;

    case ATLS_CHUNK_END:
        chunks->state = ATLS_CHUNK_NEXT;
        return ch == '\r' ? NULL : "chunk too long";

    case ATLS_CHUNK_NEXT:
        chunks->state = ATLS_CHUNK_SIZE;
        break;

    case ATLS_CHUNK_TRAILER:
    case ATLS_CHUNK_TRAILER_LINE:
        if (ch == '\r') {
            chunks->state = chunks->state == ATLS_CHUNK_TRAILER
                            ? ATLS_CHUNK_TRAILER_END : ATLS_CHUNK_TRAILER_NEXT;
            return NULL;
        }

        chunks->state = ATLS_CHUNK_TRAILER_LINE;
        return ch == '\n' ? "invalid trailer" : NULL;

    case ATLS_CHUNK_TRAILER_NEXT:
        chunks->state = ATLS_CHUNK_TRAILER;
        break;

    default: /* ATLS_CHUNK_TRAILER_END */
        chunks->state = ATLS_CHUNK_COMPLETE;
    }

    return ch == '\n' ? NULL : "chunk line without CRLF";
}


static const char *
atls_chunks_size(atls_chunks_t *chunks, unsigned char ch)
{
    int  digit;

    digit = OPENSSL_hexchar2int(ch);

    if (digit != -1) {

        if (chunks->rest >= ATLS_HTTP_MAX_LENGTH / 16) {
            return "chunk too large";
        }

        chunks->rest = chunks->rest * 16 + (uint64_t) digit;
        chunks->digits = 1;

        return NULL;
    }

    if (chunks->digits == 0 || !strchr(" \t;\r", ch)) {
        return "invalid chunk size";
    }

    chunks->state = ch == '\r' ? ATLS_CHUNK_START : ATLS_CHUNK_EXTENSION;

    return NULL;
}


int
atls_http_is_token(const char *text, size_t n)
{
    size_t         i;
    unsigned char  ch;

    static const uint32_t  bits[] = {
        0x00000000,
        0x03ff6cfa,                         /* digits, !#$%&'*+-. */
        0xc7fffffe,                         /* A to Z, ^_ */
        0x57ffffff                          /* a to z, `|~ */
    };

    for (i = 0; i < n; i++) {
        ch = (unsigned char) text[i];

        if (ch >= 0x80 || !(bits[ch / 32] & ((uint32_t) 1 << ch % 32))) {
            return 0;
        }
    }

    return n != 0;
}


int
atls_http_is_value(const char *text, size_t n)
{
    size_t         i;
    uint64_t       word;
    unsigned char  ch;

    /* most often, there is no control character, and no DEL, in eight bytes */

    for (i = 0; n - i >= sizeof(word); i += sizeof(word)) {

        memcpy(&word, &text[i], sizeof(word));

        if (((word - ATLS_HTTP_BYTES(' '))
             | ((word ^ ATLS_HTTP_BYTES(0x7f)) - ATLS_HTTP_BYTES(1)))
            & ~word & ATLS_HTTP_BYTES(0x80))
        {
            break;
        }
    }

    for ( /* void */ ; i < n; i++) {
        ch = (unsigned char) text[i];

        if ((ch < ' ' && ch != '\t') || ch == 0x7f) {
            return 0;
        }
    }

    return 1;
}


int
atls_http_is_idempotent(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0
           || strcmp(method, "OPTIONS") == 0 || strcmp(method, "PUT") == 0
           || strcmp(method, "DELETE") == 0;
}


int
atls_http_add(atls_buf_t *header, const char *name, const char *value)
{
    char    *p;
    size_t   nname, nvalue;

    nname = strlen(name);
    nvalue = strlen(value);

    if (atls_buf_reserve(header, nname + nvalue + 4) == -1) {
        return -1;
    }

    p = (char *) header->data + header->len;

    p = mempcpy(p, name, nname);
    p = mempcpy(p, ": ", 2);
    p = mempcpy(p, value, nvalue);
    memcpy(p, "\r\n", 2);

    header->len += nname + nvalue + 4;

    return 0;
}

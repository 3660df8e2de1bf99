
/*
 * The answer to one inner request, see http.h.
 */


#include <string.h>
#include <strings.h>

#include <openssl/crypto.h>

#include "http.h"


#define ATLS_HTTP_MAX_LENGTH    ((uint64_t) 1 << 62)


static atls_error_e atls_http_header(atls_http_t *http,
    const unsigned char **pos, const unsigned char *end);
static atls_error_e atls_http_header_line(atls_http_t *http);
static atls_error_e atls_http_header_end(atls_http_t *http);
static atls_error_e atls_http_status_line(atls_http_t *http, char **reason);
static atls_error_e atls_http_field(atls_http_t *http, char *line);
static char *atls_http_next(char *line, const char *end);
static atls_error_e atls_http_length(atls_http_t *http, const char *value);
static atls_error_e atls_http_coding(atls_http_t *http, const char *value);
static void atls_http_connection(atls_http_t *http, const char *value);
static atls_error_e atls_http_framing(atls_http_t *http);
static atls_error_e atls_http_deliver(atls_http_t *http, const char *reason);
static atls_error_e atls_http_body(atls_http_t *http,
    const unsigned char **pos, const unsigned char *end);
static atls_error_e atls_http_chunk_line(atls_http_t *http, unsigned char ch);
static atls_error_e atls_http_chunk_size(atls_http_t *http, unsigned char ch);
static atls_error_e atls_http_wrong(atls_http_t *http, const char *what);


void
atls_http_begin(atls_http_t *http, const atls_request_t *request,
    const atls_debug_t *debug, size_t limit, atls_failure_t *failure)
{
    atls_buf_t  header;

    header = http->header;
    header.len = 0;

    memset(http, 0, sizeof(atls_http_t));

    http->header = header;
    http->request = request;
    http->debug = debug;
    http->limit = limit;
    http->failure = failure;
}


void
atls_http_free(atls_http_t *http)
{
    atls_buf_free(&http->header);
}


atls_error_e
atls_http_feed(atls_http_t *http, const unsigned char *bytes, size_t n)
{
    atls_error_e          rc;
    const unsigned char  *pos, *end;

    pos = bytes;
    end = bytes + n;
    rc = ATLS_OK;

    while (pos < end && rc == ATLS_OK) {

        switch (http->state) {

        case ATLS_HTTP_HEADER:
            rc = atls_http_header(http, &pos, end);
            break;

        case ATLS_HTTP_COUNTED:
        case ATLS_HTTP_EOF:
        case ATLS_HTTP_CHUNK:
            rc = atls_http_body(http, &pos, end);
            break;

        case ATLS_HTTP_COMPLETE:
            http->extra = 1;
            return ATLS_OK;

        default:
            rc = atls_http_chunk_line(http, *pos++);
        }
    }

    return rc;
}


/* Takes bytes up to the end of the header, which is read as a whole. */

static atls_error_e
atls_http_header(atls_http_t *http, const unsigned char **pos,
    const unsigned char *end)
{
    size_t                n;
    const unsigned char  *eol;

    eol = memchr(*pos, '\n', (size_t) (end - *pos));
    n = (size_t) ((eol ? eol + 1 : end) - *pos);

    http->read += n;

    if (http->read > http->limit) {
        return atls_http_wrong(http, "its header is too large");
    }

    if (atls_buf_add(&http->header, *pos, n) == -1) {
        return atls_fail_memory(http->failure);
    }

    *pos += n;

    return eol ? atls_http_header_line(http) : ATLS_OK;
}


/* A line is there: ends the header, if it is empty. */

static atls_error_e
atls_http_header_line(atls_http_t *http)
{
    size_t           len;
    unsigned char   *line;

    line = http->header.data + http->line;
    len = http->header.len - http->line;

    if (len < 2 || line[len - 2] != '\r') {
        return atls_http_wrong(http, "a line of its header has no CRLF");
    }

    if (memchr(line, '\0', len) || memchr(line, '\r', len - 2)) {
        return atls_http_wrong(http, "a control character in its header");
    }

    /* anything that is no HTTP is better noticed at its first line */

    if (http->line == 0
        && (len < 5 || memcmp(line, "HTTP/", 5) != 0))
    {
        return atls_http_wrong(http, "it does not begin with a status line");
    }

    http->line = http->header.len;

    if (len > 2) {
        line[len - 2] = '\0';
        return ATLS_OK;
    }

    return atls_http_header_end(http);
}


/* All of it is there, line after line, each ending with "\0\n". */

static atls_error_e
atls_http_header_end(atls_http_t *http)
{
    char          *reason, *line, *end;
    atls_error_e   rc;

    reason = NULL;
    rc = atls_http_status_line(http, &reason);

    end = (char *) http->header.data + http->header.len - 2;

    for (line = atls_http_next((char *) http->header.data, end);
         rc == ATLS_OK && line < end;
         line = atls_http_next(line, end))
    {
        rc = atls_http_field(http, line);
    }

    if (rc != ATLS_OK) {
        return rc;
    }

    if (http->status == 101) {
        return atls_http_wrong(http, "101 was not asked for");
    }

    if (http->status < 200) {
        http->status = 0;
        http->header.len = 0;
        http->line = 0;
        http->chunked = 0;
        http->counted = 0;
        http->close = 0;
        http->keep = 0;
        return ATLS_OK;
    }

    rc = atls_http_framing(http);

    return rc == ATLS_OK ? atls_http_deliver(http, reason) : rc;
}


static atls_error_e
atls_http_status_line(atls_http_t *http, char **reason)
{
    char  *line;

    line = (char *) http->header.data;

    if (strncmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1')
        || line[8] != ' '
        || line[9] < '1' || line[9] > '9'
        || line[10] < '0' || line[10] > '9'
        || line[11] < '0' || line[11] > '9'
        || (line[12] != ' ' && line[12] != '\0'))
    {
        return atls_http_wrong(http, "a bad status line");
    }

    http->minor = line[7] == '1';
    http->status = (line[9] - '0') * 100 + (line[10] - '0') * 10
                   + (line[11] - '0');
    *reason = line[12] == ' ' ? line + 13 : line + 12;

    atls_debug_lines(http->debug, ATLS_DEBUG_INNER_RECEIVED, line,
                     strlen(line));

    if (!atls_http_is_value(*reason, strlen(*reason))) {
        return atls_http_wrong(http, "a control character in its header");
    }

    return ATLS_OK;
}


/* Cuts a line, in place: a name and a value, of which each ends with \0. */

static atls_error_e
atls_http_field(atls_http_t *http, char *line)
{
    char    *colon, *value;
    size_t   len;

    atls_debug_lines(http->debug, ATLS_DEBUG_INNER_RECEIVED, line,
                     strlen(line));

    colon = strchr(line, ':');

    if (colon == NULL || !atls_http_is_token(line, (size_t) (colon - line))) {
        return atls_http_wrong(http, "a bad header line");
    }

    *colon = '\0';
    value = colon + 1;
    value += strspn(value, " \t");
    len = strlen(value);

    if (!atls_http_is_value(value, len)) {
        return atls_http_wrong(http, "a control character in its header");
    }

    while (len && (value[len - 1] == ' ' || value[len - 1] == '\t')) {
        value[--len] = '\0';
    }

    if (strcasecmp(line, "Content-Length") == 0) {
        return atls_http_length(http, value);
    }

    if (strcasecmp(line, "Transfer-Encoding") == 0) {
        return atls_http_coding(http, value);
    }

    if (strcasecmp(line, "Connection") == 0) {
        atls_http_connection(http, value);
    }

    return ATLS_OK;
}


static char *
atls_http_next(char *line, const char *end)
{
    return (char *) memchr(line, '\n', (size_t) (end - line)) + 1;
}


static atls_error_e
atls_http_length(atls_http_t *http, const char *value)
{
    uint64_t  length;

    if (http->counted) {
        return atls_http_wrong(http, "more than one Content-Length");
    }

    length = 0;

    do {
        if (*value < '0' || *value > '9' || length > ATLS_HTTP_MAX_LENGTH / 10)
        {
            return atls_http_wrong(http, "a bad Content-Length");
        }

        length = length * 10 + (uint64_t) (*value++ - '0');

    } while (*value != '\0');

    http->counted = 1;
    http->left = length;

    return ATLS_OK;
}


static atls_error_e
atls_http_coding(atls_http_t *http, const char *value)
{
    if (http->chunked || strcasecmp(value, "chunked") != 0) {
        return atls_http_wrong(http, "a Transfer-Encoding besides chunked");
    }

    http->chunked = 1;

    return ATLS_OK;
}


static void
atls_http_connection(atls_http_t *http, const char *value)
{
    size_t  n;

    for ( /* void */ ; *value; value += n) {

        value += strspn(value, ", \t");
        n = strcspn(value, ", \t");

        if (n == 5 && strncasecmp(value, "close", n) == 0) {
            http->close = 1;
        }

        if (n == 10 && strncasecmp(value, "keep-alive", n) == 0) {
            http->keep = 1;
        }
    }
}


/* RFC 9112, section 6.3 */

static atls_error_e
atls_http_framing(atls_http_t *http)
{
    if (http->chunked && (http->counted || !http->minor)) {
        return atls_http_wrong(http, "both Transfer-Encoding and Content-Length"
                                     " or HTTP/1.0");
    }

    if (http->head || http->status == 204 || http->status == 304) {
        http->state = ATLS_HTTP_COMPLETE;

    } else if (http->chunked) {
        http->state = ATLS_HTTP_CHUNK_SIZE;
        http->left = 0;

    } else if (http->counted) {
        http->state = http->left ? ATLS_HTTP_COUNTED : ATLS_HTTP_COMPLETE;

    } else {
        http->state = ATLS_HTTP_EOF;
    }

    return ATLS_OK;
}


static atls_error_e
atls_http_deliver(atls_http_t *http, const char *reason)
{
    int                    rc;
    char                  *line, *end;
    const char            *value;
    const atls_request_t  *request;

    request = http->request;

    if (http->too_early && http->status == 425) {
        http->hidden = 1;
        return ATLS_OK;
    }

    http->delivered = 1;
    rc = request->on_status
         ? request->on_status(request->data, http->status, reason) : 0;

    end = (char *) http->header.data + http->header.len - 2;

    for (line = atls_http_next((char *) http->header.data, end);
         rc == 0 && line < end && request->on_header;
         line = atls_http_next(line, end))
    {
        value = line + strlen(line) + 1;
        value += strspn(value, " \t");

        rc = request->on_header(request->data, line, value);
    }

    http->header.len = 0;
    http->read = 0;

    return rc == 0 ? ATLS_OK
                   : atls_fail(http->failure, ATLS_ERROR_ABORTED,
                               "a callback does not want the header");
}


static atls_error_e
atls_http_body(atls_http_t *http, const unsigned char **pos,
    const unsigned char *end)
{
    size_t                 n;
    const unsigned char   *bytes;
    const atls_request_t  *request;

    bytes = *pos;
    n = (size_t) (end - bytes);

    if (http->state != ATLS_HTTP_EOF) {

        if (n > http->left) {
            n = (size_t) http->left;
        }

        http->left -= n;

        if (http->left == 0) {
            http->state = http->state == ATLS_HTTP_COUNTED
                          ? ATLS_HTTP_COMPLETE : ATLS_HTTP_CHUNK_END;
        }
    }

    *pos += n;
    request = http->request;

    if (http->hidden || request->on_body == NULL
        || request->on_body(request->data, bytes, n) == 0)
    {
        return ATLS_OK;
    }

    return atls_fail(http->failure, ATLS_ERROR_ABORTED,
                     "a callback does not want the body");
}


/* What is between chunks, byte by byte: RFC 9112, section 7.1. */

static atls_error_e
atls_http_chunk_line(atls_http_t *http, unsigned char ch)
{
    if (ch == '\0' || ++http->read > http->limit) {
        return atls_http_wrong(http, "bad or too long chunk lines");
    }

    switch (http->state) {

    case ATLS_HTTP_CHUNK_SIZE:
        return atls_http_chunk_size(http, ch);

    case ATLS_HTTP_CHUNK_EXTENSION:
        if (ch == '\r') {
            http->state = ATLS_HTTP_CHUNK_START;
        }

        return ch == '\n' ? atls_http_wrong(http, "a bad chunk extension")
                          : ATLS_OK;

    case ATLS_HTTP_CHUNK_START:
        if (http->left == 0) {
            http->state = ATLS_HTTP_TRAILER;

        } else {
            http->state = ATLS_HTTP_CHUNK;
            http->digits = 0;
            http->read = 0;
        }

        break;

    case ATLS_HTTP_CHUNK_END:
        http->state = ATLS_HTTP_CHUNK_NEXT;
        return ch == '\r' ? ATLS_OK
                          : atls_http_wrong(http, "a chunk is too long");

    case ATLS_HTTP_CHUNK_NEXT:
        http->state = ATLS_HTTP_CHUNK_SIZE;
        break;

    case ATLS_HTTP_TRAILER:
    case ATLS_HTTP_TRAILER_LINE:
        if (ch == '\r') {
            http->state = http->state == ATLS_HTTP_TRAILER
                          ? ATLS_HTTP_LAST : ATLS_HTTP_TRAILER_NEXT;
            return ATLS_OK;
        }

        http->state = ATLS_HTTP_TRAILER_LINE;
        return ch == '\n' ? atls_http_wrong(http, "a bad trailer") : ATLS_OK;

    case ATLS_HTTP_TRAILER_NEXT:
        http->state = ATLS_HTTP_TRAILER;
        break;

    default: /* ATLS_HTTP_LAST */
        http->state = ATLS_HTTP_COMPLETE;
    }

    return ch == '\n' ? ATLS_OK
                      : atls_http_wrong(http, "a line of a chunk has no CRLF");
}


static atls_error_e
atls_http_chunk_size(atls_http_t *http, unsigned char ch)
{
    int  digit;

    digit = OPENSSL_hexchar2int(ch);

    if (digit != -1) {

        if (http->left >= ATLS_HTTP_MAX_LENGTH / 16) {
            return atls_http_wrong(http, "a chunk is too large");
        }

        http->left = http->left * 16 + (uint64_t) digit;
        http->digits = 1;

        return ATLS_OK;
    }

    if (http->digits == 0 || !strchr(" \t;\r", ch)) {
        return atls_http_wrong(http, "a bad chunk size");
    }

    http->state = ch == '\r' ? ATLS_HTTP_CHUNK_START
                             : ATLS_HTTP_CHUNK_EXTENSION;
    return ATLS_OK;
}


void
atls_http_end(atls_http_t *http)
{
    http->close = 1;

    if (http->state == ATLS_HTTP_EOF) {
        http->state = ATLS_HTTP_COMPLETE;
    }
}


int
atls_http_reusable(const atls_http_t *http)
{
    return http->state == ATLS_HTTP_COMPLETE && !http->extra && !http->close
           && (http->minor || http->keep);
}


static atls_error_e
atls_http_wrong(atls_http_t *http, const char *what)
{
    return atls_fail(http->failure, ATLS_ERROR_HTTP,
                     "the answer is not HTTP as it should be: %s", what);
}


int
atls_http_is_token(const char *text, size_t n)
{
    size_t                i;
    unsigned char         ch;
    static const char     marks[] = "!#$%&'*+-.^_`|~";

    for (i = 0; i < n; i++) {
        ch = (unsigned char) text[i];

        if (!((ch >= '0' && ch <= '9')
              || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z')
              || (ch && strchr(marks, ch))))
        {
            return 0;
        }
    }

    return n != 0;
}


int
atls_http_is_value(const char *text, size_t n)
{
    size_t         i;
    unsigned char  ch;

    for (i = 0; i < n; i++) {
        ch = (unsigned char) text[i];

        if ((ch < ' ' && ch != '\t') || ch == 0x7f) {
            return 0;
        }
    }

    return 1;
}

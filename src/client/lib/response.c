
/*
 * The response to one inner request, see response.h.
 */


#include <string.h>
#include <strings.h>

#include "response.h"


static atls_error_e atls_response_header(atls_response_t *response,
    const unsigned char **pos, const unsigned char *end);
static atls_error_e atls_response_first(const atls_response_t *response);
static atls_error_e atls_response_header_line(atls_response_t *response);
static atls_error_e atls_response_header_end(atls_response_t *response);
static atls_error_e atls_response_status_line(atls_response_t *response,
    const char **reason);
static atls_error_e atls_response_field(atls_response_t *response, char *line);
static atls_error_e atls_response_length(atls_response_t *response,
    const char *value);
static atls_error_e atls_response_coding(atls_response_t *response,
    const char *value);
static void atls_response_connection(atls_response_t *response,
    const char *value);
static atls_error_e atls_response_framing(atls_response_t *response);
static atls_error_e atls_response_deliver(atls_response_t *response,
    const char *reason);
static atls_error_e atls_response_body(atls_response_t *response,
    const unsigned char **pos, const unsigned char *end);
static atls_error_e atls_response_chunks(atls_response_t *response,
    const unsigned char **pos, const unsigned char *end);
static atls_error_e atls_response_piece(atls_response_t *response,
    const unsigned char *bytes, size_t n);
static atls_error_e atls_response_wrong(const atls_response_t *response,
    const char *what);


void
atls_response_begin(atls_response_t *response, const atls_request_t *request,
    const atls_debug_t *debug, size_t limit, atls_failure_t *failure)
{
    atls_buf_t  text;

    text = response->lines.text;
    text.len = 0;

    memset(response, 0, sizeof(atls_response_t));

    response->lines.text = text;
    response->lines.limit = limit;
    response->chunks.limit = limit;
    response->request = request;
    response->debug = debug;
    response->failure = failure;
}


void
atls_response_free(atls_response_t *response)
{
    atls_buf_free(&response->lines.text);
}


atls_error_e
atls_response_parse(atls_response_t *response, const unsigned char *bytes,
    size_t n)
{
    atls_error_e          rc;
    const unsigned char  *pos, *end;

    pos = bytes;
    end = bytes + n;
    rc = ATLS_OK;

    while (pos < end && rc == ATLS_OK) {

        switch (response->state) {

        case ATLS_RESPONSE_HEADER:
            rc = atls_response_header(response, &pos, end);
            break;

        case ATLS_RESPONSE_COUNTED:
        case ATLS_RESPONSE_EOF:
        case ATLS_RESPONSE_UPGRADED:
            rc = atls_response_body(response, &pos, end);
            break;

        case ATLS_RESPONSE_CHUNKED:
            rc = atls_response_chunks(response, &pos, end);
            break;

        case ATLS_RESPONSE_COMPLETE:
            response->extra = 1;
            return ATLS_OK;
        }
    }

    return rc;
}


/* Reads a line.  Header lines are parsed when the header is complete. */

static atls_error_e
atls_response_header(atls_response_t *response, const unsigned char **pos,
    const unsigned char *end)
{
    switch (atls_lines_read(&response->lines, pos, end)) {

    case ATLS_LINE_READY:
        return atls_response_header_line(response);

    case ATLS_LINE_MORE:
        return atls_response_first(response);

    case ATLS_LINE_TOO_LARGE:
        return atls_response_wrong(response, "header too large");

    case ATLS_LINE_NO_CRLF:
        return atls_response_wrong(response,
                                   "header line without CRLF");

    case ATLS_LINE_CONTROL:
        return atls_response_wrong(response,
                                   "control character in the header");

    default: /* ATLS_LINE_MEMORY */
        return atls_fail_memory(response->failure);
    }
}


/* Data that are not HTTP are detected by the first bytes. */

static atls_error_e
atls_response_first(const atls_response_t *response)
{
    size_t               n;
    const atls_lines_t  *lines = &response->lines;

    static const char  first[] = "HTTP/";

    n = lines->text.len < sizeof(first) - 1 ? lines->text.len
                                            : sizeof(first) - 1;

    return lines->line == 0 && memcmp(lines->text.data, first, n) != 0
           ? atls_response_wrong(response, "no status line") : ATLS_OK;
}


/* Processes a line; an empty line ends the header. */

static atls_error_e
atls_response_header_line(atls_response_t *response)
{
    atls_error_e  rc;

    rc = atls_response_first(response);

    return rc == ATLS_OK && *atls_lines_last(&response->lines) == '\0'
           ? atls_response_header_end(response) : rc;
}


/* Parses a complete header. */

static atls_error_e
atls_response_header_end(atls_response_t *response)
{
    char          *line;
    const char    *reason;
    atls_error_e   rc;

    reason = NULL;
    rc = atls_response_status_line(response, &reason);

    for (line = atls_lines_next((char *) response->lines.text.data);
         rc == ATLS_OK && *line;
         line = atls_lines_next(line))
    {
        rc = atls_response_field(response, line);
    }

    if (rc != ATLS_OK) {
        return rc;
    }

    if (response->status == 101) {

        if (response->upgrade == NULL) {
            return atls_response_wrong(response, "unexpected status 101");
        }

        /* RFC 9110, section 7.8; RFC 6455, section 4.1 */

        if (!response->switches || !response->requested || response->other) {
            return atls_response_wrong(response, "the status 101, but not for "
                                                 "the requested protocol");
        }

        response->state = ATLS_RESPONSE_UPGRADED;
        return atls_response_deliver(response, reason);
    }

    if (response->status < 200) {
        atls_lines_clear(&response->lines);

        response->status = 0;
        response->chunked = 0;
        response->counted = 0;
        response->close = 0;
        response->keepalive = 0;
        response->switches = 0;
        response->requested = 0;
        response->other = 0;
        return ATLS_OK;
    }

    rc = atls_response_framing(response);

    return rc == ATLS_OK ? atls_response_deliver(response, reason) : rc;
}


static atls_error_e
atls_response_status_line(atls_response_t *response, const char **reason)
{
    unsigned     minor;
    const char  *line;

    line = (char *) response->lines.text.data;

    *reason = atls_http_status(line, &minor, &response->status);

    if (*reason == NULL) {
        return atls_response_wrong(response, "invalid status line");
    }

    response->minor = (minor != 0);

    atls_debug_lines(response->debug, ATLS_DEBUG_INNER_RECEIVED, line,
                     strlen(line));

    return ATLS_OK;
}


/* Splits a line in place into a null-terminated name and value. */

static atls_error_e
atls_response_field(atls_response_t *response, char *line)
{
    const char  *value;

    atls_debug_lines(response->debug, ATLS_DEBUG_INNER_RECEIVED, line,
                     strlen(line));

    value = atls_http_field(line);

    if (value == NULL) {
        return atls_response_wrong(response, "invalid header line");
    }

    if (atls_http_is_name(line, "Content-Length")) {
        return atls_response_length(response, value);
    }

    if (atls_http_is_name(line, "Transfer-Encoding")) {
        return atls_response_coding(response, value);
    }

    if (atls_http_is_name(line, "Connection")) {
        atls_response_connection(response, value);
    }

    if (response->upgrade && atls_http_is_name(line, "Upgrade")) {

        if (strcasecmp(value, response->upgrade) == 0) {
            response->requested = 1;

        } else {
            response->other = 1;
        }
    }

    return ATLS_OK;
}


static atls_error_e
atls_response_length(atls_response_t *response, const char *value)
{
    if (response->counted) {
        return atls_response_wrong(response, "duplicate Content-Length");
    }

    if (atls_http_length(value, &response->rest) == -1) {
        return atls_response_wrong(response, "invalid Content-Length");
    }

    response->counted = 1;

    return ATLS_OK;
}


static atls_error_e
atls_response_coding(atls_response_t *response, const char *value)
{
    if (response->chunked || strcasecmp(value, "chunked") != 0) {
        return atls_response_wrong(response,
                                   "unsupported Transfer-Encoding");
    }

    response->chunked = 1;

    return ATLS_OK;
}


static void
atls_response_connection(atls_response_t *response, const char *value)
{
    size_t  n;

    for ( /* void */ ; *value; value += n) {

        value += strspn(value, ", \t");
        n = strcspn(value, ", \t");

        if (n == 5 && strncasecmp(value, "close", n) == 0) {
            response->close = 1;
        }

        if (n == 10 && strncasecmp(value, "keep-alive", n) == 0) {
            response->keepalive = 1;
        }

        if (n == 7 && strncasecmp(value, "upgrade", n) == 0) {
            response->switches = 1;
        }
    }
}


/* RFC 9112, section 6.3 */

static atls_error_e
atls_response_framing(atls_response_t *response)
{
    if (response->chunked && (response->counted || !response->minor)) {
        return atls_response_wrong(response, "Transfer-Encoding with "
                                             "Content-Length or HTTP/1.0");
    }

    if (response->head || response->status == 204 || response->status == 304) {
        response->state = ATLS_RESPONSE_COMPLETE;

    } else if (response->chunked) {
        response->state = ATLS_RESPONSE_CHUNKED;

    } else if (response->counted) {
        response->state = response->rest ? ATLS_RESPONSE_COUNTED
                                         : ATLS_RESPONSE_COMPLETE;

    } else {
        response->state = ATLS_RESPONSE_EOF;
    }

    return ATLS_OK;
}


static atls_error_e
atls_response_deliver(atls_response_t *response, const char *reason)
{
    int                    rc;
    const char            *line;
    const atls_request_t  *request;

    request = response->request;

    if (response->too_early && response->status == 425) {
        response->hidden = 1;
        return ATLS_OK;
    }

    response->delivered = 1;
    rc = request->on_status
         ? request->on_status(request->data, response->status, reason) : 0;

    for (line = atls_lines_next((char *) response->lines.text.data);
         rc == 0 && *line && request->on_header;
         line = atls_lines_next(line))
    {
        rc = request->on_header(request->data, line, atls_http_value(line));
    }

    return rc == 0 ? ATLS_OK
                   : atls_fail(response->failure, ATLS_ERROR_ABORTED,
                               "aborted by the header callback");
}


/* Reads a body with a length, or until the session ends. */

static atls_error_e
atls_response_body(atls_response_t *response, const unsigned char **pos,
    const unsigned char *end)
{
    size_t                n;
    const unsigned char  *bytes;

    bytes = *pos;
    n = (size_t) (end - bytes);

    if (response->state == ATLS_RESPONSE_COUNTED) {

        if (n > response->rest) {
            n = (size_t) response->rest;
        }

        response->rest -= n;

        if (response->rest == 0) {
            response->state = ATLS_RESPONSE_COMPLETE;
        }
    }

    *pos += n;

    return atls_response_piece(response, bytes, n);
}


static atls_error_e
atls_response_chunks(atls_response_t *response, const unsigned char **pos,
    const unsigned char *end)
{
    size_t       n;
    const char  *error;

    error = atls_chunks_read(&response->chunks, pos, end, &n);

    if (error) {
        return atls_response_wrong(response, error);
    }

    if (response->chunks.state == ATLS_CHUNK_COMPLETE) {
        response->state = ATLS_RESPONSE_COMPLETE;
    }

    return n ? atls_response_piece(response, *pos - n, n) : ATLS_OK;
}


static atls_error_e
atls_response_piece(atls_response_t *response, const unsigned char *bytes,
    size_t n)
{
    const atls_request_t  *request = response->request;

    if (response->hidden || request->on_body == NULL
        || request->on_body(request->data, bytes, n) == 0)
    {
        return ATLS_OK;
    }

    return atls_fail(response->failure, ATLS_ERROR_ABORTED,
                     "aborted by the body callback");
}


void
atls_response_end(atls_response_t *response)
{
    response->close = 1;

    if (response->state == ATLS_RESPONSE_EOF) {
        response->state = ATLS_RESPONSE_COMPLETE;
    }
}


int
atls_response_reusable(const atls_response_t *response)
{
    return response->state == ATLS_RESPONSE_COMPLETE
           && !response->extra && !response->close
           && (response->minor || response->keepalive);
}


static atls_error_e
atls_response_wrong(const atls_response_t *response, const char *what)
{
    return atls_fail(response->failure, ATLS_ERROR_HTTP,
                     "invalid HTTP response: %s", what);
}

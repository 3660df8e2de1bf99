
/*
 * Responses to local programs, see answer.h.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../lib/http.h"
#include "../base/util.h"
#include "answer.h"


#define CMD_ANSWER_CHUNK    20          /* maximum length of a chunk size
                                           line */


static const char *cmd_answer_location(const cmd_answer_t *answer,
    const char *value);
static int cmd_answer_write(cmd_answer_t *answer, const void *bytes, size_t n);
static int cmd_answer_format(cmd_answer_t *answer, atls_buf_t *header);
static int cmd_answer_framing(cmd_answer_t *answer, atls_buf_t *header);
static const char *cmd_answer_reason(int status);


void
cmd_answer_init(cmd_answer_t *answer, const cmd_local_t *local,
    const cmd_stream_t *stream, const atls_target_t *service)
{
    memset(answer, 0, sizeof(cmd_answer_t));

    answer->local = local;
    answer->stream = stream;
    answer->service = service;
    answer->close = !local->keepalive;
}


void
cmd_answer_free(cmd_answer_t *answer)
{
    free(answer->reason);
    cmd_headers_free(&answer->headers);
}


void
cmd_answer_status(cmd_answer_t *answer, int status, const char *reason)
{
    free(answer->reason);

    answer->status = status;
    answer->reason = cmd_copy(reason, strlen(reason));
}


void
cmd_answer_header(cmd_answer_t *answer, const char *name, const char *value)
{
    cmd_headers_add(&answer->headers, name,
                    atls_http_is_name(name, "Location")
                    ? cmd_answer_location(answer, value) : value);
}


/*
 * Makes a redirect to the service relative, so that the client follows it on
 * its connection to atls forward.
 */

static const char *
cmd_answer_location(const cmd_answer_t *answer, const char *value)
{
    size_t       i, n;
    const char  *path;

    const char *const  names[] = { answer->service->origin + 8,
                                   answer->service->authority };

    if (strncasecmp(value, "https://", 8) != 0) {
        return value;
    }

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {

        n = strlen(names[i]);
        path = value + 8 + n;

        /* a path with "//" would be parsed as a host */

        if (strncasecmp(value + 8, names[i], n) == 0
            && (path[0] == '\0' || (path[0] == '/' && path[1] != '/')))
        {
            return *path ? path : "/";
        }
    }

    return value;
}


int
cmd_answer_begin(cmd_answer_t *answer)
{
    return answer->begun || answer->status == 0
           ? 0 : cmd_answer_write(answer, NULL, 0);
}


int
cmd_answer_body(cmd_answer_t *answer, const void *bytes, size_t n)
{
    if (n == 0) {
        return 0;
    }

    answer->sent += (int64_t) n;

    return cmd_answer_write(answer, bytes, n);
}


int
cmd_answer_end(cmd_answer_t *answer)
{
    struct iovec  piece;

    if (cmd_answer_begin(answer) == -1) {
        return -1;
    }

    if (!answer->chunked) {
        return 0;
    }

    piece.iov_base = "0\r\n\r\n";
    piece.iov_len = 5;

    return cmd_stream_write(answer->stream, &piece, 1);
}


/* Sends the header, unless it was sent before, and a piece of the body. */

static int
cmd_answer_write(cmd_answer_t *answer, const void *bytes, size_t n)
{
    int            rc;
    char           line[CMD_ANSWER_CHUNK];
    atls_buf_t     header;
    struct iovec   pieces[4];

    memset(&header, 0, sizeof(atls_buf_t));
    memset(pieces, 0, sizeof(pieces));

    if (!answer->begun) {
        if (cmd_answer_format(answer, &header) == -1) {
            atls_buf_free(&header);
            return -1;
        }

        answer->begun = 1;
    }

    pieces[0].iov_base = header.data;
    pieces[0].iov_len = header.len;

    if (n && !answer->empty) {
        pieces[2].iov_base = (void *) bytes;
        pieces[2].iov_len = n;

        if (answer->chunked) {
            pieces[1].iov_base = line;
            pieces[1].iov_len = (size_t) snprintf(line, sizeof(line), "%zx\r\n",
                                                  n);
            pieces[3].iov_base = "\r\n";
            pieces[3].iov_len = 2;
        }
    }

    rc = cmd_stream_write(answer->stream, pieces, 4);

    atls_buf_free(&header);

    return rc;
}


static int
cmd_answer_format(cmd_answer_t *answer, atls_buf_t *header)
{
    size_t          i;
    atls_header_t  *item;

    static const char *const  none[] = { NULL };

    cmd_headers_strip(&answer->headers, none);

    if (answer->status == 101) {
        cmd_headers_add(&answer->headers, "Upgrade", "websocket");
        cmd_headers_add(&answer->headers, "Connection", "Upgrade");
    }

    if (atls_buf_text(header, "HTTP/1.1 ") == -1
        || atls_buf_number(header, (uint64_t) answer->status) == -1
        || atls_buf_text(header, " ") == -1
        || atls_buf_text(header, answer->reason) == -1
        || atls_buf_text(header, "\r\n") == -1)
    {
        return -1;
    }

    for (i = 0; i < answer->headers.n; i++) {
        item = &answer->headers.items[i];

        /* RFC 9110, section 8.6: not allowed in a 204 */

        if (answer->status == 204
            && atls_http_is_name(item->name, "Content-Length"))
        {
            continue;
        }

        if (atls_http_add(header, item->name, item->value) == -1) {
            return -1;
        }
    }

    return cmd_answer_framing(answer, header);
}


/* Adds headers for the length of the body and for keep-alive. */

static int
cmd_answer_framing(cmd_answer_t *answer, atls_buf_t *header)
{
    int          counted;
    const char  *connection;

    if (answer->status == 101) {
        answer->close = 1;
        return atls_buf_add(header, "\r\n", 2);
    }

    counted = cmd_headers_get(&answer->headers, "Content-Length") != NULL;

    answer->empty = strcmp(answer->local->method, "HEAD") == 0
                    || answer->status == 204 || answer->status == 304;

    answer->chunked = !answer->empty && !counted && answer->local->minor;

    if (!answer->empty && !counted && !answer->chunked) {
        answer->close = 1;
    }

    connection = answer->close ? "close"
                 : answer->local->minor ? NULL : "keep-alive";

    return (answer->chunked
            && atls_http_add(header, "Transfer-Encoding", "chunked") == -1)
           || (connection
               && atls_http_add(header, "Connection", connection) == -1)
           ? -1 : atls_buf_add(header, "\r\n", 2);
}


int
cmd_answer_error(cmd_answer_t *answer, int status, const char *text,
    long retry_after)
{
    int    rc;
    char  *line, number[24];

    line = cmd_format("atls: %s\n", text);

    cmd_headers_free(&answer->headers);
    cmd_answer_status(answer, status, cmd_answer_reason(status));
    cmd_answer_header(answer, "Content-Type", "text/plain");

    snprintf(number, sizeof(number), "%zu", strlen(line));
    cmd_answer_header(answer, "Content-Length", number);

    if (retry_after) {
        snprintf(number, sizeof(number), "%ld", retry_after);
        cmd_answer_header(answer, "Retry-After", number);
    }

    if (status == 405) {
        cmd_answer_header(answer, "Allow",
                          "GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE");
    }

    rc = cmd_answer_body(answer, line, strlen(line));

    if (answer->empty) {
        answer->sent = 0;
    }

    free(line);

    return rc;
}


static const char *
cmd_answer_reason(int status)
{
    size_t  i;

    static const struct {
        int          status;
        const char  *reason;
    } reasons[] = {
        { 400, "Bad Request" },
        { 403, "Forbidden" },
        { 405, "Method Not Allowed" },
        { 408, "Request Timeout" },
        { 417, "Expectation Failed" },
        { 421, "Misdirected Request" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
    };

    for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status) {
            return reasons[i].reason;
        }
    }

    return "";
}


/*
 * Headers of local requests, see local.h.
 */


#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../lib/clock.h"
#include "../../lib/http.h"
#include "../base/util.h"
#include "local.h"


#define CMD_LOCAL_SIZE      65536           /* maximum size of the header */
#define CMD_LOCAL_HEADERS   256


static int cmd_local_header(cmd_local_t *local, cmd_stream_t *stream);
static int cmd_local_line(cmd_local_t *local, cmd_stream_t *stream,
    int64_t until, char **line);
static int cmd_local_request(cmd_local_t *local, char *line);
static int cmd_local_version(cmd_local_t *local, const char *version);
static int cmd_local_target(cmd_local_t *local, const char *target);
static int cmd_local_absolute(cmd_local_t *local, const char *target);
static int cmd_local_field(cmd_local_t *local, char *line);
static int cmd_local_host(cmd_local_t *local);
static int cmd_local_framing(cmd_local_t *local);
static int cmd_local_length(cmd_local_t *local, const char *value);
static int cmd_local_connection(cmd_local_t *local);
static char *cmd_local_copy(const cmd_local_t *local, const char *name);
static int cmd_local_reject(cmd_local_t *local, int status, const char *error);


int
cmd_local_read(cmd_local_t *local, cmd_stream_t *stream)
{
    int  rc;

    /* the library sets these, except for Expect, see cmd_body_read() */

    static const char *const  replaced[] = { "Host", "Content-Length",
                                             "Expect", NULL };

    memset(local, 0, sizeof(cmd_local_t));
    local->method = cmd_copy("-", 1);
    local->path = cmd_copy("-", 1);
    local->lines.limit = CMD_LOCAL_SIZE;

    rc = cmd_local_header(local, stream);

    if (rc == 1) {
        rc = cmd_local_host(local);
    }

    if (rc == 1) {
        rc = cmd_local_framing(local);
    }

    if (rc == 1) {
        rc = cmd_local_connection(local);
    }

    if (rc == 1) {
        local->origin = cmd_local_copy(local, "Origin");
        local->referer = cmd_local_copy(local, "Referer");
        local->site = cmd_local_copy(local, "Sec-Fetch-Site");
        local->proxy_auth = cmd_local_copy(local, "Proxy-Authorization");

        cmd_headers_strip(&local->headers, replaced);
    }

    if (rc == 1 && local->upgrade) {
        cmd_headers_add(&local->headers, "Upgrade", "websocket");
        cmd_headers_add(&local->headers, "Connection", "Upgrade");
    }

    return rc;
}


void
cmd_local_free(cmd_local_t *local)
{
    free(local->method);
    free(local->path);
    free(local->host);
    free(local->origin);
    free(local->referer);
    free(local->site);
    cmd_wipe(local->proxy_auth);
    cmd_headers_free(&local->headers);
    atls_buf_free(&local->lines.text);
}


/* Reads the header line by line.  An empty line before it is ignored. */

static int
cmd_local_header(cmd_local_t *local, cmd_stream_t *stream)
{
    int      rc;
    char    *line;
    int64_t  until;

    until = atls_clock() + CMD_STREAM_TIMEOUT;

    do {
        rc = cmd_local_line(local, stream, until, &line);
    } while (rc == 1 && *line == '\0' && local->lines.read <= 4);

    if (rc == 1) {
        rc = cmd_local_request(local, line);
    }

    while (rc == 1) {
        rc = cmd_local_line(local, stream, until, &line);

        if (rc == 1 && *line == '\0') {
            break;
        }

        if (rc == 1) {
            rc = cmd_local_field(local, line);
        }
    }

    return rc;
}


static int
cmd_local_line(cmd_local_t *local, cmd_stream_t *stream, int64_t until,
    char **line)
{
    int64_t               timeout;
    ssize_t               got;
    atls_line_e           rc;
    const unsigned char  *bytes, *pos;

    atls_lines_clear(&local->lines);

    do {
        timeout = stream->pos < stream->len ? 0 : until - atls_clock();
        got = cmd_stream_fill(stream, timeout > 0 ? (int) timeout : 0);

        if (got <= 0) {
            return got == -1 && local->lines.read && !cmd_stream_gone(stream)
                   ? cmd_local_reject(local, 408, "request timed out")
                   : 0;
        }

        bytes = (unsigned char *) stream->buf + stream->pos;
        pos = bytes;

        rc = atls_lines_read(&local->lines, &pos, bytes + got);

        stream->pos += (size_t) (pos - bytes);

    } while (rc == ATLS_LINE_MORE);

    switch (rc) {

    case ATLS_LINE_READY:
        *line = atls_lines_last(&local->lines);
        return 1;

    case ATLS_LINE_TOO_LARGE:
        return cmd_local_reject(local, 431, "the header is too large");

    case ATLS_LINE_NO_CRLF:
        return cmd_local_reject(local, 400, "line without CRLF");

    case ATLS_LINE_CONTROL:
        return cmd_local_reject(local, 400,
                                "control character in the header");

    default: /* ATLS_LINE_MEMORY */
        return cmd_local_reject(local, 500, "out of memory");
    }
}


static int
cmd_local_request(cmd_local_t *local, char *line)
{
    int    rc;
    char  *target, *version;

    target = strchr(line, ' ');
    version = target ? strchr(target + 1, ' ') : NULL;

    if (version == NULL || !atls_http_is_token(line, (size_t) (target - line)))
    {
        return cmd_local_reject(local, 400, "invalid request line");
    }

    *target++ = '\0';
    *version++ = '\0';

    rc = cmd_local_version(local, version);
    if (rc != 1) {
        return rc;
    }

    free(local->method);
    local->method = cmd_copy(line, strlen(line));

    return cmd_local_target(local, target);
}


static int
cmd_local_version(cmd_local_t *local, const char *version)
{
    if (strncmp(version, "HTTP/", 5) != 0
        || version[5] < '0' || version[5] > '9' || version[6] != '.'
        || version[7] < '0' || version[7] > '9' || version[8] != '\0')
    {
        return cmd_local_reject(local, 400, "invalid request line");
    }

    if (version[5] != '1' || version[7] > '1') {
        return cmd_local_reject(local, 505, "unsupported HTTP version");
    }

    local->minor = version[7] - '0';

    return 1;
}


static int
cmd_local_target(cmd_local_t *local, const char *target)
{
    const char  *p;

    for (p = target; *p; p++) {
        if (*p == '\t' || *p == '#') {
            return cmd_local_reject(local, 400, "invalid request target");
        }
    }

    if (*target == '/' || strcmp(local->method, "CONNECT") == 0) {
        free(local->path);
        local->path = cmd_copy(target, strlen(target));
        return 1;
    }

    if (strcmp(target, "*") == 0 && strcmp(local->method, "OPTIONS") == 0) {
        free(local->path);
        local->path = cmd_copy("*", 1);
        return 1;
    }

    return cmd_local_absolute(local, target);
}


/* Parses the absolute form of a request target.  Its host replaces Host. */

static int
cmd_local_absolute(cmd_local_t *local, const char *target)
{
    size_t       n;
    const char  *host, *path;

    host = strncasecmp(target, "http://", 7) == 0 ? target + 7
           : strncasecmp(target, "https://", 8) == 0 ? target + 8
           : NULL;

    n = host ? strcspn(host, "/?") : 0;

    if (n == 0 || memchr(host, '@', n)) {
        return cmd_local_reject(local, 400, "invalid request target");
    }

    local->host = cmd_copy(host, n);
    path = host + n;

    free(local->path);
    local->path = *path == '/' ? cmd_copy(path, strlen(path))
                  : *path ? cmd_format("/%s", path)
                  : cmd_copy(strcmp(local->method, "OPTIONS") ? "/" : "*", 1);
    return 1;
}


static int
cmd_local_field(cmd_local_t *local, char *line)
{
    const char  *value;

    value = atls_http_field(line);

    /* a continuation line is invalid, too */

    if (value == NULL) {
        return cmd_local_reject(local, 400, "invalid header line");
    }

    if (local->headers.n == CMD_LOCAL_HEADERS) {
        return cmd_local_reject(local, 431, "too many header lines");
    }

    cmd_headers_add(&local->headers, line, value);

    return 1;
}


/* RFC 9112, section 3.2 */

static int
cmd_local_host(cmd_local_t *local)
{
    size_t    i;
    unsigned  n;

    static const char *const  once[] = { "Origin", "Referer",
                                         "Sec-Fetch-Site" };

    n = cmd_headers_count(&local->headers, "Host");

    if (n > 1 || (n == 0 && local->minor)) {
        return cmd_local_reject(local, 400, "exactly one Host is required");
    }

    for (i = 0; i < sizeof(once) / sizeof(once[0]); i++) {
        if (cmd_headers_count(&local->headers, once[i]) > 1) {
            return cmd_local_reject(local, 400, "duplicate Origin, Referer or "
                                                "Sec-Fetch-Site");
        }
    }

    if (local->host == NULL) {
        local->host = cmd_local_copy(local, "Host");
    }

    return 1;
}


/*
 * RFC 9112, section 6.  Ambiguous requests are rejected, since the next request
 * starts at the end of this one.
 */

static int
cmd_local_framing(cmd_local_t *local)
{
    unsigned     lengths, codings;
    const char  *coding;

    lengths = cmd_headers_count(&local->headers, "Content-Length");
    codings = cmd_headers_count(&local->headers, "Transfer-Encoding");

    if (lengths + codings > 1) {
        return cmd_local_reject(local, 400, "conflicting Content-Length and "
                                            "Transfer-Encoding");
    }

    if (lengths) {
        return cmd_local_length(local, cmd_headers_get(&local->headers,
                                                       "Content-Length"));
    }

    if (codings) {
        coding = cmd_headers_get(&local->headers, "Transfer-Encoding");

        if (local->minor == 0) {
            return cmd_local_reject(local, 400,
                                    "Transfer-Encoding in HTTP/1.0");
        }

        if (strcasecmp(coding, "chunked") != 0) {
            return cmd_local_reject(local, 501,
                                    "unsupported Transfer-Encoding");
        }

        local->length = ATLS_LENGTH_UNKNOWN;
    }

    return 1;
}


static int
cmd_local_length(cmd_local_t *local, const char *value)
{
    uint64_t  length;

    if (atls_http_length(value, &length) == -1) {
        return cmd_local_reject(local, 400, "invalid Content-Length");
    }

    local->length = (int64_t) length;

    return 1;
}


static int
cmd_local_connection(cmd_local_t *local)
{
    const char           *expect;
    const cmd_headers_t  *headers = &local->headers;

    local->keepalive = !cmd_headers_has(headers, "Connection", "close")
                       && (local->minor
                           || cmd_headers_has(headers, "Connection",
                                              "keep-alive"));

    if (local->minor == 0) {
        return 1;
    }

    expect = cmd_headers_get(headers, "Expect");

    if (expect && strcasecmp(expect, "100-continue") != 0) {
        return cmd_local_reject(local, 417, "unsupported Expect");
    }

    local->expect = expect && local->length != 0;

    /*
     * RFC 9110, section 7.8: an upgrade may be ignored, as those to other
     * protocols are.  RFC 6455, section 4.1: it is a GET without a body.
     */

    local->upgrade = local->length == 0 && strcmp(local->method, "GET") == 0
                     && cmd_headers_has(headers, "Connection", "upgrade")
                     && cmd_headers_has(headers, "Upgrade", "websocket");

    return 1;
}


static char *
cmd_local_copy(const cmd_local_t *local, const char *name)
{
    const char  *value;

    value = cmd_headers_get(&local->headers, name);

    return value ? cmd_copy(value, strlen(value)) : NULL;
}


static int
cmd_local_reject(cmd_local_t *local, int status, const char *error)
{
    local->status = status;
    local->error = error;
    local->keepalive = 0;

    return -1;
}

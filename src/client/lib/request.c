
/*
 * Inner requests, see request.h.
 */


#include <errno.h>
#include <limits.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http.h"
#include "request.h"


#define ATLS_CHUNK_HEAD     10              /* 8 digits, CRLF */
#define ATLS_CHUNK_TAIL     2
#define ATLS_CHUNK_LAST     "0\r\n\r\n"

#define ATLS_MESSAGE_READ   16384


static const char *atls_request_method(const atls_request_t *request);
static atls_error_e atls_request_check_header(const atls_header_t *header,
    atls_failure_t *failure);
static int atls_request_is_path(const char *method, const char *path);
static atls_error_e atls_message_measure(atls_message_t *message);
static atls_error_e atls_message_measure_file(atls_message_t *message, int fd,
    off_t position);
static int atls_message_format(atls_message_t *message, const char *authority);
static int atls_message_has_body(const atls_message_t *message);
static int atls_message_has(const atls_message_t *message, const char *name);
static size_t atls_message_chunk(atls_message_t *message, unsigned char *buf,
    size_t got);
static atls_error_e atls_message_raw(atls_message_t *message, long got,
    size_t *n);
static long atls_message_source(atls_message_t *message, unsigned char *buf,
    size_t size);
static int atls_message_method_in(const atls_message_t *message,
    const char *const *methods);


atls_error_e
atls_message_open(atls_message_t *message, const atls_request_t *request,
    const char *authority, atls_failure_t *failure)
{
    atls_error_e  rc;

    memset(message, 0, sizeof(atls_message_t));

    message->request = request;
    message->failure = failure;
    message->start = -1;
    message->method = atls_request_method(request);

    rc = atls_request_check(request, failure);

    if (rc == ATLS_OK) {
        rc = atls_message_measure(message);
        message->ended = message->length == 0;
    }

    if (rc == ATLS_OK && atls_message_format(message, authority) == -1) {
        rc = atls_fail_memory(failure);
    }

    if (rc != ATLS_OK) {
        atls_message_close(message);
    }

    return rc;
}


static const char *
atls_request_method(const atls_request_t *request)
{
    return request->method ? request->method
           : request->body == ATLS_BODY_NONE ? "GET" : "POST";
}


atls_error_e
atls_request_check(const atls_request_t *request, atls_failure_t *failure)
{
    size_t         i;
    const char    *method;
    atls_error_e   rc;

    method = atls_request_method(request);

    if (!atls_http_is_token(method, strlen(method))
        || strcmp(method, "CONNECT") == 0)
    {
        return atls_fail(failure, ATLS_ERROR_USAGE,
                         "invalid method \"%s\"", method);
    }

    if (request->path && !atls_request_is_path(method, request->path)) {
        return atls_fail(failure, ATLS_ERROR_USAGE,
                         "invalid path \"%s\"", request->path);
    }

    for (i = 0; i < request->nheaders; i++) {
        rc = atls_request_check_header(&request->headers[i], failure);
        if (rc != ATLS_OK) {
            return rc;
        }
    }

    return ATLS_OK;
}


static atls_error_e
atls_request_check_header(const atls_header_t *header, atls_failure_t *failure)
{
    if (header->name && atls_http_is_name(header->name, "Host")
        && header->value == NULL)
    {
        return ATLS_OK;
    }

    if (header->name == NULL || header->value == NULL
        || !atls_http_is_token(header->name, strlen(header->name))
        || !atls_http_is_value(header->value, strlen(header->value)))
    {
        return atls_fail(failure, ATLS_ERROR_USAGE,
                         "invalid header \"%s\"",
                         header->name ? header->name : "");
    }

    if (atls_http_is_name(header->name, "Content-Length")
        || atls_http_is_name(header->name, "Transfer-Encoding"))
    {
        return atls_fail(failure, ATLS_ERROR_USAGE,
                         "header \"%s\" is set by the library",
                         header->name);
    }

    return ATLS_OK;
}


static int
atls_request_is_path(const char *method, const char *path)
{
    const unsigned char  *p;

    if (path[0] != '/'
        && !(strcmp(path, "*") == 0 && strcmp(method, "OPTIONS") == 0))
    {
        return 0;
    }

    for (p = (const unsigned char *) path; *p; p++) {
        if (*p <= ' ' || *p == 0x7f || *p == '#') {
            return 0;
        }
    }

    return 1;
}


/* Determines the length of the body and whether it can be rewound. */

static atls_error_e
atls_message_measure(atls_message_t *message)
{
    const atls_request_t  *request = message->request;

    message->length = request->length;

    switch (request->body) {

    case ATLS_BODY_NONE:
        message->length = 0;
        break;

    case ATLS_BODY_FILE:
        if (request->file == NULL) {
            break;
        }

        return atls_message_measure_file(message, fileno(request->file),
                                         ftello(request->file));
    case ATLS_BODY_FD:
        return atls_message_measure_file(message, request->fd,
                                         lseek(request->fd, 0, SEEK_CUR));
    case ATLS_BODY_MEMORY:
        if (request->length == 0
            || (request->bytes && request->length > 0))
        {
            return ATLS_OK;
        }

        break;

    case ATLS_BODY_READ:
        if (request->read && request->length >= ATLS_LENGTH_UNKNOWN) {
            return ATLS_OK;
        }

        break;
    }

    return request->body == ATLS_BODY_NONE
           ? ATLS_OK
           : atls_fail(message->failure, ATLS_ERROR_USAGE,
                       "incomplete request body");
}


static atls_error_e
atls_message_measure_file(atls_message_t *message, int fd, off_t position)
{
    struct stat  st;

    if (fstat(fd, &st) == -1 || S_ISDIR(st.st_mode)) {
        return atls_fail(message->failure, ATLS_ERROR_READ, "%s",
                         strerror(errno ? errno : EISDIR));
    }

    message->length = ATLS_LENGTH_UNKNOWN;

    if (S_ISREG(st.st_mode) && position >= 0) {
        message->start = position;

        /* files in /proc have data, but the size 0 */

        if (st.st_size > 0) {
            message->length = st.st_size > position ? st.st_size - position
                                                    : 0;
        }
    }

    return ATLS_OK;
}


static int
atls_message_format(atls_message_t *message, const char *authority)
{
    size_t                 i;
    atls_buf_t            *header;
    const atls_request_t  *request;

    request = message->request;
    header = &message->header;

    if (atls_buf_text(header, message->method) == -1
        || atls_buf_text(header, " ") == -1
        || atls_buf_text(header, request->path ? request->path : "/") == -1
        || atls_buf_text(header, " HTTP/1.1\r\n") == -1)
    {
        return -1;
    }

    if (!atls_message_has(message, "Host")
        && atls_http_add(header, "Host", authority) == -1)
    {
        return -1;
    }

    for (i = 0; i < request->nheaders; i++) {
        if (request->headers[i].value
            && atls_http_add(header, request->headers[i].name,
                             request->headers[i].value)
               == -1)
        {
            return -1;
        }
    }

    if (message->length == ATLS_LENGTH_UNKNOWN) {
        if (atls_http_add(header, "Transfer-Encoding", "chunked") == -1) {
            return -1;
        }

    } else if (atls_message_has_body(message)
               && atls_buf_print(header, "Content-Length: %lld\r\n",
                                 (long long) message->length)
                  == -1)
    {
        return -1;
    }

    return atls_buf_add(header, "\r\n", 2);
}


/*
 * Whether the method normally has a body: Content-Length is then sent even if
 * it is 0.
 */

static int
atls_message_has_body(const atls_message_t *message)
{
    static const char *const  methods[] = { "POST", "PUT", "PATCH", NULL };

    return message->request->body != ATLS_BODY_NONE
           || atls_message_method_in(message, methods);
}


static int
atls_message_has(const atls_message_t *message, const char *name)
{
    size_t                 i;
    const atls_request_t  *request;

    request = message->request;

    for (i = 0; i < request->nheaders; i++) {
        if (atls_http_is_name(request->headers[i].name, name)) {
            return 1;
        }
    }

    return 0;
}


atls_error_e
atls_message_read(atls_message_t *message, unsigned char *buf, size_t size,
    size_t *n)
{
    int       chunked;
    long      got;
    uint64_t  rest;

    chunked = message->length == ATLS_LENGTH_UNKNOWN;

    if (chunked) {
        got = atls_message_source(message, buf + ATLS_CHUNK_HEAD,
                                  size - ATLS_CHUNK_HEAD - ATLS_CHUNK_TAIL);

    } else {
        rest = (uint64_t) (message->length - message->sent);
        got = atls_message_source(message, buf,
                                  rest < size ? (size_t) rest : size);
    }

    if (got == ATLS_READ_FLUSH) {
        *n = 0;
        return ATLS_OK;
    }

    if (got < 0) {
        return message->failure->error;
    }

    if (chunked) {
        *n = atls_message_chunk(message, buf, (size_t) got);
        return ATLS_OK;
    }

    return atls_message_raw(message, got, n);
}


/* Encodes the bytes read as a chunk; returns its length. */

static size_t
atls_message_chunk(atls_message_t *message, unsigned char *buf, size_t got)
{
    char  head[ATLS_CHUNK_HEAD + 1];

    if (got == 0) {
        message->ended = 1;
        memcpy(buf, ATLS_CHUNK_LAST, sizeof(ATLS_CHUNK_LAST) - 1);

        return sizeof(ATLS_CHUNK_LAST) - 1;
    }

    message->sent += (int64_t) got;

    snprintf(head, sizeof(head), "%08lx\r\n", got & 0xffffffffUL);
    memcpy(buf, head, ATLS_CHUNK_HEAD);
    memcpy(buf + ATLS_CHUNK_HEAD + got, "\r\n", ATLS_CHUNK_TAIL);

    return ATLS_CHUNK_HEAD + got + ATLS_CHUNK_TAIL;
}


static atls_error_e
atls_message_raw(atls_message_t *message, long got, size_t *n)
{
    long long  missing;

    if (got == 0) {
        missing = message->length - message->sent;

        return atls_fail(message->failure, ATLS_ERROR_READ,
                         "request body is %lld byte%s too short", missing,
                         missing == 1 ? "" : "s");
    }

    message->sent += got;
    message->ended = message->sent == message->length;
    *n = (size_t) got;

    return ATLS_OK;
}


/*
 * Reads the body.  Returns the number of bytes, 0 at its end, -1 on error, or
 * ATLS_READ_FLUSH.
 */

static long
atls_message_source(atls_message_t *message, unsigned char *buf, size_t size)
{
    long                   got;
    const atls_request_t  *request;

    request = message->request;
    errno = 0;

    switch (request->body) {

    case ATLS_BODY_MEMORY:
        memcpy(buf, (const char *) request->bytes + message->sent, size);
        return (long) size;

    case ATLS_BODY_FILE:
        got = (long) fread(buf, 1, size, request->file);

        if (got == 0 && ferror(request->file)) {
            got = -1;
        }

        break;

    case ATLS_BODY_FD:
        do {
            got = (long) read(request->fd, buf, size);
        } while (got == -1 && errno == EINTR);

        break;

    case ATLS_BODY_READ:
        got = request->read(request->data, buf, size);

        if (got == ATLS_READ_FLUSH) {
            return got;
        }

        if (got < 0 || (size_t) got > size) {
            atls_fail(message->failure, ATLS_ERROR_ABORTED,
                      "aborted by the request body callback");
            return -1;
        }

        return got;

    default:
        return 0;
    }

    if (got == -1) {
        atls_fail(message->failure, ATLS_ERROR_READ, "%s", strerror(errno));
    }

    return got;
}


atls_error_e
atls_message_whole(atls_message_t *message, atls_buf_t *buf, size_t most,
    const char *what)
{
    size_t        n;
    atls_error_e  rc;

    if (atls_buf_add(buf, message->header.data, message->header.len) == -1) {
        return atls_fail_memory(message->failure);
    }

    while (!message->ended) {

        if (buf->len > most) {
            return atls_fail(message->failure, ATLS_ERROR_USAGE,
                             "%s is limited to the size of a POST, %zu bytes",
                             what, most);
        }

        if (atls_buf_reserve(buf, ATLS_MESSAGE_READ) == -1) {
            return atls_fail_memory(message->failure);
        }

        rc = atls_message_read(message, buf->data + buf->len,
                               ATLS_MESSAGE_READ, &n);
        if (rc != ATLS_OK) {
            return rc;
        }

        buf->len += n;
    }

    return ATLS_OK;
}


int
atls_message_rewind(atls_message_t *message)
{
    const atls_request_t  *request = message->request;

    if (message->sent == 0 && (!message->ended || message->length == 0)) {
        return 0;
    }

    switch (request->body) {

    case ATLS_BODY_NONE:
    case ATLS_BODY_MEMORY:
        break;

    case ATLS_BODY_FILE:
        if (message->start == -1
            || fseeko(request->file, message->start, SEEK_SET) == -1)
        {
            return -1;
        }

        break;

    case ATLS_BODY_FD:
        if (message->start == -1
            || lseek(request->fd, message->start, SEEK_SET) == -1)
        {
            return -1;
        }

        break;

    case ATLS_BODY_READ:
        if (request->rewind == NULL || request->rewind(request->data) != 0) {
            return -1;
        }

        break;
    }

    message->sent = 0;
    message->ended = 0;

    return 0;
}


int
atls_message_idempotent(const atls_message_t *message)
{
    return atls_http_is_idempotent(message->method);
}


int
atls_message_repeatable(const atls_message_t *message)
{
    const atls_request_t  *request = message->request;

    if (!atls_message_idempotent(message)) {
        return 0;
    }

    switch (request->body) {

    case ATLS_BODY_FILE:
    case ATLS_BODY_FD:
        return message->start != -1;

    case ATLS_BODY_READ:
        return request->rewind != NULL || message->length == 0;

    default: /* ATLS_BODY_NONE, ATLS_BODY_MEMORY */
        return 1;
    }
}


int
atls_message_early(const atls_message_t *message)
{
    static const char *const  methods[] = { "GET", "HEAD", "OPTIONS", NULL };

    return message->length == 0 && atls_message_method_in(message, methods);
}


static int
atls_message_method_in(const atls_message_t *message,
    const char *const *methods)
{
    size_t  i;

    for (i = 0; methods[i]; i++) {
        if (strcmp(message->method, methods[i]) == 0) {
            return 1;
        }
    }

    return 0;
}


void
atls_message_close(atls_message_t *message)
{
    atls_buf_free(&message->header);
}


/*
 * POSTs without libcurl, see repost.h.
 */


#include <errno.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "clock.h"
#include "repost.h"


#define ATLS_REPOST_BODY    16384           /* maximum sizes */
#define ATLS_REPOST_HEADER  65536
#define ATLS_REPOST_BUFFER  32768
#define ATLS_REPOST_CHECK   1000            /* milliseconds */
#define ATLS_REPOST_IDLE    118000          /* CURLOPT_MAXAGE_CONN */


static int atls_repost_debug(CURL *curl, curl_infotype type, char *text,
    size_t n, void *data);
static int atls_repost_is_whole(const atls_buf_t *header);
static int atls_repost_header(void *data, const char *name, const char *value);
static size_t atls_repost_cut(atls_buf_t *header);
static curl_socket_t atls_repost_socket(CURL *curl);
static CURLcode atls_repost_write(atls_repost_t *repost, curl_socket_t fd,
    const atls_repost_post_t *post);
static CURLcode atls_repost_read(atls_repost_t *repost, curl_socket_t fd,
    const atls_repost_post_t *post);
static CURLcode atls_repost_parse(atls_repost_t *repost,
    const unsigned char *bytes, size_t n);
static CURLcode atls_repost_closed(atls_repost_t *repost, ssize_t n);
static CURLcode atls_repost_wait(curl_socket_t fd, short events,
    const atls_repost_post_t *post);


void
atls_repost_free(atls_repost_t *repost)
{
    atls_buf_free(&repost->post);
    atls_response_free(&repost->response);
}


void
atls_repost_clear(atls_repost_t *repost)
{
    repost->size = 0;
    repost->tried = 0;
    repost->failed = 1;
}


/* The function for debugging gets headers as they are sent and received. */

void
atls_repost_record(atls_repost_t *repost, CURL *curl)
{
    if (repost->tried) {
        return;
    }

    repost->size = 0;
    repost->post.len = 0;
    repost->tried = 1;
    repost->failed = 0;
    repost->recording = 1;
    repost->recorder.on_header = atls_repost_header;

    atls_response_begin(&repost->response, &repost->recorder, &repost->debug,
                        ATLS_REPOST_HEADER, &repost->failure);

    curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, atls_repost_debug);
    curl_easy_setopt(curl, CURLOPT_DEBUGDATA, repost);
    curl_easy_setopt(curl, CURLOPT_VERBOSE, 1L);
}


static int
atls_repost_debug(CURL *curl, curl_infotype type, char *text, size_t n,
    void *data)
{
    int             rc;
    atls_repost_t  *repost = data;

    (void) curl;

    rc = 0;

    if (type == CURLINFO_HEADER_OUT) {

        if (atls_repost_is_whole(&repost->post)) {

            /* the kept connection was closed: the POST is sent again */

            repost->post.len = 0;
            atls_response_begin(&repost->response, &repost->recorder,
                                &repost->debug, ATLS_REPOST_HEADER,
                                &repost->failure);
        }

        rc = atls_buf_add(&repost->post, text, n);

    } else if (type == CURLINFO_HEADER_IN
               && repost->response.state == ATLS_RESPONSE_HEADER)
    {
        rc = atls_response_parse(&repost->response, (unsigned char *) text, n)
             == ATLS_OK ? 0 : -1;
    }

    if (rc == -1) {
        repost->failed = 1;
    }

    return 0;
}


static int
atls_repost_is_whole(const atls_buf_t *header)
{
    return header->len >= 4
           && memcmp(header->data + header->len - 4, "\r\n\r\n", 4) == 0;
}


/* If each response sets a cookie, all POSTs are left to libcurl. */

static int
atls_repost_header(void *data, const char *name, const char *value)
{
    (void) data;
    (void) value;

    return atls_http_is_name(name, "Set-Cookie");
}


void
atls_repost_recorded(atls_repost_t *repost, CURL *curl)
{
    repost->used = atls_clock();

    if (!repost->recording) {
        return;
    }

    curl_easy_setopt(curl, CURLOPT_VERBOSE, 0L);
    repost->recording = 0;

    if (!repost->failed && repost->response.status) {
        repost->size = atls_repost_cut(&repost->post);
    }
}


/*
 * Removes Content-Length and the end of the header.  Returns its size, or 0 if
 * it is not suitable: if the target is a URL, there is a proxy, and the
 * connection to it may use TLS.
 */

static size_t
atls_repost_cut(atls_buf_t *header)
{
    char    *text, *line, *next;
    size_t   size;

    static const char  length[] = "\r\nContent-Length:";

    if (atls_buf_add(header, "", 1) == -1) {
        return 0;
    }

    text = (char *) header->data;
    line = strcasestr(text, length);
    next = line ? strstr(line + 2, "\r\n") : NULL;

    if (next == NULL || strncmp(text, "POST /", 6) != 0
        || strncmp(text + 6 + strcspn(text + 6, " "), " HTTP/1.1\r\n", 11)
           != 0)
    {
        return 0;
    }

    size = strlen(next);
    memmove(line, next, size + 1);

    /* without the empty line */

    return (size_t) (line - text) + size - 2;
}


CURLcode
atls_repost_send(atls_repost_t *repost, CURL *curl,
    const atls_repost_post_t *post)
{
    CURLcode       code;
    curl_socket_t  fd;

    if (repost->size == 0 || post->n > ATLS_REPOST_BODY
        || atls_clock() - repost->used > ATLS_REPOST_IDLE)
    {
        return CURLE_GOT_NOTHING;
    }

    fd = atls_repost_socket(curl);
    if (fd == CURL_SOCKET_BAD) {
        return CURLE_GOT_NOTHING;
    }

    atls_response_begin(&repost->response, &post->request, &repost->debug,
                        ATLS_REPOST_HEADER, &repost->failure);

    code = atls_repost_write(repost, fd, post);

    if (code == CURLE_OK) {
        code = atls_repost_read(repost, fd, post);
    }

    repost->used = atls_clock();

    if (code != CURLE_OK || !atls_repost_kept(repost)) {

        /* libcurl must not use the connection, but still owns the socket */

        shutdown(fd, SHUT_RDWR);
        atls_repost_clear(repost);
    }

    return code;
}


int
atls_repost_kept(const atls_repost_t *repost)
{
    return atls_response_reusable(&repost->response);
}


/* Data that no POST has asked for are not its response. */

static curl_socket_t
atls_repost_socket(CURL *curl)
{
    char           ch;
    curl_socket_t  fd;

    if (curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK
        || fd == CURL_SOCKET_BAD)
    {
        return CURL_SOCKET_BAD;
    }

    if (recv(fd, &ch, 1, MSG_PEEK | MSG_DONTWAIT) == -1 && errno == EAGAIN) {
        return fd;
    }

    shutdown(fd, SHUT_RDWR);

    return CURL_SOCKET_BAD;
}


static CURLcode
atls_repost_write(atls_repost_t *repost, curl_socket_t fd,
    const atls_repost_post_t *post)
{
    size_t       sent;
    ssize_t      n;
    CURLcode     code;
    atls_buf_t  *buf = &repost->post;

    buf->len = repost->size;

    if (atls_buf_text(buf, "Content-Length: ") == -1
        || atls_buf_number(buf, post->n) == -1
        || atls_buf_text(buf, "\r\n\r\n") == -1
        || atls_buf_add(buf, post->bytes, post->n) == -1)
    {
        return CURLE_OUT_OF_MEMORY;
    }

    for (sent = 0, n = 0; sent < buf->len; sent += (size_t) n) {

        n = send(fd, buf->data + sent, buf->len - sent, MSG_NOSIGNAL);

        if (n != -1) {
            repost->sent = 1;
            continue;
        }

        if (errno != EAGAIN && errno != EINTR) {
            return CURLE_GOT_NOTHING;
        }

        n = 0;
        code = atls_repost_wait(fd, POLLOUT, post);

        if (code != CURLE_OK) {
            return code;
        }
    }

    return CURLE_OK;
}


static CURLcode
atls_repost_read(atls_repost_t *repost, curl_socket_t fd,
    const atls_repost_post_t *post)
{
    ssize_t        n;
    CURLcode       code;
    unsigned char  buf[ATLS_REPOST_BUFFER];

    code = CURLE_OK;

    while (code == CURLE_OK
           && repost->response.state != ATLS_RESPONSE_COMPLETE)
    {
        code = atls_repost_wait(fd, POLLIN, post);

        if (code != CURLE_OK) {
            break;
        }

        n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

        if (n > 0) {
            code = atls_repost_parse(repost, buf, (size_t) n);

        } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            return atls_repost_closed(repost, n);
        }
    }

    return code;
}


static CURLcode
atls_repost_parse(atls_repost_t *repost, const unsigned char *bytes, size_t n)
{
    switch (atls_response_parse(&repost->response, bytes, n)) {

    case ATLS_OK:
        return CURLE_OK;

    case ATLS_ERROR_ABORTED:
        return CURLE_WRITE_ERROR;

    case ATLS_ERROR_MEMORY:
        return CURLE_OUT_OF_MEMORY;

    default: /* ATLS_ERROR_HTTP */
        return CURLE_WEIRD_SERVER_REPLY;
    }
}


/* The connection was closed (n is 0) or reset (n is -1). */

static CURLcode
atls_repost_closed(atls_repost_t *repost, ssize_t n)
{
    atls_response_t  *response = &repost->response;

    if (response->lines.read == 0) {
        return CURLE_GOT_NOTHING;
    }

    if (n == -1) {
        return CURLE_RECV_ERROR;
    }

    atls_response_end(response);

    return response->state == ATLS_RESPONSE_COMPLETE ? CURLE_OK
                                                     : CURLE_PARTIAL_FILE;
}


static CURLcode
atls_repost_wait(curl_socket_t fd, short events,
    const atls_repost_post_t *post)
{
    int            n;
    int64_t        now, until, timeout;
    struct pollfd  pfd;

    pfd.fd = fd;
    pfd.events = events;

    now = atls_clock();
    until = post->deadline ? post->deadline : INT64_MAX;

    if (post->idle_timeout && until - now > post->idle_timeout) {
        until = now + post->idle_timeout;
    }

    for ( /* void */ ; now < until; now = atls_clock()) {

        if (post->request.on_wait(post->request.data) != 0) {
            return CURLE_ABORTED_BY_CALLBACK;
        }

        timeout = until - now < ATLS_REPOST_CHECK ? until - now
                                                  : ATLS_REPOST_CHECK;
        n = poll(&pfd, 1, (int) timeout);

        if (n == 1) {
            return CURLE_OK;
        }

        if (n == -1 && errno != EINTR) {
            return CURLE_RECV_ERROR;
        }
    }

    return CURLE_OPERATION_TIMEDOUT;
}

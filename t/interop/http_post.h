
/*
 * HTTP for the examples in C: POSTs to the endpoint, and responses.  Replace it
 * by the HTTP client of your device, such as libcurl or a modem, with TLS or
 * without.  ATLS only requires that it sends bytes in the body of a POST,
 * receives bytes in the body of the response, and stores a cookie, or follows
 * the URI of the session.
 *
 * Each POST uses a new TCP connection.  This is slower than keep-alive, but
 * shows that a session does not depend on a connection.
 */


#ifndef HTTP_POST_H
#define HTTP_POST_H


#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>


/* Receives bytes of a response; returns 0 at the end. */

typedef size_t (*http_recv_pt)(void *from, char *buf, size_t size);

typedef struct {
    http_recv_pt    recv;
    void           *from;
    char            buf[4096];
    size_t          pos;
    size_t          len;

    int             status;
    char            cookie[128];    /* "atls=...", from Set-Cookie */
    char            location[512];
    int             chunked;
    long long       left;           /* of the body or chunk; -1: unknown */
} http_response_t;

typedef struct {
    char            host[256];
    char            port[8];
    char            path[512];
    char            cookie[128];
    unsigned        posts;
    int             fd;
    http_response_t response;
    char           *out;            /* the body of the next POST */
    size_t          out_len;
} post_t;


static void
die(const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "\n");

    exit(1);
}


/* Responses */

static int
http_byte(http_response_t *r)
{
    if (r->pos == r->len) {
        r->pos = 0;
        r->len = r->recv(r->from, r->buf, sizeof(r->buf));
    }

    return r->len ? (unsigned char) r->buf[r->pos++] : -1;
}


static void
http_line(http_response_t *r, char *line, size_t size)
{
    int     c;
    size_t  n;

    n = 0;

    while ((c = http_byte(r)) != '\n') {
        if (c == -1) {
            die("HTTP: the response is truncated");
        }

        if (c != '\r' && n < size - 1) {
            line[n++] = (char) c;
        }
    }

    line[n] = '\0';
}


/* Reads the status line and the header of a response. */

static void
http_read_header(http_response_t *r, http_recv_pt recv, void *from)
{
    char  line[1024];

    memset(r, 0, sizeof(http_response_t));
    r->recv = recv;
    r->from = from;
    r->left = -1;

    http_line(r, line, sizeof(line));

    if (sscanf(line, "HTTP/1.%*d %d", &r->status) != 1) {
        die("HTTP: no response: %s", line);
    }

    for ( ;; ) {
        http_line(r, line, sizeof(line));

        if (line[0] == '\0') {
            return;
        }

        if (strncasecmp(line, "Content-Length:", 15) == 0) {
            r->left = strtoll(line + 15, NULL, 10);

        } else if (strcasecmp(line, "Transfer-Encoding: chunked") == 0) {
            r->chunked = 1;
            r->left = 0;

        } else if (strncasecmp(line, "Set-Cookie: atls=", 17) == 0) {
            snprintf(r->cookie, sizeof(r->cookie), "%.*s",
                     (int) strcspn(line + 12, ";"), line + 12);

        } else if (strncasecmp(line, "Location: ", 10) == 0) {
            snprintf(r->location, sizeof(r->location), "%.511s", line + 10);
        }
    }
}


/* Returns the next bytes of the body, 0 at its end. */

static size_t
http_read_body(http_response_t *r, char *buf, size_t size)
{
    int     c;
    char    line[128];
    size_t  n;

    if (r->left == 0 && r->chunked) {
        http_line(r, line, sizeof(line));
        r->left = strtoll(line, NULL, 16);

        if (r->left == 0) {             /* the last chunk and an empty line */
            r->chunked = 0;
            http_line(r, line, sizeof(line));
        }
    }

    if (r->left == 0) {
        return 0;
    }

    c = http_byte(r);

    if (c == -1) {
        if (r->left > 0) {
            die("HTTP: the response is truncated");
        }

        r->left = 0;
        return 0;
    }

    r->pos--;
    n = r->len - r->pos;
    n = n < size ? n : size;
    n = r->left < 0 || n < (size_t) r->left ? n : (size_t) r->left;

    memcpy(buf, r->buf + r->pos, n);
    r->pos += n;

    if (r->left > 0) {
        r->left -= n;

        if (r->left == 0 && r->chunked) {
            http_line(r, line, sizeof(line));
        }
    }

    return n;
}


/* POSTs */

static void
post_init(post_t *p, const char *url)
{
    memset(p, 0, sizeof(post_t));
    p->fd = -1;
    strcpy(p->port, "80");
    strcpy(p->path, "/");

    if (sscanf(url, "http://%255[^:/]:%7[0-9]%511s", p->host, p->port, p->path)
        < 2
        && sscanf(url, "http://%255[^:/]%511s", p->host, p->path) < 1)
    {
        die("no URL of the kind http://host:port/path: %s", url);
    }
}


/* Adds to the body of the next POST. */

static void
post_add(post_t *p, const void *data, size_t len)
{
    p->out = realloc(p->out, p->out_len + len);

    if (p->out == NULL) {
        die("out of memory");
    }

    memcpy(p->out + p->out_len, data, len);
    p->out_len += len;
}


static void
post_connect(post_t *p)
{
    struct addrinfo   hints = { .ai_socktype = SOCK_STREAM };
    struct addrinfo  *list, *a;

    if (getaddrinfo(p->host, p->port, &hints, &list) != 0) {
        die("HTTP: %s is not known", p->host);
    }

    for (a = list; a && p->fd == -1; a = a->ai_next) {
        p->fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);

        if (p->fd != -1 && connect(p->fd, a->ai_addr, a->ai_addrlen) == -1) {
            close(p->fd);
            p->fd = -1;
        }
    }

    freeaddrinfo(list);

    if (p->fd == -1) {
        die("HTTP: cannot connect to %s:%s", p->host, p->port);
    }
}


static void
post_write(post_t *p, const char *data, size_t len)
{
    ssize_t  n;

    for (/* void */; len; data += n, len -= (size_t) n) {
        n = send(p->fd, data, len, MSG_NOSIGNAL);

        if (n <= 0) {
            die("HTTP: cannot send");
        }
    }
}


static size_t
post_recv(void *from, char *buf, size_t size)
{
    post_t *p = from;

    ssize_t  n;

    n = recv(p->fd, buf, size, 0);

    if (n < 0) {
        die("HTTP: cannot receive");
    }

    return (size_t) n;
}


/* Returns the next bytes of the response to the last POST, 0 at its end. */

static size_t
post_read(post_t *p, void *buf, size_t size)
{
    return p->posts ? http_read_body(&p->response, buf, size) : 0;
}


/*
 * Sends the collected body in a POST and reads the header of the response.
 * Returns 0 if the body is empty.  The previous response must have been read to
 * its end, otherwise its bytes would be missing from the session; this does not
 * matter for an alert that ends the session.
 */

static int
post_send(post_t *p)
{
    char    header[2048], problem[512];
    size_t  n;

    if (p->out_len == 0) {
        return 0;
    }

    if (p->fd != -1) {
        close(p->fd);
        p->fd = -1;
    }

    post_connect(p);

    n = (size_t) snprintf(header, sizeof(header),
                          "POST %s HTTP/1.1\r\n"
                          "Host: %s:%s\r\n"
                          "Content-Type: application/atls+octet-stream\r\n"
                          "Content-Length: %zu\r\n"
                          "Connection: close\r\n"
                          "%s%s%s\r\n",
                          p->path, p->host, p->port, p->out_len,
                          p->cookie[0] ? "Cookie: " : "", p->cookie,
                          p->cookie[0] ? "\r\n" : "");

    post_write(p, header, n);
    post_write(p, p->out, p->out_len);

    p->out_len = 0;
    p->posts++;

    http_read_header(&p->response, post_recv, p);

    /* 410: the session is closed; a real client opens a new one */

    if (p->response.status != 200 && p->response.status != 201) {
        n = post_read(p, problem, sizeof(problem));
        die("HTTP: status %d: %.*s", p->response.status, (int) n, problem);
    }

    if (p->response.cookie[0]) {
        strcpy(p->cookie, p->response.cookie);
    }

    /* another scheme, host or port must not be followed */

    if (p->response.status == 201 && p->response.location[0]) {

        if (p->response.location[0] != '/' || p->response.location[1] == '/') {
            die("HTTP: Location is not a path: %s", p->response.location);
        }

        strcpy(p->path, p->response.location);
    }

    return 1;
}


static void
post_free(post_t *p)
{
    if (p->fd != -1) {
        close(p->fd);
    }

    free(p->out);
}


#endif /* HTTP_POST_H */

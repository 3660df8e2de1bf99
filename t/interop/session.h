
/*
 * The common part of the examples in C: makes one session, or two of which the
 * second one is resumed, and sends requests.  The functions of the TLS library
 * are in a tls_t.
 */


#ifndef SESSION_H
#define SESSION_H


#include "http_post.h"
#include "options.h"


typedef struct {
    void          (*begin)(int resume);     /* with a ticket or without */
    void          (*handshake)(void);
    void          (*write)(const char *data, int len);  /* in a POST */

    /* "from" points to an int, set to 1 on close_notify */

    http_recv_pt    read;
    void          (*close)(void);           /* close_notify, in a POST */
    void          (*export_key)(unsigned char *material);
    const char   *(*version)(void);
    int           (*resumed)(void);
    void          (*end)(void);             /* saves the ticket */
} tls_t;


static post_t  post;


/* Returns whether the server has closed the session. */

static int
session_request(const tls_t *tls, const char *path, FILE *body)
{
    int              n, closed;
    char             buf[16384];
    size_t           size;
    http_response_t  response;

    closed = 0;

    n = snprintf(buf, sizeof(buf), "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n",
                 path, options.name);

    tls->write(buf, n);

    http_read_header(&response, tls->read, &closed);

    while ((size = http_read_body(&response, buf, sizeof(buf)))) {
        if (body) {
            fwrite(buf, 1, size, body);
        }
    }

    /* read to the end: tickets, KeyUpdates, close_notify may follow */

    if (tls->read(&closed, buf, sizeof(buf)) != 0) {
        die("HTTP: more than was asked for");
    }

    return closed;
}


static void
session_close(const tls_t *tls)
{
    int   closed;
    char  buf[1];

    closed = 0;

    tls->close();

    if (tls->read(&closed, buf, sizeof(buf)) != 0 || !closed) {
        die("TLS: no close_notify");
    }
}


static void
session_run(const tls_t *tls)
{
    int             i, closed, last;
    char          **path;
    unsigned char   material[EXPORTED];

    for (i = 0; i <= options.resume; i++) {
        last = i == options.resume;

        post_init(&post, options.url);
        tls->begin(i);
        tls->handshake();

        /* TLS 1.3: the last flight is sent with the first request */

        if (options.label) {
            tls->export_key(material);
        }

        closed = 0;

        for (path = options.paths; *path; path++) {
            closed = session_request(tls, *path, last ? stdout : NULL);
        }

        if (!closed) {
            session_close(tls);
        }

        if (last) {
            report(tls->version(), tls->resumed(),
                   options.label ? material : NULL, post.posts);
        }

        /* only now: TLS 1.3 tickets arrive with the response */

        tls->end();
        post_free(&post);
    }
}


#endif /* SESSION_H */

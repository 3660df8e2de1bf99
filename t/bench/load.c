
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


/*
 * A load generator with five modes, which differ only in the layers between
 * requests and the socket:
 *
 *     http        nothing
 *     https       TLS
 *     atls        TLS in the bodies of POSTs
 *     atlss       TLS in the bodies of POSTs, over TLS
 *     keys        exported keys of one session, used by all connections
 *
 *     load MODE PORT [options]
 *
 *     -c n        connections                                     1
 *     -n n        total number of operations                      1
 *     -w n        operations before these, not measured           0
 *     -g path     path of requests                                /bytes/100
 *     -u n        size of request bodies                          0
 *     -p pid,...  processes to measure the CPU time of
 *     -s kind     each operation opens a new session (TLS in https, ATLS in
 *                 atls) and sends one request: full, resumed or early
 *     -r          in atls, open a new connection for each session, as https
 *                 always does
 *     -i          after the -w operations, print a line and wait for the end of
 *                 the standard input
 *     -d          with -i: close each connection before the next one
 *
 * The output consists of lines with a name and a value.  All errors are fatal.
 *
 * In all modes, TLS uses memory BIOs, so that its cost in the client is the
 * same.  Certificates are not verified.
 */


#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "message.h"


#define LOAD_MEDIA_TYPE     "Content-Type: application/atls+octet-stream\r\n"
#define LOAD_MESSAGE_TYPE   "Content-Type: message/http\r\n"                   \
                            "Content-Encoding: aes128gcm\r\n"
#define LOAD_RECORD         16384
#define LOAD_OVERHEAD       22          /* per record: header, type, tag */
#define LOAD_READ           (256 * 1024)
#define LOAD_PENDING        (128 * 1024)
#define LOAD_PIDS           16
#define LOAD_WINDOW         64          /* of numbers of messages */


typedef struct {
    char               *data;
    size_t              pos;
    size_t              len;
    size_t              size;
} buf_t;


/* an HTTP response */

typedef struct {
    enum {
        http_head,
        http_length,
        http_chunk_size,
        http_chunk,
        http_chunk_end,
        http_trailer,
        http_done
    }                   state;

    char                head[4096];
    size_t              nhead;
    uint64_t            left;
    uint64_t            body;
} http_t;


/* the state of a connection */

typedef enum {
    load_idle,
    load_outer,             /* outer TLS handshake */
    load_handshake,         /* ATLS handshake */
    load_request,
    load_finished           /* end of a handshake with early data */
} phase_t;


typedef struct {
    int                 fd;
    phase_t             phase;

    SSL                *outer;
    SSL                *inner;
    SSL_SESSION        *ticket;

    buf_t               out;
    uint32_t            events;

    http_t              post;           /* the response to a POST */
    http_t              answer;         /* the response to the request */
    char                cookie[256];
    char                head[1024];     /* header of the next POST */
    size_t              nhead;

    uint64_t            up;             /* bytes of the request not sent yet */
    uint64_t            post_left;      /* bytes of the POST's body left */

    uint64_t            number;         /* of the message */
    int                 waits;          /* for an earlier one */
    buf_t               message;        /* the response to it */

    uint64_t            began;
    uint64_t            ops;
} conn_t;


static void options(int argc, char **argv);
static SSL_CTX *tls_context(void);
static void run(void);
static void turn(void);
static void measure_begin(void);
static void measure_end(void);
static void idle(void);

static void op_next(conn_t *c);
static void op_begin(conn_t *c);
static void op_session(conn_t *c);
static void op_request(conn_t *c);
static void op_message(conn_t *c);
static void op_done(conn_t *c);

static void conn_open(conn_t *c);
static void conn_close(conn_t *c);
static void conn_readable(conn_t *c);
static void conn_flush(conn_t *c);
static void conn_wire(conn_t *c, char *data, size_t len);
static void conn_progress(conn_t *c);

static SSL *tls_new(conn_t *c, SSL_CTX *ctx, int with_ticket);
static int tls_handshake(conn_t *c, SSL *ssl);
static void tls_early(conn_t *c, SSL *ssl);
static void tls_established(SSL *ssl, int with_ticket);
static int tls_ticket(SSL *ssl, SSL_SESSION *session);
static void tls_read(conn_t *c, SSL *ssl, void (*take)(conn_t *, char *,
    size_t));

static void app_more(conn_t *c);
static void app_write(conn_t *c, char *data, size_t len);
static void app_took(conn_t *c, char *data, size_t len);
static void outer_write(conn_t *c, char *data, size_t len);
static void outer_took(conn_t *c, char *data, size_t len);

static void post_begin(conn_t *c, uint64_t more);
static void post_head(conn_t *c, const char *type);
static void post_drain(conn_t *c);
static void post_done(conn_t *c);
static void post_message(conn_t *c);
static void post_body(conn_t *c, char *data, size_t len);

static void http_feed(conn_t *c, http_t *h, char *data, size_t len,
    void (*body)(conn_t *, char *, size_t));
static void http_headers(conn_t *c, http_t *h);

static void buf_add(buf_t *b, char *data, size_t len);
static uint64_t number(const char *text);
static uint64_t now(void);
static uint64_t own_cpu(void);
static uint64_t cpu_of_pids(void);
static void die(const char *fmt, ...);


static int         tls_outer, tls_inner, new_connections, idling, dropping;
static int         exported;        /* the session is that of the first one */
static uint64_t    numbers;
static conn_t     *awaited[LOAD_WINDOW];    /* by number, modulo the size */
static int         port, nconns = 1, established;
static uint64_t    nops = 1, nwarm, up_size;
static const char *path = "/bytes/100";

static enum { full = 1, resumed, early } sessions;

static int         pids[LOAD_PIDS], npids;

static SSL_CTX    *ctx;
static conn_t     *conns;
static int         ep, ended;
static uint64_t    begun, done, measured, body_size;
static uint64_t   *latencies;
static uint64_t    wall, cpu, client;

static char        request[1024], in[LOAD_READ], plain[LOAD_READ], *zeros;
static size_t      request_len;


int
main(int argc, char **argv)
{
    options(argc, argv);

    ctx = tls_context();
    conns = calloc(nconns, sizeof(conn_t));
    latencies = calloc(nops + 1, sizeof(uint64_t));
    zeros = calloc(1, LOAD_RECORD);
    ep = epoll_create1(0);

    if (ctx == NULL || conns == NULL || latencies == NULL || zeros == NULL
        || ep == -1)
    {
        die("no memory");
    }

    request_len = snprintf(request, sizeof(request),
                           "%s %s HTTP/1.1\r\n"
                           "Host: localhost\r\n"
                           "User-Agent: load\r\n"
                           "Content-Length: %llu\r\n"
                           "\r\n", up_size ? "POST" : "GET", path,
                           (unsigned long long) up_size);

    run();

    if (idling) {
        idle();
        return 0;
    }

    measure_end();

    return 0;
}


static void
options(int argc, char **argv)
{
    int   ch;
    char *p;

    if (argc < 3) {
        die("load MODE PORT [options]");
    }

    tls_outer = strcmp(argv[1], "https") == 0 || strcmp(argv[1], "atlss") == 0;
    exported = strcmp(argv[1], "keys") == 0;
    tls_inner = strncmp(argv[1], "atls", 4) == 0 || exported;
    port = number(argv[2]);

    optind = 3;

    while ((ch = getopt(argc, argv, "c:n:w:g:u:p:s:rid")) != -1) {

        switch (ch) {
        case 'c': nconns = number(optarg); break;
        case 'n': nops = number(optarg); break;
        case 'w': nwarm = number(optarg); break;
        case 'g': path = optarg; break;
        case 'u': up_size = number(optarg); break;
        case 'r': new_connections = 1; break;
        case 'i': idling = 1; break;
        case 'd': dropping = 1; break;

        case 'p':
            for (p = strtok(optarg, ","); p; p = strtok(NULL, ",")) {
                if (npids == LOAD_PIDS) {
                    die("too many processes");
                }

                pids[npids++] = number(p);
            }

            break;

        case 's':
            sessions = strcmp(optarg, "early") == 0 ? early
                       : strcmp(optarg, "resumed") == 0 ? resumed : full;
            break;

        default:
            exit(2);
        }
    }

    if (idling) {
        nops = 0;
    }
}


static SSL_CTX *
tls_context(void)
{
    SSL_CTX  *context;

    context = SSL_CTX_new(TLS_client_method());

    if (context == NULL
        || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION))
    {
        die("no TLS");
    }

    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT
                                            |SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, tls_ticket);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);

    return context;
}


/*
 * First, each connection does one operation, so that all are established and
 * have a ticket.  Then they do the others; the measured operations are the last
 * ones.
 */

static void
run(void)
{
    int  i;

    for (i = 0; i < nconns; i++) {
        conns[i].fd = -1;
    }

    for (i = 0; i < nconns; i++) {
        op_begin(&conns[i]);

        while (conns[i].ops == 0) {
            turn();
        }

        if (dropping) {
            conn_close(&conns[i]);
        }
    }

    established = 1;
    ended = 0;

    if (nwarm == 0) {
        measure_begin();
    }

    for (i = 0; i < nconns; i++) {
        op_next(&conns[i]);
    }

    while (ended < nconns) {
        turn();
    }
}


static void
turn(void)
{
    int                 i, n;
    struct epoll_event  events[64];

    n = epoll_wait(ep, events, 64, -1);

    for (i = 0; i < n; i++) {

        if (events[i].events & EPOLLOUT) {
            conn_flush(events[i].data.ptr);
        }

        if (events[i].events & ~EPOLLOUT) {
            conn_readable(events[i].data.ptr);
        }
    }
}


static void
measure_begin(void)
{
    cpu = cpu_of_pids();
    client = own_cpu();
    wall = now();
}


static int
by_size(const void *one, const void *two)
{
    uint64_t  a, b;

    a = *(const uint64_t *) one;
    b = *(const uint64_t *) two;

    return (a > b) - (a < b);
}


static void
measure_end(void)
{
    double  took;

    took = now() - wall;
    cpu = cpu_of_pids() - cpu;
    client = own_cpu() - client;

    if (measured != nops) {
        die("%llu operations were measured", (unsigned long long) measured);
    }

    qsort(latencies, nops, sizeof(uint64_t), by_size);

    printf("cpu %.3f\n", cpu / 1e3 / nops);
    printf("client %.3f\n", client / 1e3 / nops);
    printf("rate %.3f\n", nops * 1e9 / took);
    printf("mbytes %.3f\n", (body_size + nops * up_size) * 1e3 / took);
    printf("p50 %.1f\n", latencies[nops / 2] / 1e3);
    printf("p99 %.1f\n", latencies[nops * 99 / 100] / 1e3);
}


static void
idle(void)
{
    puts("ready");
    fflush(stdout);

    while (getchar() != EOF) { /* void */ }
}


static void
op_next(conn_t *c)
{
    if (begun == nwarm + nops) {
        c->phase = load_idle;
        ended++;
        return;
    }

    begun++;
    op_begin(c);
}


static void
op_begin(conn_t *c)
{
    c->began = now();
    c->up = up_size;
    c->post_left = 0;
    memset(&c->answer, 0, offsetof(http_t, head));
    c->answer.nhead = 0;
    c->answer.body = 0;

    if (sessions) {
        if (!tls_inner || new_connections) {
            conn_close(c);
        }

        if (c->inner) {

            /* OpenSSL does not resume a session that is still open */

            SSL_set_shutdown(c->inner, SSL_SENT_SHUTDOWN);
            SSL_free(c->inner);
            c->inner = NULL;
        }

        c->cookie[0] = '\0';
    }

    if (c->fd == -1) {
        conn_open(c);
        return;
    }

    op_session(c);
}


/* The connection is established: opens a session if necessary. */

static void
op_session(conn_t *c)
{
    if (!tls_inner || c->inner || (exported && conns[0].inner)) {
        op_request(c);
        return;
    }

    c->inner = tls_new(c, ctx, established);
    c->phase = load_handshake;

    if (established && sessions == early) {
        c->phase = load_request;
        tls_early(c, c->inner);

    } else {
        tls_handshake(c, c->inner);
    }

    post_begin(c, 0);
    post_drain(c);
    conn_flush(c);
}


static void
op_request(conn_t *c)
{
    uint64_t  len;

    c->phase = load_request;

    if (exported) {
        op_message(c);
        return;
    }

    if (tls_inner) {
        len = request_len + up_size;

        post_begin(c, len
                      + (len + LOAD_RECORD - 1) / LOAD_RECORD * LOAD_OVERHEAD);
    }

    /* the start of the body is in the same record as the head */

    len = LOAD_RECORD - request_len;
    len = len < c->up ? len : c->up;

    memcpy(plain, request, request_len);
    memset(plain + request_len, 0, len);

    c->up -= len;
    app_write(c, plain, request_len + len);

    app_more(c);
    conn_flush(c);
}


/*
 * A request with exported keys.  Those that are overtaken by others must not be
 * left behind the window of numbers.
 */

static void
op_message(conn_t *c)
{
    char     data[MESSAGE_SIZE + sizeof(c->head) + 256];
    size_t   len;
    conn_t  *lead;

    if (request_len + up_size > MESSAGE_SIZE - 17) {
        die("too large for a message");
    }

    c->up = 0;
    c->waits = awaited[numbers % LOAD_WINDOW] != NULL;

    if (c->waits) {
        return;
    }

    lead = &conns[0];
    memcpy(plain, request, request_len);
    memset(plain + request_len, 0, up_size);

    c->number = numbers++;
    awaited[c->number % LOAD_WINDOW] = c;
    c->message.len = 0;

    len = message_seal(lead->inner, strchr(lead->cookie, '=') + 1, c->number,
                       plain, request_len + up_size,
                       (unsigned char *) data + sizeof(c->head));
    if (len == 0) {
        die("no message");
    }

    c->post_left = len;
    post_head(c, LOAD_MESSAGE_TYPE);
    c->post_left = 0;

    memcpy(data + sizeof(c->head) - c->nhead, c->head, c->nhead);
    outer_write(c, data + sizeof(c->head) - c->nhead, c->nhead + len);

    conn_flush(c);
}


static void
op_done(conn_t *c)
{
    if (c->up || c->post_left || c->out.pos < c->out.len) {
        die("an answer before the end of the request");
    }

    c->ops++;
    c->phase = load_idle;

    if (!established) {
        return;
    }

    done++;

    if (done > nwarm) {
        latencies[measured++] = now() - c->began;
        body_size += c->answer.body;

    } else if (done == nwarm) {
        measure_begin();
    }

    op_next(c);
}


static void
conn_open(conn_t *c)
{
    int                 one = 1;
    struct sockaddr_in  sin;
    struct epoll_event  ev;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons(port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    c->fd = socket(AF_INET, SOCK_STREAM, 0);

    if (c->fd == -1 || connect(c->fd, (struct sockaddr *) &sin, sizeof(sin))) {
        die("no connection: %s", strerror(errno));
    }

    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    fcntl(c->fd, F_SETFL, O_NONBLOCK);

    c->events = EPOLLIN;
    ev.events = EPOLLIN;
    ev.data.ptr = c;

    if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) == -1) {
        die("epoll: %s", strerror(errno));
    }

    if (!tls_outer) {
        op_session(c);
        return;
    }

    c->outer = tls_new(c, ctx, established && !tls_inner);
    c->phase = load_outer;

    if (established && sessions == early && !tls_inner) {
        c->phase = load_request;
        tls_early(c, c->outer);

    } else {
        tls_handshake(c, c->outer);
    }

    outer_write(c, NULL, 0);
    conn_flush(c);
}


/* Sends close_notify, but does not wait for the one of the peer. */

static void
conn_close(conn_t *c)
{
    if (c->fd == -1) {
        return;
    }

    if (c->outer) {
        SSL_shutdown(c->outer);
        outer_write(c, NULL, 0);
        conn_flush(c);

        SSL_free(c->outer);
        c->outer = NULL;
    }

    close(c->fd);
    c->fd = -1;
    c->out.pos = 0;
    c->out.len = 0;
}


static void
conn_readable(conn_t *c)
{
    ssize_t  n;

    if (c->fd == -1) {
        return;
    }

    n = read(c->fd, in, sizeof(in));

    if (n == -1 && errno == EAGAIN) {
        return;
    }

    if (n <= 0) {
        die("connection lost: %s", n ? strerror(errno) : "closed");
    }

    if (c->phase == load_idle && !c->outer) {
        die("bytes that nobody asked for");
    }

    conn_wire(c, in, n);
}


static void
conn_wire(conn_t *c, char *data, size_t len)
{
    if (c->outer == NULL) {
        outer_took(c, data, len);
        conn_progress(c);
        return;
    }

    if (BIO_write(SSL_get_rbio(c->outer), data, len) != (int) len) {
        die("no memory");
    }

    if (!SSL_is_init_finished(c->outer)) {

        if (!tls_handshake(c, c->outer)) {
            return;
        }

        outer_write(c, NULL, 0);

        if (c->phase == load_outer) {
            tls_established(c->outer, established && !tls_inner);
            op_session(c);

        } else {
            tls_established(c->outer, 1);
            conn_flush(c);
        }
    }

    tls_read(c, c->outer, outer_took);
    conn_progress(c);
}


static void
conn_progress(conn_t *c)
{
    if (c->phase == load_idle || c->phase == load_outer) {
        return;
    }

    if (tls_inner) {
        if (c->post.state == http_done) {
            post_done(c);
        }

        return;
    }

    /* with early data, the ticket follows the response */

    if (c->answer.state == http_done && (sessions <= full || c->ticket)) {
        op_done(c);
    }
}


static void
conn_flush(conn_t *c)
{
    ssize_t             n;
    uint32_t            events;
    struct epoll_event  ev;

    for ( ;; ) {

        if (c->out.pos == c->out.len) {
            c->out.pos = 0;
            c->out.len = 0;

            if (c->phase == load_request && c->up) {
                app_more(c);
                continue;
            }

            break;
        }

        n = send(c->fd, c->out.data + c->out.pos, c->out.len - c->out.pos,
                 MSG_NOSIGNAL);

        if (n == -1 && errno == EAGAIN) {
            break;
        }

        if (n == -1) {
            die("connection lost: %s", strerror(errno));
        }

        c->out.pos += n;
    }

    events = EPOLLIN | (c->out.len ? EPOLLOUT : 0);

    if (events != c->events) {
        c->events = events;
        ev.events = events;
        ev.data.ptr = c;
        epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);
    }
}


static SSL *
tls_new(conn_t *c, SSL_CTX *context, int with_ticket)
{
    SSL  *ssl;
    BIO  *rbio, *wbio;

    ssl = SSL_new(context);
    rbio = BIO_new(BIO_s_mem());
    wbio = BIO_new(BIO_s_mem());

    if (ssl == NULL || rbio == NULL || wbio == NULL) {
        die("no memory");
    }

    SSL_set_bio(ssl, rbio, wbio);
    SSL_set_connect_state(ssl);
    SSL_set_tlsext_host_name(ssl, "localhost");
    SSL_set_app_data(ssl, c);

    if (with_ticket && sessions > full) {

        if (c->ticket == NULL || !SSL_set_session(ssl, c->ticket)) {
            die("no ticket");
        }

        SSL_SESSION_free(c->ticket);
        c->ticket = NULL;
    }

    return ssl;
}


static int
tls_handshake(conn_t *c, SSL *ssl)
{
    int  n;

    (void) c;

    n = SSL_do_handshake(ssl);

    if (n != 1 && SSL_get_error(ssl, n) != SSL_ERROR_WANT_READ) {
        ERR_print_errors_fp(stderr);
        die("the handshake fails");
    }

    return n == 1;
}


/* Sends the request in the first flight. */

static void
tls_early(conn_t *c, SSL *ssl)
{
    size_t  n;

    memcpy(plain, request, request_len);
    memset(plain + request_len, 0, up_size);
    c->up = 0;

    if (SSL_write_early_data(ssl, plain, request_len + up_size, &n) != 1) {
        ERR_print_errors_fp(stderr);
        die("no early data");
    }
}


static void
tls_established(SSL *ssl, int with_ticket)
{
    if (with_ticket && sessions > full && !SSL_session_reused(ssl)) {
        die("a session was not resumed");
    }

    if (with_ticket && sessions == early
        && SSL_get_early_data_status(ssl) != SSL_EARLY_DATA_ACCEPTED)
    {
        die("early data was not accepted");
    }
}


/* Saves the latest ticket of the measured layer. */

static int
tls_ticket(SSL *ssl, SSL_SESSION *session)
{
    conn_t  *c;

    c = SSL_get_app_data(ssl);

    if (tls_inner && ssl != c->inner) {
        return 0;
    }

    SSL_SESSION_free(c->ticket);
    c->ticket = session;

    return 1;
}


static void
tls_read(conn_t *c, SSL *ssl, void (*take)(conn_t *, char *, size_t))
{
    int   n;
    char  buf[LOAD_RECORD];

    for ( ;; ) {
        n = SSL_read(ssl, buf, sizeof(buf));

        if (n > 0) {
            take(c, buf, n);
            continue;
        }

        if (SSL_get_error(ssl, n) != SSL_ERROR_WANT_READ) {
            ERR_print_errors_fp(stderr);
            die("TLS fails");
        }

        return;
    }
}


static void
app_more(conn_t *c)
{
    size_t  n;

    while (c->up && c->out.len < LOAD_PENDING) {
        n = c->up < LOAD_RECORD ? c->up : LOAD_RECORD;

        c->up -= n;
        app_write(c, zeros, n);
    }
}


static void
app_write(conn_t *c, char *data, size_t len)
{
    if (!tls_inner) {
        outer_write(c, data, len);
        return;
    }

    if (SSL_write(c->inner, data, len) != (int) len) {
        ERR_print_errors_fp(stderr);
        die("TLS fails");
    }

    post_drain(c);
}


static void
app_took(conn_t *c, char *data, size_t len)
{
    http_feed(c, &c->answer, data, len, NULL);
}


/* If there are no data, sends only the output of TLS. */

static void
outer_write(conn_t *c, char *data, size_t len)
{
    int   n;
    char  buf[LOAD_RECORD];

    if (c->outer == NULL) {
        buf_add(&c->out, data, len);
        return;
    }

    if (len && SSL_write(c->outer, data, len) != (int) len) {
        ERR_print_errors_fp(stderr);
        die("TLS fails");
    }

    while ((n = BIO_read(SSL_get_wbio(c->outer), buf, sizeof(buf))) > 0) {
        buf_add(&c->out, buf, n);
    }
}


static void
outer_took(conn_t *c, char *data, size_t len)
{
    if (!tls_inner) {
        app_took(c, data, len);
        return;
    }

    http_feed(c, &c->post, data, len, post_body);
}


/* Starts a POST with the output of TLS and further data. */

static void
post_begin(conn_t *c, uint64_t more)
{
    c->post_left = BIO_ctrl_pending(SSL_get_wbio(c->inner)) + more;
    post_head(c, LOAD_MEDIA_TYPE);
}


/* It is sent in one write with the start of the body. */

static void
post_head(conn_t *c, const char *type)
{
    c->nhead = snprintf(c->head, sizeof(c->head),
                        "POST /.well-known/atls HTTP/1.1\r\n"
                        "Host: localhost\r\n"
                        "%s%s%s%s"
                        "Content-Length: %llu\r\n"
                        "\r\n",
                        type, c->cookie[0] ? "Cookie: " : "", c->cookie,
                        c->cookie[0] ? "\r\n" : "",
                        (unsigned long long) c->post_left);

    c->post.state = http_head;
    c->post.nhead = 0;
    c->post.body = 0;
}


static void
post_drain(conn_t *c)
{
    int     n;
    char    buf[2 * LOAD_RECORD];
    size_t  head;

    head = c->nhead;
    memcpy(buf, c->head, head);

    while ((n = BIO_read(SSL_get_wbio(c->inner), buf + head,
                         sizeof(buf) - head)) > 0)
    {
        if ((uint64_t) n > c->post_left) {
            die("a POST is longer than it said");
        }

        c->post_left -= n;
        outer_write(c, buf, head + n);

        head = 0;
        c->nhead = 0;
    }
}


static void
post_done(conn_t *c)
{
    if (c->post_left) {
        die("an answer before the end of a POST");
    }

    if (c->phase == load_handshake) {

        if (!SSL_is_init_finished(c->inner)) {
            die("a handshake in more than two POSTs");
        }

        /* the first message follows the last flight */

        if (exported && BIO_ctrl_pending(SSL_get_wbio(c->inner))) {
            post_begin(c, 0);
            post_drain(c);
            conn_flush(c);
            return;
        }

        op_request(c);
        return;
    }

    if (exported) {
        post_message(c);
    }

    if (c->answer.state != http_done) {
        die("no answer: %.*s", (int) c->post.nhead, c->post.head);
    }

    /* with early data, Finished is not sent yet */

    if (!exported && BIO_ctrl_pending(SSL_get_wbio(c->inner))) {
        c->phase = load_finished;
        post_begin(c, 0);
        post_drain(c);
        conn_flush(c);
        return;
    }

    op_done(c);
}


static void
post_message(conn_t *c)
{
    int             i;
    long            n;
    unsigned char  *p;

    n = message_open(conns[0].inner, c->number,
                     (unsigned char *) c->message.data, c->message.len, &p);

    if (n == -1) {
        die("not the response");
    }

    app_took(c, (char *) p, n);

    awaited[c->number % LOAD_WINDOW] = NULL;

    for (i = 0; i < nconns; i++) {
        if (conns[i].waits) {
            op_message(&conns[i]);
        }
    }
}


static void
post_body(conn_t *c, char *data, size_t len)
{
    if (exported && c->phase == load_request) {
        buf_add(&c->message, data, len);
        return;
    }

    if (BIO_write(SSL_get_rbio(c->inner), data, len) != (int) len) {
        die("no memory");
    }

    if (!SSL_is_init_finished(c->inner)) {

        if (!tls_handshake(c, c->inner)) {
            return;
        }

        tls_established(c->inner, established);
    }

    tls_read(c, c->inner, app_took);
}


static void
http_feed(conn_t *c, http_t *h, char *data, size_t len,
    void (*body)(conn_t *, char *, size_t))
{
    char    *last;
    size_t   n;

    for (last = data + len; data < last; data += n) {

        n = 1;

        switch (h->state) {

        case http_head:
            if (h->nhead == sizeof(h->head) - 1) {
                die("a long head");
            }

            h->head[h->nhead++] = *data;

            if (*data == '\n' && h->nhead >= 4
                && memcmp(h->head + h->nhead - 4, "\r\n\r\n", 4) == 0)
            {
                h->head[h->nhead] = '\0';
                http_headers(c, h);
            }

            break;

        case http_length:
        case http_chunk:
            n = last - data;
            n = n < h->left ? n : h->left;

            h->left -= n;
            h->body += n;

            if (body) {
                body(c, data, n);
            }

            if (h->left == 0) {
                h->state = h->state == http_length ? http_done
                                                   : http_chunk_end;
            }

            break;

        case http_chunk_size:
            if (isxdigit((unsigned char) *data)) {
                h->left = h->left * 16 + (*data <= '9' ? *data - '0'
                                                       : (*data | 32) - 87);

            } else if (*data == '\n') {
                h->state = h->left ? http_chunk : http_trailer;
            }

            break;

        case http_chunk_end:
            if (*data == '\n') {
                h->state = http_chunk_size;
                h->left = 0;
            }

            break;

        case http_trailer:
            if (*data == '\n') {
                h->state = http_done;
            }

            break;

        case http_done:
            die("more than one answer");
        }
    }
}


static void
http_headers(conn_t *c, http_t *h)
{
    char    *p, *line;
    size_t   n;

    if (strncmp(h->head, "HTTP/1.1 200 ", 13)) {
        die("not what was expected:\n%s", h->head);
    }

    h->state = http_done;
    h->left = 0;

    for (line = strchr(h->head, '\n'); line; line = strchr(line, '\n')) {
        line++;

        if (strncasecmp(line, "Content-Length:", 15) == 0) {
            h->left = strtoull(line + 15, NULL, 10);
            h->state = h->left ? http_length : http_done;

        } else if (strncasecmp(line, "Transfer-Encoding: chunked", 26) == 0) {
            h->state = http_chunk_size;

        } else if (strncasecmp(line, "Connection: close", 17) == 0
                   && !(exported && h == &c->answer))
        {
            die("a connection is not kept");

        } else if (strncasecmp(line, "Set-Cookie:", 11) == 0) {
            p = line + 11 + strspn(line + 11, " ");
            n = strcspn(p, ";\r");

            if (n >= sizeof(c->cookie)) {
                die("a long cookie");
            }

            memcpy(c->cookie, p, n);
            c->cookie[n] = '\0';
        }
    }
}


static void
buf_add(buf_t *b, char *data, size_t len)
{
    if (len > b->size - b->len) {
        b->size = 2 * b->size + len + 4096;
        b->data = realloc(b->data, b->size);

        if (b->data == NULL) {
            die("no memory");
        }
    }

    if (len) {
        memcpy(b->data + b->len, data, len);
        b->len += len;
    }
}


static uint64_t
number(const char *text)
{
    char      *end;
    uint64_t   n;

    n = strtoull(text, &end, 10);

    if (end == text || *end) {
        die("%s is no number", text);
    }

    return n;
}


static uint64_t
now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}


static uint64_t
own_cpu(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);

    return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}


/* Returns nanoseconds, from the scheduler: clock ticks are too coarse. */

static uint64_t
cpu_of_pids(void)
{
    int                 i;
    FILE               *f;
    char                name[64];
    uint64_t            sum;
    unsigned long long  ns;

    sum = 0;

    for (i = 0; i < npids; i++) {
        snprintf(name, sizeof(name), "/proc/%d/schedstat", pids[i]);

        f = fopen(name, "r");

        if (f == NULL || fscanf(f, "%llu", &ns) != 1) {
            die("%s: no CPU time", name);
        }

        fclose(f);
        sum += ns;
    }

    return sum;
}


static void
die(const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    fputs("load: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);

    exit(1);
}

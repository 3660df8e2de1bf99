
/*
 * A service that requests responses endlessly, or sends useless data: an ATLS
 * endpoint for tests of clients.
 *
 *     flood_server PORT CERTIFICATE KEY LOG
 *
 * The path of a POST, "/KIND", specifies what is sent with the response to a
 * request.  Connections are served one after another.  Each POST is logged:
 * its path, the size of its body, and how many times data were sent until the
 * client closed the connection.
 */


#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>


#define TIMES   20000


typedef struct {
    const char   *name;
    int           version;
    int         (*send)(SSL *ssl);
} kind_t;


static SSL       *ssl;
static BIO       *in, *out;
static FILE      *log_file;


static int
die(const char *what)
{
    perror(what);
    exit(1);
}


static int
byte(void)
{
    return SSL_write(ssl, "x", 1) == 1;
}


/* not in a row, as there are data in between */

static int
updates(SSL *s)
{
    return SSL_key_update(s, SSL_KEY_UPDATE_REQUESTED) == 1
           && SSL_do_handshake(s) == 1 && byte();
}


static int
few_updates(SSL *s)
{
    static unsigned  n;

    return n++ % 500 ? byte() : updates(s);
}


static int
updates_in_a_row(SSL *s)
{
    static unsigned  n;

    return SSL_key_update(s, SSL_KEY_UPDATE_REQUESTED) == 1
           && SSL_do_handshake(s) == 1 && (++n % 1000 || byte());
}


static int
tickets(SSL *s)
{
    return SSL_new_session_ticket(s) == 1 && SSL_do_handshake(s) == 1
           && byte();
}


/* HelloRequest: the client responds with a warning */

static int
requests(SSL *s)
{
    return SSL_renegotiate(s) == 1 && SSL_do_handshake(s) == 1 && byte();
}


static int
nothing(SSL *s)
{
    (void) s;

    return byte();
}


/* Also called for the tickets of sessions with this key. */

static unsigned
psk(SSL *s, const char *identity, unsigned char *key, unsigned size)
{
    (void) s;

    if (size < 16 || strcmp(identity, "device") != 0) {
        return 0;
    }

    memset(key, 0xab, 16);

    return 16;
}


static const kind_t  kinds[] = {
    { "nothing",           TLS1_3_VERSION, nothing },
    { "updates",           TLS1_3_VERSION, updates },
    { "few-updates",       TLS1_3_VERSION, few_updates },
    { "updates-in-a-row",  TLS1_3_VERSION, updates_in_a_row },
    { "tickets",           TLS1_3_VERSION, tickets },
    { "requests",          TLS1_2_VERSION, requests },
};


static int
send_all(int fd, const char *bytes, size_t n)
{
    ssize_t  sent;

    for ( /* void */ ; n; bytes += sent, n -= (size_t) sent) {
        sent = send(fd, bytes, n, MSG_NOSIGNAL);

        if (sent <= 0) {
            return -1;
        }
    }

    return 0;
}


/* Sends the TLS output as a chunk. */

static int
flush_chunk(int fd)
{
    int    rc;
    char  *data, head[16];
    long   n;

    n = BIO_get_mem_data(out, &data);

    if (n == 0) {
        return 0;
    }

    snprintf(head, sizeof(head), "%lx\r\n", n);

    rc = send_all(fd, head, strlen(head)) == -1
         || send_all(fd, data, (size_t) n) == -1
         || send_all(fd, "\r\n", 2) == -1 ? -1 : 0;

    (void) BIO_reset(out);

    return rc;
}


static void
session(SSL_CTX *ctx, const kind_t *kind)
{
    SSL_free(ssl);

    ssl = SSL_new(ctx);
    in = BIO_new(BIO_s_mem());
    out = BIO_new(BIO_s_mem());

    SSL_set_bio(ssl, in, out);
    SSL_set_accept_state(ssl);
    SSL_set_min_proto_version(ssl, kind->version);
    SSL_set_max_proto_version(ssl, kind->version);
}


/* Returns the number of times.  The request is small, in one record. */

static unsigned
answer(int fd, const kind_t *kind)
{
    char      buf[16384];
    unsigned  n;

    if (SSL_do_handshake(ssl) != 1 || SSL_read(ssl, buf, sizeof(buf)) <= 0) {
        return 0;
    }

    n = (unsigned) snprintf(buf, sizeof(buf), "HTTP/1.1 200 OK\r\n"
                            "Content-Length: %d\r\n\r\n", TIMES);
    SSL_write(ssl, buf, (int) n);

    for (n = 0; n < TIMES; n++) {
        if (!kind->send(ssl)) {
            break;
        }

        if (n % 64 == 0 && flush_chunk(fd) == -1) {
            return n;
        }
    }

    return n;
}


static int
serve(int fd, SSL_CTX *ctx)
{
    char          *line, header[8192], path[64], *body;
    size_t         i, used, length;
    ssize_t        got;
    unsigned       times;
    const kind_t  *kind;

    used = 0;

    do {
        got = recv(fd, header + used, 1, 0);
        used += got > 0 ? (size_t) got : 0;
        header[used] = '\0';
    } while (got > 0 && used < sizeof(header) - 1
             && strstr(header, "\r\n\r\n") == NULL);

    line = strcasestr(header, "\r\nContent-Length:");

    if (got <= 0 || line == NULL
        || sscanf(header, "POST /%63s ", path) != 1)
    {
        return -1;
    }

    length = strtoul(line + 17, NULL, 10);
    body = malloc(length + 1);

    if (body == NULL) {
        return -1;
    }

    for (used = 0; used < length; used += (size_t) got) {
        got = recv(fd, body + used, length - used, 0);
        if (got <= 0) {
            free(body);
            return -1;
        }
    }

    for (i = 0, kind = kinds; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(kinds[i].name, path) == 0) {
            kind = &kinds[i];
        }
    }

    if (strcasestr(header, "\r\nCookie:") == NULL) {
        session(ctx, kind);
    }

    BIO_write(in, body, (int) length);
    free(body);

    line = "HTTP/1.1 200 OK\r\nContent-Type: application/atls+octet-stream\r\n"
           "Set-Cookie: atls=flood\r\nTransfer-Encoding: chunked\r\n\r\n";

    send_all(fd, line, strlen(line));
    times = answer(fd, kind);

    fprintf(log_file, "/%s %zu %u\n", path, length, times);
    ERR_clear_error();

    return flush_chunk(fd) == -1 || send_all(fd, "0\r\n\r\n", 5) == -1 ? -1 : 0;
}


int
main(int argc, char **argv)
{
    int                 fd, s, on;
    SSL_CTX            *ctx;
    struct sockaddr_in  sin;

    ctx = SSL_CTX_new(TLS_server_method());

    if (argc != 5 || ctx == NULL
        || SSL_CTX_use_certificate_chain_file(ctx, argv[2]) != 1
        || SSL_CTX_use_PrivateKey_file(ctx, argv[3], SSL_FILETYPE_PEM) != 1)
    {
        return die(argv[0]);
    }

    /* OpenSSL uses such keys with SHA-256 */

    SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set_psk_server_callback(ctx, psk);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *) "flood", 5);

    log_file = fopen(argv[4], "a");

    if (log_file == NULL) {
        return die(argv[4]);
    }

    setvbuf(log_file, NULL, _IOLBF, 0);
    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons((in_port_t) atoi(argv[1]));
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    on = 1;
    s = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));

    if (bind(s, (struct sockaddr *) &sin, sizeof(sin)) == -1
        || listen(s, 16) == -1)
    {
        return die("listen");
    }

    for ( ;; ) {
        fd = accept(s, NULL, NULL);

        if (fd == -1) {
            continue;
        }

        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

        while (serve(fd, ctx) == 0) { /* void */ }

        close(fd);
    }
}

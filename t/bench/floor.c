
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


/*
 * The least that a client with libcurl does for a request: reads it, encrypts
 * it, sends it in a POST, and writes the decrypted response.  Nothing is parsed
 * or verified.  This is a lower bound for atls forward, see forward.pl.
 *
 *     floor PORT URL
 */


#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <curl/curl.h>
#include <openssl/ssl.h>


#define FLOOR_SIZE  16384
#define FLOOR_TYPE  "application/atls+octet-stream"


typedef struct {
    int          fd;
    CURL        *curl;
    SSL         *ssl;
    BIO         *in;
    BIO         *out;
} floor_t;


static int serve(const char *port);
static void *run(void *data);
static int answer(floor_t *client);
static void connect_tls(floor_t *client);
static void connect_curl(floor_t *client);
static void post(floor_t *client);
static size_t receive(char *bytes, size_t size, size_t n, void *data);
static void must(int pass, const char *what);


static SSL_CTX            *ctx;
static CURLU              *url;
static struct curl_slist  *headers;


int
main(int argc, char **argv)
{
    int        fd;
    floor_t   *client;
    pthread_t  thread;

    must(argc == 3, "usage: floor PORT URL");

    fd = serve(argv[1]);

    curl_global_init(CURL_GLOBAL_DEFAULT);

    url = curl_url();
    must(curl_url_set(url, CURLUPART_URL, argv[2], 0) == CURLUE_OK, "URL");

    ctx = SSL_CTX_new(TLS_client_method());

    headers = curl_slist_append(headers, "Content-Type: " FLOOR_TYPE);
    headers = curl_slist_append(headers, "Accept: " FLOOR_TYPE);
    headers = curl_slist_append(headers, "Expect:");

    for ( ;; ) {
        client = calloc(1, sizeof(floor_t));
        must(client != NULL, "calloc()");

        client->fd = accept(fd, NULL, NULL);
        must(client->fd != -1, "accept()");

        must(pthread_create(&thread, NULL, run, client) == 0,
             "pthread_create()");
        pthread_detach(thread);
    }
}


static int
serve(const char *port)
{
    int                 fd, on;
    struct sockaddr_in  sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sin.sin_port = htons((in_port_t) atoi(port));

    on = 1;
    fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));

    must(bind(fd, (struct sockaddr *) &sin, sizeof(sin)) == 0
         && listen(fd, SOMAXCONN) == 0, "listen()");

    return fd;
}


static void *
run(void *data)
{
    int       on;
    floor_t  *client = data;

    on = 1;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    connect_curl(client);
    connect_tls(client);

    while (answer(client)) { /* void */ }

    close(client->fd);
    curl_easy_cleanup(client->curl);
    SSL_free(client->ssl);
    free(client);

    return NULL;
}


static int
answer(floor_t *client)
{
    char     buf[FLOOR_SIZE];
    ssize_t  n;

    n = recv(client->fd, buf, sizeof(buf), 0);

    if (n <= 0) {
        return 0;
    }

    must(SSL_write(client->ssl, buf, (int) n) == n, "SSL_write()");
    post(client);

    return 1;
}


static void
connect_curl(floor_t *client)
{
    CURL  *curl;

    client->curl = curl = curl_easy_init();
    must(curl != NULL, "curl_easy_init()");

    curl_easy_setopt(curl, CURLOPT_CURLU, url);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "libatls/0.0.0");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_COOKIEFILE, "");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, client);
}


static void
connect_tls(floor_t *client)
{
    client->ssl = SSL_new(ctx);
    client->in = BIO_new(BIO_s_mem());
    client->out = BIO_new(BIO_s_mem());

    SSL_set_bio(client->ssl, client->in, client->out);
    SSL_set_connect_state(client->ssl);

    while (SSL_do_handshake(client->ssl) != 1) {
        must(BIO_ctrl_pending(client->out) != 0, "SSL_do_handshake()");
        post(client);
    }

    post(client);
}


static void
post(floor_t *client)
{
    char  *bytes;
    long   n;

    n = BIO_get_mem_data(client->out, &bytes);

    curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, bytes);
    curl_easy_setopt(client->curl, CURLOPT_POSTFIELDSIZE, n);

    must(curl_easy_perform(client->curl) == CURLE_OK, "curl_easy_perform()");

    (void) BIO_reset(client->out);
}


static size_t
receive(char *bytes, size_t size, size_t n, void *data)
{
    int       got;
    char      buf[FLOOR_SIZE];
    floor_t  *client = data;

    n *= size;
    must(BIO_write(client->in, bytes, (int) n) == (int) n, "BIO_write()");

    while (SSL_is_init_finished(client->ssl)
           && BIO_ctrl_pending(client->in)
           && (got = SSL_read(client->ssl, buf, sizeof(buf))) > 0)
    {
        must(send(client->fd, buf, (size_t) got, MSG_NOSIGNAL) == got,
             "send()");
    }

    return n;
}


static void
must(int pass, const char *what)
{
    if (!pass) {
        fprintf(stderr, "floor: %s failed\n", what);
        exit(1);
    }
}

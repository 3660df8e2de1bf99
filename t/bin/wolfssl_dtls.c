
/*
 * A DTLS client with wolfSSL, over UDP: sends a request to 127.0.0.1, prints
 * the response until its header has ended and something follows, and exits.
 *
 *     wolfssl_dtls PORT PATH SUITE FILE
 *
 * SUITE is a name of wolfSSL, FILE has the trusted certificate.
 */


#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>


static WOLFSSL  *ssl;


static void
must(int good, const char *what)
{
    char  text[80];

    if (!good) {
        wolfSSL_ERR_error_string(ssl ? (unsigned long) wolfSSL_get_error(ssl, 0)
                                     : 0, text);
        fprintf(stderr, "%s: %s\n", what, text);
        exit(1);
    }
}


int
main(int argc, char **argv)
{
    int                  fd, n, have;
    char                 buf[8192];
    WOLFSSL_CTX         *ctx;
    struct sockaddr_in   to;

    if (argc != 5) {
        return 2;
    }

    memset(&to, 0, sizeof(to));
    to.sin_family = AF_INET;
    to.sin_port = htons((unsigned short) atoi(argv[1]));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    wolfSSL_Init();

    ctx = wolfSSL_CTX_new(wolfDTLSv1_2_client_method());
    must(ctx != NULL, "context");
    must(wolfSSL_CTX_load_verify_locations(ctx, argv[4], NULL) == 1, argv[4]);
    must(wolfSSL_CTX_set_cipher_list(ctx, argv[3]) == 1, argv[3]);

    fd = socket(AF_INET, SOCK_DGRAM, 0);
    must(fd != -1, "socket");

    ssl = wolfSSL_new(ctx);
    must(ssl != NULL, "session");
    must(wolfSSL_check_domain_name(ssl, "localhost") == 1, "name");
    must(wolfSSL_dtls_set_peer(ssl, &to, sizeof(to)) == 1, "address");
    must(wolfSSL_set_fd(ssl, fd) == 1, "socket");
    must(wolfSSL_connect(ssl) == 1, "handshake");

    printf("%s %s\n", wolfSSL_get_version(ssl), wolfSSL_get_cipher(ssl));

    n = snprintf(buf, sizeof(buf),
                 "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", argv[2]);
    must(wolfSSL_write(ssl, buf, n) == n, "writing");

    have = 0;

    do {
        n = wolfSSL_read(ssl, buf + have, (int) sizeof(buf) - 1 - have);
        must(n > 0, "reading");

        have += n;
        buf[have] = '\0';

    } while (strstr(buf, "\r\n\r\n") == NULL
             || strstr(buf, "\r\n\r\n")[4] == '\0');

    printf("%s", buf);

    wolfSSL_shutdown(ssl);
    wolfSSL_free(ssl);
    wolfSSL_CTX_free(ctx);
    wolfSSL_Cleanup();

    return 0;
}

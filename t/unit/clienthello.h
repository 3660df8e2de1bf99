
/* A ClientHello of OpenSSL. */


#ifndef _CLIENTHELLO_H_INCLUDED_
#define _CLIENTHELLO_H_INCLUDED_


#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>

#include "tap.h"


/*
 * With DTLS, records have at most mtu bytes, if it is not 0.  Returns the
 * length of *bytes, which must be freed.
 */

static size_t
hello(const SSL_METHOD *method, const char *name, unsigned mtu,
    const unsigned char **bytes)
{
    long      n;
    SSL      *ssl;
    SSL_CTX  *ctx;

    ctx = SSL_CTX_new(method);
    must(ctx);
    ssl = SSL_new(ctx);
    must(ssl);

    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    must(name == NULL || SSL_set_tlsext_host_name(ssl, name));

    if (mtu) {
        SSL_set_options(ssl, SSL_OP_NO_QUERY_MTU);
        SSL_set_mtu(ssl, mtu);
    }

    must(SSL_connect(ssl) == -1);

    n = BIO_get_mem_data(SSL_get_wbio(ssl), (char **) bytes);
    must(n > 0);
    *bytes = memcpy(malloc((size_t) n), *bytes, (size_t) n);

    SSL_free(ssl);
    SSL_CTX_free(ctx);

    return (size_t) n;
}


#endif /* _CLIENTHELLO_H_INCLUDED_ */

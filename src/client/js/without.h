
/*
 * Included before all files that are compiled for WebAssembly: what libatls
 * uses and is not there.
 */


#ifndef ATLS_CLIENT_JS_WITHOUT_H_INCLUDED
#define ATLS_CLIENT_JS_WITHOUT_H_INCLUDED


#include <stdint.h>
#include <string.h>

#include <openssl/ssl.h>


#define rawmemchr(s, c)                            memchr(s, c, SIZE_MAX)


#ifdef OPENSSL_NO_DTLS
#define DTLS_client_method()                       NULL
#define DTLS_set_timer_cb(ssl, callback)           ((void) (callback))
#endif

#ifdef OPENSSL_NO_PSK
#define SSL_CTX_set_psk_client_callback(ctx, callback)                        \
    ((void) (ctx), (void) (callback))
#endif


#endif /* ATLS_CLIENT_JS_WITHOUT_H_INCLUDED */

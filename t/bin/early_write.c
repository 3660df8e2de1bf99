
/*
 * For LD_PRELOAD: OpenSSL cannot write responses to early data while the file
 * named by ATLS_EARLY_WRITE exists.
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/ssl.h>


int
SSL_write_early_data(SSL *ssl, const void *buf, size_t n, size_t *written)
{
    int          (*real)(SSL *, const void *, size_t, size_t *);
    const char    *name;

    name = getenv("ATLS_EARLY_WRITE");

    if (name && access(name, F_OK) == 0) {
        return 0;
    }

    *(void **) &real = dlsym(RTLD_NEXT, "SSL_write_early_data");

    return real(ssl, buf, n, written);
}

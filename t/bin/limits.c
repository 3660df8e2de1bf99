
/*
 * For LD_PRELOAD: keys protect no more than 8 records; and while the file named
 * by ATLS_LIMITS exists, there is no memory for an SSL.
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/ssl.h>


uint64_t
trl_aead_limit(unsigned aead)
{
    (void) aead;

    return 8;
}


SSL *
SSL_new(SSL_CTX *ctx)
{
    SSL         *(*real)(SSL_CTX *);
    const char  *name;

    name = getenv("ATLS_LIMITS");

    if (name && access(name, F_OK) == 0) {
        return NULL;
    }

    *(void **) &real = dlsym(RTLD_NEXT, "SSL_new");

    return real(ctx);
}


/*
 * For LD_PRELOAD: OpenSSL negotiates unsupported parameters.  While the file
 * named by ATLS_UNSUPPORTED exists, each handshake has an unknown group if the
 * file begins with "g", or a suite without AEAD otherwise.
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/ssl.h>


static char
unsupported(void)
{
    int          fd;
    char         c;
    const char  *name;

    name = getenv("ATLS_UNSUPPORTED");
    fd = name ? open(name, O_RDONLY) : -1;

    if (fd == -1 || read(fd, &c, 1) != 1) {
        c = 0;
    }

    if (fd != -1) {
        close(fd);
    }

    return c;
}


long
SSL_ctrl(SSL *ssl, int cmd, long larg, void *parg)
{
    long  (*real)(SSL *, int, long, void *);

    *(void **) &real = dlsym(RTLD_NEXT, "SSL_ctrl");

    if (cmd == SSL_CTRL_GET_NEGOTIATED_GROUP && unsupported() == 'g'
        && real(ssl, cmd, larg, parg) != NID_undef)
    {
        return NID_rc4;
    }

    return real(ssl, cmd, larg, parg);
}


int
SSL_CIPHER_is_aead(const SSL_CIPHER *cipher)
{
    int  (*real)(const SSL_CIPHER *);

    *(void **) &real = dlsym(RTLD_NEXT, "SSL_CIPHER_is_aead");

    return unsupported() == 's' ? 0 : real(cipher);
}


/*
 * For LD_PRELOAD: writes a line for each record that a program seals with an
 * AEAD to the file NONCES: key, nonce and tag, in hexadecimal.  Different tags
 * for a key and a nonce are different plaintexts.  Both the module and libssl
 * use these functions, except libssl with TLS 1.2.
 */


#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>


#define SLOTS  4096
#define BYTES  32


typedef struct {
    const EVP_CIPHER_CTX  *ctx;
    unsigned char          key[BYTES];
    unsigned char          nonce[12];
} slot_t;


static int     fd = -1;
static slot_t  slots[SLOTS];


/* Before main(), which may change the environment for child processes. */

__attribute__((constructor)) static void
start(void)
{
    const char  *name;

    name = getenv("NONCES");

    if (name) {
        fd = open(name, O_WRONLY|O_CREAT|O_APPEND, 0600);
    }
}


static slot_t *
slot(const EVP_CIPHER_CTX *ctx)
{
    size_t  i, n;

    n = ((size_t) ctx >> 4) % SLOTS;

    for (i = 0; i < SLOTS; i++) {

        if (slots[n].ctx == ctx || slots[n].ctx == NULL) {
            slots[n].ctx = ctx;
            return &slots[n];
        }

        n = (n + 1) % SLOTS;
    }

    abort();
}


static void
note(EVP_CIPHER_CTX *ctx, const unsigned char *key, const unsigned char *nonce)
{
    slot_t  *s;

    if (fd == -1 || (key == NULL && nonce == NULL)) {
        return;
    }

    s = slot(ctx);

    if (key) {
        memset(s->key, 0, BYTES);
        memcpy(s->key, key, (size_t) EVP_CIPHER_CTX_get_key_length(ctx));
    }

    if (nonce && EVP_CIPHER_CTX_get_iv_length(ctx) == (int) sizeof(s->nonce)) {
        memcpy(s->nonce, nonce, sizeof(s->nonce));
    }
}


int
EVP_CipherInit_ex(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher, ENGINE *impl,
    const unsigned char *key, const unsigned char *iv, int enc)
{
    int   rc;
    int (*real)(EVP_CIPHER_CTX *, const EVP_CIPHER *, ENGINE *,
                const unsigned char *, const unsigned char *, int);

    *(void **) &real = dlsym(RTLD_NEXT, "EVP_CipherInit_ex");

    rc = real(ctx, cipher, impl, key, iv, enc);
    note(ctx, key, iv);

    return rc;
}


int
EVP_CipherInit_ex2(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *cipher,
    const unsigned char *key, const unsigned char *iv, int enc,
    const OSSL_PARAM params[])
{
    int   rc;
    int (*real)(EVP_CIPHER_CTX *, const EVP_CIPHER *, const unsigned char *,
                const unsigned char *, int, const OSSL_PARAM *);

    *(void **) &real = dlsym(RTLD_NEXT, "EVP_CipherInit_ex2");

    rc = real(ctx, cipher, key, iv, enc, params);
    note(ctx, key, iv);

    return rc;
}


static size_t
hex(char *text, const unsigned char *p, size_t n)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        sprintf(text + 2 * i, "%02x", p[i]);
    }

    return 2 * n;
}


int
EVP_CIPHER_CTX_ctrl(EVP_CIPHER_CTX *ctx, int type, int arg, void *ptr)
{
    int      rc;
    char     line[256];
    size_t   n;
    slot_t  *s;
    int    (*real)(EVP_CIPHER_CTX *, int, int, void *);

    *(void **) &real = dlsym(RTLD_NEXT, "EVP_CIPHER_CTX_ctrl");

    rc = real(ctx, type, arg, ptr);

    if (fd == -1 || type != EVP_CTRL_AEAD_GET_TAG || rc != 1) {
        return rc;
    }

    s = slot(ctx);

    n = hex(line, s->key, BYTES);
    line[n++] = ' ';
    n += hex(line + n, s->nonce, sizeof(s->nonce));
    line[n++] = ' ';
    n += hex(line + n, ptr, (size_t) arg);
    line[n++] = '\n';

    if (write(fd, line, n) != (ssize_t) n) {
        abort();
    }

    return rc;
}

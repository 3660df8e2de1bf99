
/*
 * For LD_PRELOAD: makes the TLS of a program reproducible, and its ephemeral
 * keys known.  Random bytes of OpenSSL are derived from the name in
 * FIXED_RANDOM, the time is FIXED_TIME, and private keys of X25519 are written
 * to the file with the path FIXED_RANDOM.  Only for examples in documentation.
 */


#define OPENSSL_SUPPRESS_DEPRECATED

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>


/* OpenSSL of the program; other programs do not have these functions. */

#pragma weak RAND_set_rand_method
#pragma weak SHA256
#pragma weak EVP_PKEY_get_raw_private_key


static char    file[1024];
static time_t  now;


/* SHA-256 of the name and a counter, repeated. */

static int
fixed_bytes(unsigned char *buf, int num)
{
    int            n;
    char           text[1100];
    const char    *name;
    unsigned char  block[SHA256_DIGEST_LENGTH];

    static unsigned long  counter;

    name = strrchr(file, '/');

    for ( /* void */ ; num > 0; num -= n, buf += n) {
        snprintf(text, sizeof(text), "%s %lu", name ? name : file, counter++);
        SHA256((unsigned char *) text, strlen(text), block);

        n = num < (int) sizeof(block) ? num : (int) sizeof(block);
        memcpy(buf, block, n);
    }

    return 1;
}


static int
fixed_status(void)
{
    return 1;
}


static RAND_METHOD  fixed_method = {
    NULL, fixed_bytes, NULL, NULL, fixed_bytes, fixed_status
};


/* Later, nginx has no environment. */

__attribute__((constructor))
static void
fixed_init(void)
{
    const char  *value;

    value = getenv("FIXED_RANDOM");

    if (value == NULL) {
        return;
    }

    snprintf(file, sizeof(file), "%s", value);

    if (RAND_set_rand_method) {
        RAND_set_rand_method(&fixed_method);
    }

    value = getenv("FIXED_TIME");
    now = value ? atol(value) : 0;
}


int
EVP_PKEY_keygen(EVP_PKEY_CTX *ctx, EVP_PKEY **pkey)
{
    int            rc;
    FILE          *fh;
    size_t         i, len;
    unsigned char  key[32];

    static int  (*keygen)(EVP_PKEY_CTX *, EVP_PKEY **);

    if (keygen == NULL) {
        *(void **) &keygen = dlsym(RTLD_NEXT, "EVP_PKEY_keygen");
    }

    rc = keygen(ctx, pkey);
    len = sizeof(key);

    if (rc != 1 || file[0] == '\0'
        || EVP_PKEY_get_raw_private_key(*pkey, key, &len) != 1)
    {
        return rc;
    }

    fh = fopen(file, "a");

    if (fh == NULL) {
        return rc;
    }

    for (i = 0; i < len; i++) {
        fprintf(fh, "%02x", key[i]);
    }

    fprintf(fh, "\n");
    fclose(fh);

    return rc;
}


/* All clocks, except those of CPU time. */

int
clock_gettime(clockid_t id, struct timespec *ts)
{
    if (now && id != CLOCK_PROCESS_CPUTIME_ID && id != CLOCK_THREAD_CPUTIME_ID)
    {
        ts->tv_sec = now;
        ts->tv_nsec = 0;
        return 0;
    }

    return (int) syscall(SYS_clock_gettime, id, ts);
}


int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    struct timespec  ts;

    (void) tz;

    if (clock_gettime(CLOCK_REALTIME, &ts) == -1) {
        return -1;
    }

    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;

    return 0;
}


time_t
time(time_t *t)
{
    struct timeval  tv;

    (void) gettimeofday(&tv, NULL);

    if (t) {
        *t = tv.tv_sec;
    }

    return tv.tv_sec;
}

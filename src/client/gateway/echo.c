
/*
 * Echo options, see echo.h.
 */


#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "echo.h"


#define GW_ECHO_TIME        4           /* bytes */
#define GW_ECHO_LIFETIME    300         /* seconds */


static int gw_echo_seal(const gw_echo_t *echo, const char *source,
    unsigned char value[GW_ECHO_SIZE]);


int
gw_echo_init(gw_echo_t *echo)
{
    return RAND_bytes(echo->key, sizeof(echo->key)) == 1 ? 0 : -1;
}


int
gw_echo_make(const gw_echo_t *echo, const char *source, int64_t now,
    unsigned char value[GW_ECHO_SIZE])
{
    uint32_t  seconds;

    seconds = (uint32_t) (now / 1000);

    value[0] = (unsigned char) (seconds >> 24);
    value[1] = (unsigned char) (seconds >> 16);
    value[2] = (unsigned char) (seconds >> 8);
    value[3] = (unsigned char) seconds;

    return gw_echo_seal(echo, source, value);
}


/* Completes a value that begins with its time. */

static int
gw_echo_seal(const gw_echo_t *echo, const char *source,
    unsigned char value[GW_ECHO_SIZE])
{
    size_t         n;
    unsigned       len;
    unsigned char  text[128], digest[EVP_MAX_MD_SIZE];

    n = strlen(source);

    if (n > sizeof(text) - GW_ECHO_TIME) {
        return -1;
    }

    memcpy(text, value, GW_ECHO_TIME);
    memcpy(text + GW_ECHO_TIME, source, n);

    if (HMAC(EVP_sha256(), echo->key, sizeof(echo->key), text,
             GW_ECHO_TIME + n, digest, &len)
        == NULL)
    {
        return -1;
    }

    memcpy(value + GW_ECHO_TIME, digest, GW_ECHO_SIZE - GW_ECHO_TIME);

    return 0;
}


int
gw_echo_verify(const gw_echo_t *echo, const char *source, int64_t now,
    const unsigned char *value, size_t n)
{
    uint32_t       seconds;
    unsigned char  expected[GW_ECHO_SIZE];

    if (n != GW_ECHO_SIZE) {
        return -1;
    }

    memcpy(expected, value, GW_ECHO_TIME);

    seconds = (uint32_t) value[0] << 24 | (uint32_t) value[1] << 16
              | (uint32_t) value[2] << 8 | value[3];

    return gw_echo_seal(echo, source, expected) == 0
           && CRYPTO_memcmp(expected, value, GW_ECHO_SIZE) == 0
           && (uint32_t) (now / 1000) - seconds <= GW_ECHO_LIFETIME
           ? 0 : -1;
}

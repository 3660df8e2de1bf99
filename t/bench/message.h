
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


/*
 * Requests with exported keys, for load.c: messages of a single record, and the
 * responses to them.
 */


#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>


#define MESSAGE_SIZE        (16384 + 17)
#define MESSAGE_HEADER      (16 + 4 + 1)
#define MESSAGE_TAG         16
#define MESSAGE_LABEL       "application-layer-tls"


static int
message_nonce(EVP_CIPHER_CTX *ctx, const unsigned char *base, uint64_t number)
{
    int            i;
    unsigned char  nonce[12];

    memcpy(nonce, base, sizeof(nonce));

    for (i = 11; number; i--) {
        nonce[i] ^= (unsigned char) number;
        number >>= 8;
    }

    return EVP_CipherInit_ex(ctx, NULL, NULL, NULL, nonce, -1) == 1;
}


/* The cipher of a message, and the base of its nonces. */

static EVP_CIPHER_CTX *
message_cipher(SSL *ssl, int kind, uint64_t n, const unsigned char *salt,
    unsigned char *nonce)
{
    int              i;
    unsigned char    context[9], key[32], prk[32], cek[32], iv[32];
    EVP_CIPHER_CTX  *ctx;

    static const unsigned char  cek_info[] = "Content-Encoding: aes128gcm\0\1";
    static const unsigned char  iv_info[] = "Content-Encoding: nonce\0\1";

    context[0] = (unsigned char) kind;

    for (i = 8; i; i--) {
        context[i] = (unsigned char) n;
        n >>= 8;
    }

    ctx = EVP_CIPHER_CTX_new();

    if (ctx == NULL
        || SSL_export_keying_material(ssl, key, sizeof(key), MESSAGE_LABEL,
                                      sizeof(MESSAGE_LABEL) - 1, context,
                                      sizeof(context), 1)
           != 1
        || HMAC(EVP_sha256(), salt, 16, key, sizeof(key), prk, NULL) == NULL
        || HMAC(EVP_sha256(), prk, 32, cek_info, sizeof(cek_info) - 1, cek,
                NULL)
           == NULL
        || HMAC(EVP_sha256(), prk, 32, iv_info, sizeof(iv_info) - 1, iv, NULL)
           == NULL
        || EVP_CipherInit_ex(ctx, EVP_aes_128_gcm(), NULL, cek, NULL,
                             kind == 1)
           != 1)
    {
        EVP_CIPHER_CTX_free(ctx);
        return NULL;
    }

    memcpy(nonce, iv, 12);

    return ctx;
}


/*
 * Makes a message of len bytes, which are less than a record.  The length of
 * the message, or 0.
 */

static size_t
message_seal(SSL *ssl, const char *id, uint64_t number, const char *data,
    size_t len, unsigned char *out)
{
    int              n, ok;
    size_t           idlen;
    uint32_t         size;
    unsigned char   *p, nonce[12];
    EVP_CIPHER_CTX  *ctx;

    size = htonl(MESSAGE_SIZE);
    idlen = sprintf((char *) out + MESSAGE_HEADER, "%s.%llu", id,
                    (unsigned long long) number);

    ok = RAND_bytes(out, 16) == 1;
    memcpy(out + 16, &size, 4);
    out[20] = (unsigned char) idlen;

    p = out + MESSAGE_HEADER + idlen;
    memcpy(p, data, len);
    p[len++] = 2;

    ctx = ok ? message_cipher(ssl, 1, number, out, nonce) : NULL;

    ok = ctx && message_nonce(ctx, nonce, 0)
         && EVP_CipherUpdate(ctx, p, &n, p, (int) len) == 1
         && EVP_CipherFinal_ex(ctx, p + len, &n) == 1
         && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, MESSAGE_TAG,
                                p + len)
            == 1;

    EVP_CIPHER_CTX_free(ctx);

    return ok ? MESSAGE_HEADER + idlen + len + MESSAGE_TAG : 0;
}


/* Opens a response in place.  The length of the plaintext, or -1. */

static long
message_open(SSL *ssl, uint64_t number, unsigned char *message, size_t len,
    unsigned char **plain)
{
    int              n, last;
    size_t           size, piece, i;
    uint32_t         rs;
    uint64_t         record;
    unsigned char   *p, *to, nonce[12];
    EVP_CIPHER_CTX  *ctx;

    if (len < MESSAGE_HEADER || len - MESSAGE_HEADER < message[20]) {
        return -1;
    }

    memcpy(&rs, message + 16, 4);
    size = ntohl(rs);

    *plain = to = p = message + MESSAGE_HEADER + message[20];
    len -= p - message;
    last = 0;

    ctx = message_cipher(ssl, 2, number, message, nonce);

    for (record = 0; ctx && len && !last; record++) {
        piece = len < size ? len : size;

        if (piece <= MESSAGE_TAG
            || !message_nonce(ctx, nonce, record)
            || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, MESSAGE_TAG,
                                   p + piece - MESSAGE_TAG)
               != 1
            || EVP_CipherUpdate(ctx, p, &n, p, (int) (piece - MESSAGE_TAG))
               != 1
            || EVP_CipherFinal_ex(ctx, p + n, &n) != 1)
        {
            break;
        }

        for (i = piece - MESSAGE_TAG; i && p[i - 1] == 0; i--) { /* void */ }

        if (i == 0) {
            break;
        }

        last = p[i - 1] == 2;
        memmove(to, p, i - 1);

        to += i - 1;
        p += piece;
        len -= piece;
    }

    EVP_CIPHER_CTX_free(ctx);

    return last && len == 0 ? to - *plain : -1;
}

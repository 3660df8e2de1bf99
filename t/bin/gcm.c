
/*
 * AES-128-GCM without additional data, for Test::Atls::Message.
 *
 * Reads lines from stdin, with bytes in hexadecimal, and answers each of them
 * with one line:
 *
 *     seal KEY NONCE PLAINTEXT        the ciphertext and the tag
 *     open KEY NONCE CIPHERTEXT       the plaintext, or "-"
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>


#define TAG  16


static unsigned char *
decode(char *hex, size_t *len)
{
    size_t          i;
    unsigned char  *p;

    *len = strlen(hex) / 2;

    p = malloc(*len + TAG + 1);
    if (p == NULL) {
        exit(2);
    }

    for (i = 0; i < *len; i++) {
        if (sscanf(hex + 2 * i, "%2hhx", &p[i]) != 1) {
            exit(2);
        }
    }

    return p;
}


static void
print(const unsigned char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        printf("%02x", p[i]);
    }

    printf("\n");
    fflush(stdout);
}


static void
run(int sealing, char *key_hex, char *nonce_hex, char *data_hex)
{
    int              n, total, rc;
    size_t           size, len;
    unsigned char   *key, *nonce, *data;
    EVP_CIPHER_CTX  *ctx;

    key = decode(key_hex, &size);
    if (size != 16) {
        exit(2);
    }

    nonce = decode(nonce_hex, &size);
    if (size != 12) {
        exit(2);
    }

    data = decode(data_hex, &len);
    ctx = EVP_CIPHER_CTX_new();

    if (ctx == NULL
        || EVP_CipherInit_ex(ctx, EVP_aes_128_gcm(), NULL, key, nonce, sealing)
           != 1)
    {
        exit(2);
    }

    rc = 1;

    if (!sealing) {
        rc = (len >= TAG);
        len -= rc ? TAG : 0;

        if (rc) {
            rc = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG,
                                     data + len);
        }
    }

    if (rc == 1
        && EVP_CipherUpdate(ctx, data, &total, data, (int) len) == 1
        && EVP_CipherFinal_ex(ctx, data + total, &n) == 1)
    {
        if (sealing) {
            if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG, data + len)
                != 1)
            {
                exit(2);
            }

            len += TAG;
        }

        print(data, len);

    } else {
        printf("-\n");
        fflush(stdout);
    }

    EVP_CIPHER_CTX_free(ctx);
    free(key);
    free(nonce);
    free(data);
}


int
main(void)
{
    char    *line, *command, *key, *nonce, *data;
    size_t   size;

    line = NULL;
    size = 0;

    while (getline(&line, &size, stdin) > 0) {
        command = strtok(line, " \n");
        key = strtok(NULL, " \n");
        nonce = strtok(NULL, " \n");
        data = strtok(NULL, " \n");

        if (nonce == NULL) {
            return 2;
        }

        run(strcmp(command, "seal") == 0, key, nonce, data ? data : "");
    }

    free(line);

    return 0;
}

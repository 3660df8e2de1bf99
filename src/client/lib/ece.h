
/*
 * Messages: bytes encrypted with the content coding aes128gcm, RFC 8188.
 */


#ifndef ATLS_CLIENT_ECE_H_INCLUDED
#define ATLS_CLIENT_ECE_H_INCLUDED


#include <stdint.h>

#include <openssl/evp.h>

#include "buf.h"
#include "error.h"


#define ATLS_ECE_KEY            32

#define ATLS_ECE_MIN            18          /* record sizes that are accepted */
#define ATLS_ECE_MAX            (16384 + 17)
#define ATLS_ECE_SIZE           (4096 + 17) /* that of sealed messages */


/* Receives plaintext.  If it does not return ATLS_OK, opening stops. */

typedef atls_error_e (*atls_ece_sink_pt)(void *data,
    const unsigned char *bytes, size_t n);


/* A message that is opened. */

typedef struct {
    const unsigned char *key;               /* ATLS_ECE_KEY bytes */
    const char          *keyid;             /* the expected one */
    atls_failure_t      *failure;
    atls_ece_sink_pt     sink;
    void                *data;

    atls_buf_t           buf;               /* of the header, or of a record */
    size_t               size;              /* of records; 0: no header yet */
    EVP_CIPHER_CTX      *ctx;
    unsigned char        nonce[12];
    uint64_t             number;            /* of the next record */
    int                  last;              /* the last one was opened */
} atls_ece_t;


/* Appends a message to a buffer.  Returns 0 or -1. */

int atls_ece_seal(atls_buf_t *out, const unsigned char *key, const char *keyid,
    const unsigned char *plain, size_t n);

/*
 * Opens records as they become complete.  The structure must be zeroed, except
 * for the first members.  The second function is called at the end of the
 * message: if it returns ATLS_OK, the message is complete.
 */

atls_error_e atls_ece_open(atls_ece_t *ece, const unsigned char *bytes,
    size_t n);
atls_error_e atls_ece_end(atls_ece_t *ece);

void atls_ece_free(atls_ece_t *ece);


#endif /* ATLS_CLIENT_ECE_H_INCLUDED */

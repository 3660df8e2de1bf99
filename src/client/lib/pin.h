
/* Pinned public keys of the server. */


#ifndef ATLS_CLIENT_PIN_H_INCLUDED
#define ATLS_CLIENT_PIN_H_INCLUDED


#include <openssl/x509.h>

#include "error.h"


#define ATLS_PIN_DIGEST     32              /* SHA-256 */


/* Digests of public keys, each a DER SubjectPublicKeyInfo. */

typedef struct {
    unsigned char  (*digests)[ATLS_PIN_DIGEST];
    size_t           n;                     /* 0: any key is accepted */
} atls_pins_t;


/*
 * Parses ATLS_PINNED_KEY, see atls.h; the structure must be zeroed.  Returns 0,
 * or -1 with an error in failure.
 */

int atls_pins_parse(atls_pins_t *pins, const char *text,
    atls_failure_t *failure);

/* Whether the key of the certificate is accepted. */

int atls_pins_match(const atls_pins_t *pins, const X509 *x509);

void atls_pins_free(atls_pins_t *pins);


#endif /* ATLS_CLIENT_PIN_H_INCLUDED */

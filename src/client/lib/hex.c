
/*
 * Hexadecimal encoding, see hex.h.
 */


#include <openssl/crypto.h>

#include "hex.h"


/*
 * OpenSSL writes upper-case digits; digests are usually compared in lower case.
 */

void
atls_hex(char *text, const unsigned char *bytes, size_t n)
{
    *text = '\0';

    OPENSSL_buf2hexstr_ex(text, 2 * n + 1, NULL, bytes, n, '\0');

    for ( /* void */ ; *text; text++) {
        if (*text >= 'A' && *text <= 'F') {
            *text |= 0x20;
        }
    }
}


/* Hexadecimal encoding. */


#ifndef ATLS_CLIENT_HEX_H_INCLUDED
#define ATLS_CLIENT_HEX_H_INCLUDED


#include <stddef.h>


/* Writes 2 * n lower-case digits and a terminating null. */

void atls_hex(char *text, const unsigned char *bytes, size_t n);


#endif /* ATLS_CLIENT_HEX_H_INCLUDED */

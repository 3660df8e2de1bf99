
/*
 * Echo options (RFC 9175, section 2): a source that returns one has received
 * it, so its address is not forged.  The value is a time and an authentication
 * code of the time and the address; nothing is stored.
 */


#ifndef ATLS_GATEWAY_ECHO_H_INCLUDED
#define ATLS_GATEWAY_ECHO_H_INCLUDED


#include <stddef.h>
#include <stdint.h>


#define GW_ECHO_SIZE    12


typedef struct {
    unsigned char    key[32];
} gw_echo_t;


/* A random key.  Returns 0 or -1. */

int gw_echo_init(gw_echo_t *echo);

/* The source is its address with its port, as text.  Returns 0 or -1. */

int gw_echo_make(const gw_echo_t *echo, const char *source, int64_t now,
    unsigned char value[GW_ECHO_SIZE]);

int gw_echo_verify(const gw_echo_t *echo, const char *source, int64_t now,
    const unsigned char *value, size_t n);


#endif /* ATLS_GATEWAY_ECHO_H_INCLUDED */

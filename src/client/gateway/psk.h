
/* The pre-shared keys of devices, for coaps. */


#ifndef ATLS_GATEWAY_PSK_H_INCLUDED
#define ATLS_GATEWAY_PSK_H_INCLUDED


#include <stddef.h>

#include <coap3/coap.h>


typedef struct {
    char                *identity;
    coap_bin_const_t     key;
} gw_psk_item_t;

typedef struct {
    gw_psk_item_t       *items;
    size_t               n;
} gw_psk_t;


/*
 * Reads a file with lines "IDENTITY:KEY", the key in hex; empty lines and those
 * that begin with "#" are ignored.  There must be one key at least.  Must be
 * freed in any case.  Returns an exit code.
 */

int gw_psk_read(gw_psk_t *psk, const char *file);

void gw_psk_free(gw_psk_t *psk);

/* The key of an identity, or NULL. */

const coap_bin_const_t *gw_psk_find(const gw_psk_t *psk, const void *identity,
    size_t n);


#endif /* ATLS_GATEWAY_PSK_H_INCLUDED */

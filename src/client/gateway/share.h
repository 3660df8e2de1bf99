
/*
 * What an address has of the limits.  It may have as much as is left for
 * others: so none of them can use up a limit, whether with one port or many.
 */


#ifndef ATLS_GATEWAY_SHARE_H_INCLUDED
#define ATLS_GATEWAY_SHARE_H_INCLUDED


#include "limits.h"


/* Bytes of an address.  A host has all those of IPv6 with the same first 8. */

#define GW_SHARE_ADDRESS    8


typedef struct {
    gw_limits_t     *limits;
    unsigned char    address[GW_SHARE_ADDRESS];
    size_t           naddress;

    unsigned         sources;           /* that have a pointer to it */
    unsigned         kept;              /* of these, see source.h */
    unsigned         posts;
    size_t           memory;
} gw_share_t;

typedef struct {
    void            *tree;              /* of tsearch() */
    gw_limits_t     *limits;
} gw_shares_t;


/* The one of an address, which is created if there is none. */

gw_share_t *gw_share_get(gw_shares_t *shares, const void *address, size_t n);

/* A source does not use it any more. */

void gw_share_release(gw_shares_t *shares, gw_share_t *share);

/* Whether there is room for n bytes more. */

int gw_share_has(const gw_share_t *share, size_t n);

/* They are used, or not any more. */

void gw_share_add(gw_share_t *share, size_t n);
void gw_share_sub(gw_share_t *share, size_t n);


#endif /* ATLS_GATEWAY_SHARE_H_INCLUDED */

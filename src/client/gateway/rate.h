
/*
 * Bytes sent to addresses that are not verified.  Addresses may share a place
 * in the table, which is chosen by a keyed hash: then, they share the rate.
 */


#ifndef ATLS_GATEWAY_RATE_H_INCLUDED
#define ATLS_GATEWAY_RATE_H_INCLUDED


#include <stddef.h>
#include <stdint.h>


#define GW_RATES        4096


typedef struct {
    int64_t          rate;              /* bytes per second */
    uint64_t         key;               /* random */

    struct {
        int64_t      time;              /* milliseconds */
        int64_t      left;              /* bytes, times 1000 */
    } places[GW_RATES];
} gw_rate_t;


/*
 * The address is that of a share.  Whether more may be sent to it, after the
 * bytes of responses that are being waited for.
 */

int gw_rate_allows(gw_rate_t *rate, const void *address, size_t n,
    size_t bytes, int64_t now);

/* They were sent. */

void gw_rate_spend(gw_rate_t *rate, const void *address, size_t n,
    size_t bytes);


#endif /* ATLS_GATEWAY_RATE_H_INCLUDED */


/*
 * What is limited, and what is counted.  The structures belong to the gateway;
 * others have pointers to them.
 */


#ifndef ATLS_GATEWAY_LIMITS_H_INCLUDED
#define ATLS_GATEWAY_LIMITS_H_INCLUDED


#include <stddef.h>
#include <stdint.h>


/* RFC 7252, section 4.8.2, in milliseconds. */

#define GW_EXCHANGE_LIFETIME    247000


typedef struct {
    size_t       memory;                /* for bodies and responses, bytes */
    size_t       max_memory;
    size_t       max_body;              /* of a request, and of a response */
    unsigned     posts;                 /* in progress */
    unsigned     max_posts;
    unsigned     sources;
    unsigned     max_sources;           /* that are kept */
} gw_limits_t;


typedef enum {
    GW_REQUESTS = 0,
    GW_DUPLICATES,
    GW_CHALLENGES,
    GW_VERIFIED,
    GW_LIMITED,
    GW_REFUSED,
    GW_SHARED,
    GW_FORWARDED,
    GW_UNANSWERED,
    GW_SESSIONS,
    GW_DTLS_ERRORS,
    GW_BYTES_IN,
    GW_BYTES_OUT,
    GW_COUNTERS
} gw_counter_e;

typedef struct {
    uint64_t     n[GW_COUNTERS];
    uint64_t     codes[256];            /* responses, by code */
} gw_counts_t;


#endif /* ATLS_GATEWAY_LIMITS_H_INCLUDED */

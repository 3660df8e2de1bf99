
/* The target of the inner connection. */


#ifndef ATLS_CLIENT_TARGET_H_INCLUDED
#define ATLS_CLIENT_TARGET_H_INCLUDED


#include "error.h"
#include "peer.h"


typedef struct {
    atls_peer_t      peer;                  /* lower case */
    char            *authority;             /* host[:port], for the Host
                                               header; a trailing dot of the
                                               host is kept */
    char            *origin;                /* https://host:port */
    char            *endpoint;              /* default endpoint */
} atls_target_t;


atls_error_e atls_target_parse(atls_target_t *target, const char *url,
    atls_failure_t *failure);

void atls_target_free(atls_target_t *target);


#endif /* ATLS_CLIENT_TARGET_H_INCLUDED */

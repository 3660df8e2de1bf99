
/*
 * Whom the inner connection is to.
 */


#ifndef ATLS_CLIENT_TARGET_H_INCLUDED
#define ATLS_CLIENT_TARGET_H_INCLUDED


#include "cert.h"


typedef struct {
    atls_peer_t      peer;                  /* lower case, no dot at the end */
    char            *authority;             /* of Host: host[:port] */
    char            *origin;                /* https://host:port */
    char            *endpoint;              /* the default one */
} atls_target_t;


atls_error_e atls_target_parse(atls_target_t *target, const char *url,
    atls_failure_t *failure);

void atls_target_free(atls_target_t *target);

/*
 * The host of any URL, without brackets, and whether it is an IP address.
 * peer->host is to be freed; NULL: it is no URL, or memory is short.
 */

void atls_peer_parse(atls_peer_t *peer, const char *url);
void atls_peer_free(atls_peer_t *peer);

/*
 * Labels with dots between, in lower case.  Others than ASCII ones have to come
 * in the form that they have in it, xn--...
 */

int atls_peer_is_name(const char *host);


#endif /* ATLS_CLIENT_TARGET_H_INCLUDED */

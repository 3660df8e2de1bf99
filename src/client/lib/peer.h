
/* The host of a connection's peer. */


#ifndef ATLS_CLIENT_PEER_H_INCLUDED
#define ATLS_CLIENT_PEER_H_INCLUDED


/* A name to verify, or an IP address. */

typedef struct {
    const char      *host;                  /* no brackets */
    int              ip;
} atls_peer_t;


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


#endif /* ATLS_CLIENT_PEER_H_INCLUDED */

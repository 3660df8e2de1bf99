
/* The host of a connection's peer. */


#ifndef ATLS_CLIENT_PEER_H_INCLUDED
#define ATLS_CLIENT_PEER_H_INCLUDED


/* A host name or an IP address. */

typedef struct {
    const char      *host;                  /* without brackets, and without a
                                               trailing dot */
    int              ip;
    int              dot;                   /* there was a trailing dot */
} atls_peer_t;


/*
 * Parses the host of a URL.  peer->host is allocated; it is NULL if the URL is
 * invalid or there is not enough memory.
 */

void atls_peer_parse(atls_peer_t *peer, const char *url);
void atls_peer_free(atls_peer_t *peer);

/*
 * Whether a host is a valid lower-case DNS name, without a trailing dot.
 * Internationalized names must be in their ASCII form (xn--...).
 */

int atls_peer_is_name(const char *host);


#endif /* ATLS_CLIENT_PEER_H_INCLUDED */

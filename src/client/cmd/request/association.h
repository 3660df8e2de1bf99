
/*
 * Associations of services: keys made in a session (atls prepare), for TLS
 * connections without certificates (--direct).  They are kept in a file as
 * those of sessions, by the origin of the service.
 */


#ifndef ATLS_CMD_ASSOCIATION_H_INCLUDED
#define ATLS_CMD_ASSOCIATION_H_INCLUDED


#include <stdint.h>

#include <openssl/ssl.h>

#include "../../lib/atls.h"


#define CMD_ASSOCIATION_KEY         32          /* bytes */
#define CMD_ASSOCIATION_IDENTITY    12288       /* maximum length */


typedef struct {
    char            *identity;                  /* NULL: none */
    unsigned char    key[CMD_ASSOCIATION_KEY];
    int64_t          expires;                   /* time of day */
    int              reusable;
} cmd_association_t;


/* Adds an association. */

void cmd_association_put(const atls_store_t *store, const char *origin,
    const cmd_association_t *association);

/*
 * Takes an association, which is removed unless it is reusable.  Expired ones
 * are removed, too.  Returns 0, or -1 if there is none.  The structure must be
 * zeroed.
 */

int cmd_association_take(const atls_store_t *store, const char *origin,
    cmd_association_t *association);

/*
 * Makes connections of an SSL_CTX use the association, which must exist as long
 * as handshakes.  A handshake in which the server uses a certificate fails,
 * whatever certificate.  If only suites of the SSL_CTX are allowed, and that of
 * associations in TLS 1.2 is not one of them, TLS 1.3 is required.  Returns 0,
 * or -1 if there is not enough memory.
 */

int cmd_association_use(SSL_CTX *ctx, cmd_association_t *association,
    int suites);

/*
 * Called after the handshake, before anything is sent.  Returns NULL if the
 * connection uses an association, or why it does not.
 */

const char *cmd_association_unused(SSL *ssl);

void cmd_association_free(cmd_association_t *association);


#endif /* ATLS_CMD_ASSOCIATION_H_INCLUDED */

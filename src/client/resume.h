
/*
 * Resumption: sessions to and from the store of a client.
 */


#ifndef ATLS_CLIENT_RESUME_H_INCLUDED
#define ATLS_CLIENT_RESUME_H_INCLUDED


#include <openssl/ssl.h>

#include "atls.h"


#define ATLS_RESUME_KEY     128


/*
 * A key of what a session must not be resumed without: strings, of which the
 * first is readable in the key, or NULL each.  Returns 0 or -1.
 */

int atls_resume_key(char key[ATLS_RESUME_KEY], const char *const *what,
    size_t n);

void atls_resume_put(const atls_store_t *store, const char *key,
    SSL_SESSION *session);

/* A session that is still good; NULL: there is none. */

SSL_SESSION *atls_resume_take(const atls_store_t *store, const char *key);


#endif /* ATLS_CLIENT_RESUME_H_INCLUDED */

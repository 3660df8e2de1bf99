
/* Session resumption with the client's store. */


#ifndef ATLS_CLIENT_RESUME_H_INCLUDED
#define ATLS_CLIENT_RESUME_H_INCLUDED


#include <time.h>

#include <openssl/ssl.h>

#include "atls.h"


#define ATLS_RESUME_KEY     128


/* A session and its verification. */

typedef struct {
    SSL_SESSION         *session;           /* NULL: there is none */
    STACK_OF(X509)      *chain;             /* that came with the peer's
                                               certificate; may be NULL */
    time_t               began;             /* the full handshake; those that
                                               resume it do not change it */
} atls_resume_t;


/*
 * A key of what a session must not be resumed without: strings, of which the
 * first is readable in the key, or NULL each.  Returns 0 or -1.
 */

int atls_resume_key(char key[ATLS_RESUME_KEY], const char *const *what,
    size_t n);

void atls_resume_put(const atls_store_t *store, const char *key,
    const atls_resume_t *resume);

/*
 * Takes the newest one.  Returns 0; -1 if it is stale, or none of the key; and
 * with no session if there is no other one.  It is not verified here.
 */

int atls_resume_take(const atls_store_t *store, const char *key,
    atls_resume_t *resume);

void atls_resume_free(atls_resume_t *resume);


#endif /* ATLS_CLIENT_RESUME_H_INCLUDED */

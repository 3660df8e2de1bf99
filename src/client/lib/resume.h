
/* Session resumption with the client's store. */


#ifndef ATLS_CLIENT_RESUME_H_INCLUDED
#define ATLS_CLIENT_RESUME_H_INCLUDED


#include <time.h>

#include <openssl/ssl.h>

#include "atls.h"


#define ATLS_RESUME_KEY     128


/* A session and the data for verifying it again. */

typedef struct {
    SSL_SESSION         *session;           /* NULL: no session */
    STACK_OF(X509)      *chain;             /* intermediate certificates
                                               received; may be NULL */
    time_t               began;             /* time of the full handshake, not
                                               changed by resumption */
} atls_resume_t;


/*
 * Makes a store's key from strings, each of which may be NULL: a session is
 * resumed only if all of them are the same.  The first string is readable in
 * the key.  Returns 0 or -1.
 */

int atls_resume_key(char key[ATLS_RESUME_KEY], const char *const *what,
    size_t n);

void atls_resume_put(const atls_store_t *store, const char *key,
    const atls_resume_t *resume);

/*
 * Takes the newest session of a key.  Returns 0, with a NULL session if there
 * is none, or -1 if the session is expired or invalid: another one may follow.
 * The certificate is not verified.
 */

int atls_resume_take(const atls_store_t *store, const char *key,
    atls_resume_t *resume);

void atls_resume_free(atls_resume_t *resume);


#endif /* ATLS_CLIENT_RESUME_H_INCLUDED */

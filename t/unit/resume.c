
/*
 * Stored sessions of the client: a new one, expired ones, those of another key
 * or of the future.
 */


#define _GNU_SOURCE

#include "../../src/client/lib/hex.c"
#include "../../src/client/lib/resume.c"

#include "tap.h"


#define KEY      "localhost 0"
#define TIMEOUT  100                    /* seconds */


static SSL            *ssl;
static unsigned char   stored[ATLS_SESSION_SIZE];
static size_t          stored_len;


/* The clock of Linux for time() is behind the others for up to a tick. */

time_t
time(time_t *t)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    ts.tv_sec--;

    if (t) {
        *t = ts.tv_sec;
    }

    return ts.tv_sec;
}


static void
put(void *data, const char *key, const void *session, size_t size)
{
    (void) data;
    (void) key;

    memcpy(stored, session, size);
    stored_len = size;
}


static size_t
take(void *data, const char *key, void *buf, size_t size)
{
    (void) data;
    (void) key;

    must(stored_len <= size);
    memcpy(buf, stored, stored_len);

    return stored_len;
}


static const atls_store_t  store = { put, take, NULL };


static SSL_SESSION *
make_session(time_t made)
{
    SSL_SESSION  *session;

    static const unsigned char  secret[32] = "secret";
    static const unsigned char  suite[2] = { 0x13, 0x01 };

    session = SSL_SESSION_new();
    must(session != NULL);

    must(SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1);
    must(SSL_SESSION_set_cipher(session, SSL_CIPHER_find(ssl, suite)) == 1);
    must(SSL_SESSION_set1_master_key(session, secret, sizeof(secret)) == 1);
    must(SSL_SESSION_set1_id(session, secret, sizeof(secret)) == 1);

    SSL_SESSION_set_timeout(session, TIMEOUT);

#if OPENSSL_VERSION_NUMBER >= 0x30300000L
    SSL_SESSION_set_time_ex(session, made);
#else
    SSL_SESSION_set_time(session, (long) made);
#endif

    return session;
}


/* Times are relative to the present second. */

static void
test(const char *name, time_t began, time_t made, const char *key, int taken)
{
    int              rc;
    struct timespec  ts;
    atls_resume_t    resume;

    clock_gettime(CLOCK_REALTIME, &ts);
    memset(&resume, 0, sizeof(atls_resume_t));

    resume.session = make_session(ts.tv_sec + made);
    resume.began = ts.tv_sec + began;

    stored_len = 0;
    atls_resume_put(&store, KEY, &resume);
    atls_resume_free(&resume);
    must(stored_len != 0);

    rc = atls_resume_take(&store, key, &resume);

    ok(rc == (taken ? 0 : -1) && (resume.session != NULL) == taken, "%s", name);
    atls_resume_free(&resume);
}


int
main(void)
{
    SSL_CTX  *ctx;

    ctx = SSL_CTX_new(TLS_client_method());
    must(ctx != NULL);
    ssl = SSL_new(ctx);
    must(ssl != NULL);

    test("a session of this second", 0, 0, KEY, 1);
    test("resumed in this second", -1000, 0, KEY, 1);
    test("another key", 0, 0, "localhost 1", 0);
    test("of the future", 0, 10, KEY, 0);
    test("older than its handshake", 10, 0, KEY, 0);
    test("almost expired", 10 - TIMEOUT, 10 - TIMEOUT, KEY, 1);
    test("expired", -TIMEOUT, -TIMEOUT, KEY, 0);
    test("resumed for a day", -ATLS_RESUME_LIMIT, 0, KEY, 0);

    SSL_free(ssl);
    SSL_CTX_free(ctx);

    return tap_done();
}


/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_compat.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_note.h"
#include "ngx_http_atls_clock.h"
#include "ngx_http_atls_process.h"
#include "ngx_http_atls_zone.h"
#include "ngx_http_atls_identity.h"
#include "ngx_http_atls_peer.h"
#include "ngx_http_atls_ticket.h"

#include <openssl/core_names.h>
#include <openssl/rand.h>


/* Of ngx_http_atls_ticket_t: tickets of another one are ignored. */

#define NGX_HTTP_ATLS_TICKET_LAYOUT    1

/* What clocks of servers with the same key files may differ by, in seconds. */

#define NGX_HTTP_ATLS_TICKET_SKEW      60


/*
 * What we put into a ticket.  Key files may be shared by machines, so it has
 * no holes, and in another byte order it has another layout.
 */

typedef struct {
    uint64_t                     layout;
    uint64_t                     policy;
    uint64_t                     since;         /* the full handshake */
    uint64_t                     zone;          /* that the number is of */
    uint64_t                     number;        /* 0: no early data */
} ngx_http_atls_ticket_t;


static int ngx_http_atls_ticket_key(ngx_ssl_conn_t *ssl, unsigned char *name,
    unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int enc);
static ngx_http_atls_ticket_key_t *ngx_http_atls_ticket_current_key(
    ngx_ssl_conn_t *ssl, ngx_log_t *log);
static ngx_http_atls_ticket_key_t *ngx_http_atls_ticket_find_key(
    ngx_ssl_conn_t *ssl, u_char *name, ngx_log_t *log);
static ngx_int_t ngx_http_atls_ticket_sync_keys(ngx_shm_zone_t *zone,
    time_t expire, ngx_log_t *log);
static int ngx_http_atls_ticket_make(ngx_ssl_conn_t *ssl, void *arg);
static SSL_TICKET_RETURN ngx_http_atls_ticket_open(ngx_ssl_conn_t *ssl,
    SSL_SESSION *session, const unsigned char *name, size_t len,
    SSL_TICKET_STATUS status, void *arg);
static ngx_int_t ngx_http_atls_ticket_read(SSL_SESSION *session,
    ngx_http_atls_ticket_t *ticket);
static time_t ngx_http_atls_ticket_remaining(ngx_http_atls_loc_conf_t *alcf,
    ngx_http_atls_ticket_t *ticket);
static int ngx_http_atls_ticket_early_data(ngx_ssl_conn_t *ssl, void *arg);
static uint64_t ngx_http_atls_ticket_issue(ngx_shm_zone_t *zone);
static ngx_uint_t ngx_http_atls_ticket_claim(ngx_shm_zone_t *zone,
    ngx_http_atls_ticket_t *ticket);


ngx_int_t
ngx_http_atls_ticket_init_worker(ngx_log_t *log)
{
    ngx_http_atls_ticket_keys_t  *keys;

    keys = ngx_memalign(ngx_pagesize, ngx_pagesize, log);
    if (keys == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(keys, ngx_pagesize);

    ngx_http_atls_process.ticket_keys = keys;

    if (ngx_http_atls_no_dump(keys, ngx_pagesize) == -1) {
        ngx_log_error(NGX_LOG_NOTICE, log, ngx_errno,
                      "core dumps will contain atls ticket keys, "
                      "madvise() failed");
    }

    return NGX_OK;
}


void
ngx_http_atls_ticket_exit_worker(void)
{
    ngx_http_atls_ticket_keys_t  *keys;

    keys = ngx_http_atls_process.ticket_keys;

    if (keys) {
        ngx_explicit_memzero(keys, sizeof(ngx_http_atls_ticket_keys_t));
        ngx_free(keys);

        ngx_http_atls_process.ticket_keys = NULL;
    }
}


ngx_int_t
ngx_http_atls_ticket_conf(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *alcf)
{
    SSL_CTX  *ctx;

    ctx = alcf->ssl->ctx;

    /*
     * OpenSSL makes and opens tickets with what is set in the SSL_CTX that a
     * handshake began with, whichever one the ClientHello asks for.  So this is
     * for all of them, with tickets or without.
     */

    if (alcf->session_ticket_keys) {
        if (ngx_ssl_session_ticket_keys(cf, alcf->ssl,
                                        alcf->session_ticket_keys)
            != NGX_OK)
        {
            /* the error names the file; this is the first one */

            return ngx_http_atls_note_refuse(cf, alcf,
                                             "atls_session_ticket_key", 0);
        }

    } else {
        SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ngx_http_atls_ticket_key);
    }

    SSL_CTX_set_session_ticket_cb(ctx, ngx_http_atls_ticket_make,
                                  ngx_http_atls_ticket_open, NULL);

    SSL_CTX_set_allow_early_data_cb(ctx, ngx_http_atls_ticket_early_data, NULL);

    if (alcf->session_tickets) {

        /*
         * Not the default of two: a client is served by one session at a time,
         * each resumption gives the next ticket, and each takes about 23 us.
         */

        SSL_CTX_set_num_tickets(ctx, 1);

        return ngx_ssl_early_data(cf, alcf->ssl, alcf->early_data);
    }

    /* the option alone makes tickets of TLS 1.3 refer to a session cache */

    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(ctx, 0);

    if (alcf->early_data) {
        ngx_http_atls_note_log(NGX_LOG_WARN, cf, alcf, "atls_early_data",
                               "\"atls_early_data\" ignored, it requires "
                               "\"atls_session_tickets\"");
    }

    return NGX_OK;
}


void
ngx_http_atls_ticket_apply(ngx_ssl_conn_t *ssl, ngx_http_atls_loc_conf_t *alcf)
{
    SSL_CTX  *ctx;

    ctx = alcf->ssl->ctx;

    SSL_set_num_tickets(ssl, SSL_CTX_get_num_tickets(ctx));
    SSL_set_max_early_data(ssl, SSL_CTX_get_max_early_data(ctx));
}


/*
 * Called by OpenSSL to protect a ticket (enc) or to open one.  0: there is no
 * ticket, and no resumption.
 */

static int
ngx_http_atls_ticket_key(ngx_ssl_conn_t *ssl, unsigned char *name,
    unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int enc)
{
    OSSL_PARAM                   params[2];
    ngx_connection_t            *c;
    ngx_http_atls_ticket_key_t  *key;

    c = ngx_ssl_get_connection(ssl);

    key = enc ? ngx_http_atls_ticket_current_key(ssl, c->log)
              : ngx_http_atls_ticket_find_key(ssl, name, c->log);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "atls ticket key, encrypt:%d, found:%d", enc, key != NULL);

    if (key == NULL) {
        return 0;
    }

    if (enc) {
        ngx_memcpy(name, key->name, NGX_HTTP_ATLS_TICKET_NAME_LEN);

        if (RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1) {
            ngx_ssl_error(NGX_LOG_ALERT, c->log, 0, "RAND_bytes() failed");
            return -1;
        }
    }

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                                 "SHA256", 0);
    params[1] = OSSL_PARAM_construct_end();

    if (EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->aes_key, iv,
                          enc)
        != 1
        || EVP_MAC_init(mac, key->hmac_key, sizeof(key->hmac_key), params)
           != 1)
    {
        ngx_ssl_error(NGX_LOG_ALERT, c->log, 0,
                      "atls ticket key cannot be used");
        return -1;
    }

    /* 2: TLS 1.2 gives the client another ticket, with the current key */

    return (enc || key == &ngx_http_atls_process.ticket_keys->current) ? 1 : 2;
}


static ngx_http_atls_ticket_key_t *
ngx_http_atls_ticket_current_key(ngx_ssl_conn_t *ssl, ngx_log_t *log)
{
    time_t                        now, expire;
    ngx_http_atls_peer_t         *peer;
    ngx_http_atls_ticket_keys_t  *keys;

    peer = ngx_http_atls_peer_get(ssl);
    keys = ngx_http_atls_process.ticket_keys;

    now = ngx_http_atls_clock_since(0);
    expire = now + ngx_min(peer->target.tls->session_lifetime,
                           NGX_HTTP_ATLS_TICKET_LIFETIME);

    /* with one lifetime for all locations: once a second */

    if ((keys->current.expire < expire || keys->previous.expire < now)
        && ngx_http_atls_ticket_sync_keys(peer->zone, expire, log) != NGX_OK)
    {
        return NULL;
    }

    return &keys->current;
}


/* A name that is not known takes no lock: a ClientHello has room for many. */

static ngx_http_atls_ticket_key_t *
ngx_http_atls_ticket_find_key(ngx_ssl_conn_t *ssl, u_char *name,
    ngx_log_t *log)
{
    ngx_shm_zone_t               *zone;
    ngx_http_atls_tickets_t      *tickets;
    ngx_http_atls_ticket_keys_t  *keys;

    zone = ngx_http_atls_peer_get(ssl)->zone;
    tickets = ngx_http_atls_zone_tickets(zone);

    keys = ngx_http_atls_process.ticket_keys;

    if (keys->generation != tickets->keys.generation
        && ngx_http_atls_ticket_sync_keys(zone, 0, log) != NGX_OK)
    {
        return NULL;
    }

    if (ngx_memcmp(keys->current.name, name, NGX_HTTP_ATLS_TICKET_NAME_LEN)
        == 0)
    {
        return &keys->current;
    }

    if (ngx_memcmp(keys->previous.name, name, NGX_HTTP_ATLS_TICKET_NAME_LEN)
        == 0)
    {
        return &keys->previous;
    }

    return NULL;
}


/*
 * Brings the copy of the keys up to date.  expire: of the ticket that is going
 * to be made, or 0.  The current key becomes the previous one, and another one
 * current, when all tickets of the previous one have expired, whatever the
 * lifetimes of locations are.  If those of the current one have expired, too,
 * or there were none, it is not kept.
 */

static ngx_int_t
ngx_http_atls_ticket_sync_keys(ngx_shm_zone_t *zone, time_t expire,
    ngx_log_t *log)
{
    time_t                        now;
    ngx_slab_pool_t              *shpool;
    ngx_http_atls_tickets_t      *tickets;
    ngx_http_atls_ticket_key_t    fresh;
    ngx_http_atls_ticket_keys_t  *keys;

    shpool = (ngx_slab_pool_t *) zone->shm.addr;
    tickets = ngx_http_atls_zone_tickets(zone);

    /* most often in vain, but not under the lock */

    if (RAND_bytes((u_char *) &fresh, sizeof(ngx_http_atls_ticket_key_t))
        != 1)
    {
        ngx_ssl_error(NGX_LOG_ALERT, log, 0, "RAND_bytes() failed");
        return NGX_ERROR;
    }

    fresh.expire = 0;

    ngx_shmtx_lock(&shpool->mutex);

    keys = &tickets->keys;
    now = ngx_http_atls_clock_since(0);

    if (keys->previous.expire < now) {

        /*
         * The number first: if this process dies in between, all the others
         * have the same keys afterwards, which are random in any case.
         */

        keys->generation++;
        ngx_memory_barrier();

        keys->previous = keys->current;
        keys->current = fresh;

        /* otherwise, the next ticket would change the keys again */

        if (keys->previous.expire < now) {
            keys->previous = fresh;
            keys->previous.expire = expire;
        }
    }

    keys->current.expire = ngx_max(keys->current.expire, expire);

    *ngx_http_atls_process.ticket_keys = *keys;

    ngx_shmtx_unlock(&shpool->mutex);

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, log, 0,
                   "atls ticket keys, generation:%uA",
                   ngx_http_atls_process.ticket_keys->generation);

    ngx_explicit_memzero(&fresh, sizeof(ngx_http_atls_ticket_key_t));

    return NGX_OK;
}


/* Called by OpenSSL when a ticket is about to be made of the session. */

static int
ngx_http_atls_ticket_make(ngx_ssl_conn_t *ssl, void *arg)
{
    time_t                     remaining;
    SSL_SESSION               *session;
    ngx_shm_zone_t            *zone;
    ngx_http_atls_peer_t      *peer;
    ngx_http_atls_ticket_t     ticket;
    ngx_http_atls_loc_conf_t  *alcf;

    peer = ngx_http_atls_peer_get(ssl);

    alcf = peer->target.tls;
    zone = peer->zone;
    session = SSL_get_session(ssl);

    /* a resumed session still has what its ticket said */

    if (ngx_http_atls_ticket_read(session, &ticket) != NGX_OK) {
        ticket.layout = NGX_HTTP_ATLS_TICKET_LAYOUT;
        ticket.since = ngx_time();
    }

    ticket.policy = ngx_http_atls_identity_peer_policy(peer);
    ticket.zone = ngx_http_atls_zone_tickets(zone)->zone;
    ticket.number = 0;

    if (alcf->early_data && SSL_version(ssl) == TLS1_3_VERSION) {
        ticket.number = ngx_http_atls_ticket_issue(zone);
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, peer->connection.log, 0,
                   "atls ticket issued, number:%uL, age:%T", ticket.number,
                   ngx_time() - (time_t) ticket.since);

    if (SSL_SESSION_set1_ticket_appdata(session, &ticket,
                                        sizeof(ngx_http_atls_ticket_t))
        != 1)
    {
        return 0;
    }

    /*
     * The client is told this, and OpenSSL sees to it.  In TLS 1.2 a resumed
     * session keeps the time that it began at, and its timeout.  Without time,
     * OpenSSL would fail: a second does no harm, as it is looked at again when
     * the ticket is opened.
     */

    if (SSL_version(ssl) == TLS1_3_VERSION || !SSL_session_reused(ssl)) {
        remaining = ngx_http_atls_ticket_remaining(alcf, &ticket);
        remaining = ngx_min(remaining, NGX_HTTP_ATLS_TICKET_LIFETIME);

        (void) SSL_SESSION_set_timeout(session, ngx_max(remaining, 1));
    }

    return 1;
}


/*
 * Called by OpenSSL with each ticket that the client offers; session is NULL
 * if it is empty, or could not be decrypted.
 *
 * Resumption is not authentication: a client is let in for the lifetime of a
 * session by the policy that its full handshake has met.  Neither tickets that
 * come of tickets nor sessions that are resumed prolong that, and another
 * policy takes a full handshake.  So does a pre-shared key, whose policy is
 * never the location's: it may have been withdrawn since, and is as fast as a
 * ticket.
 */

static SSL_TICKET_RETURN
ngx_http_atls_ticket_open(ngx_ssl_conn_t *ssl, SSL_SESSION *session,
    const unsigned char *name, size_t len, SSL_TICKET_STATUS status, void *arg)
{
    time_t                     remaining;
    ngx_http_atls_peer_t      *peer;
    ngx_http_atls_ticket_t     ticket;
    ngx_http_atls_loc_conf_t  *alcf;

    peer = ngx_http_atls_peer_get(ssl);
    alcf = peer->target.tls;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, peer->connection.log, 0,
                   "atls ticket opened: %d", (int) status);

    /* in TLS 1.3 an empty one is an error, which this does not hide */

    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) {
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    }

    remaining = 0;

    if (ngx_http_atls_ticket_read(session, &ticket) == NGX_OK
        && ticket.policy == alcf->policy)
    {
        remaining = ngx_http_atls_ticket_remaining(alcf, &ticket);
    }

    if (remaining <= 0) {
        ngx_log_debug0(NGX_LOG_DEBUG_HTTP, peer->connection.log, 0,
                       "atls ticket is of another policy, or too old");

        return SSL_TICKET_RETURN_IGNORE_RENEW;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, peer->connection.log, 0,
                   "atls ticket accepted, number:%uL, remaining:%T",
                   ticket.number, remaining);

    ngx_http_atls_peer_set_ticket(peer, remaining);

    /* tickets of TLS 1.3 are for one resumption: RFC 8446, appendix C.4 */

    if (SSL_version(ssl) == TLS1_3_VERSION) {
        return SSL_TICKET_RETURN_USE_RENEW;
    }

    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE
                                        : SSL_TICKET_RETURN_USE_RENEW;
}


/* A session that was not resumed from a ticket has no data. */

static ngx_int_t
ngx_http_atls_ticket_read(SSL_SESSION *session, ngx_http_atls_ticket_t *ticket)
{
    void    *data;
    size_t   len;

    if (SSL_SESSION_get0_ticket_appdata(session, &data, &len) != 1
        || len != sizeof(ngx_http_atls_ticket_t))
    {
        return NGX_DECLINED;
    }

    ngx_memcpy(ticket, data, sizeof(ngx_http_atls_ticket_t));

    return ticket->layout == NGX_HTTP_ATLS_TICKET_LAYOUT ? NGX_OK
                                                         : NGX_DECLINED;
}


/*
 * The seconds that the client may go on for without a full handshake.
 *
 * By the time of day: with key files, tickets go from machine to machine, and
 * through restarts.  If that has been set back since, or was wrong then, nobody
 * knows how old a ticket is: there is nothing to lose but a round trip.
 */

static time_t
ngx_http_atls_ticket_remaining(ngx_http_atls_loc_conf_t *alcf,
    ngx_http_atls_ticket_t *ticket)
{
    time_t  age;

    age = ngx_time() - (time_t) ticket->since;

    if (age < -NGX_HTTP_ATLS_TICKET_SKEW) {
        return 0;
    }

    return alcf->session_lifetime - ngx_max(age, 0);
}


/*
 * Early data can be replayed, so a ticket is good for it once: RFC 8446,
 * section 8.1.  What has to be remembered for that is bounded.  Tickets are
 * numbered as they are made, and of the last ones there is a bit each: cleared
 * when the number is given out, set when the ticket's early data is accepted.
 * A ticket whose bit has since been given to another is refused, as is one
 * that this memory knows nothing about: made before a restart, or by another
 * machine with the same key files.  A refusal costs the client a round trip,
 * not the resumption, so a flood of handshakes can do no more than that.
 *
 * OpenSSL has checked before that the ticket's age is what the client says
 * (section 8.3), but not anything that would keep state: nginx has set
 * SSL_OP_NO_ANTI_REPLAY, without which tickets would be ids in a cache.
 */

static int
ngx_http_atls_ticket_early_data(ngx_ssl_conn_t *ssl, void *arg)
{
    ngx_http_atls_peer_t    *peer;
    ngx_http_atls_ticket_t   ticket;

    peer = ngx_http_atls_peer_get(ssl);

    if (peer->target.tls->early_data
        && ngx_http_atls_ticket_read(SSL_get_session(ssl), &ticket) == NGX_OK
        && ngx_http_atls_ticket_claim(peer->zone, &ticket))
    {
        ngx_log_debug1(NGX_LOG_DEBUG_HTTP, peer->connection.log, 0,
                       "atls early data accepted, ticket:%uL", ticket.number);
        return 1;
    }

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, peer->connection.log, 0,
                   "atls early data refused");

    return 0;
}


static uint64_t
ngx_http_atls_ticket_issue(ngx_shm_zone_t *zone)
{
    uint64_t                  number, n;
    ngx_slab_pool_t          *shpool;
    ngx_http_atls_tickets_t  *tickets;

    shpool = (ngx_slab_pool_t *) zone->shm.addr;
    tickets = ngx_http_atls_zone_tickets(zone);

    ngx_shmtx_lock(&shpool->mutex);

    number = ++tickets->issued;
    n = number % tickets->window;

    tickets->used[n / 8] &= ~(1 << n % 8);

    ngx_shmtx_unlock(&shpool->mutex);

    return number;
}


static ngx_uint_t
ngx_http_atls_ticket_claim(ngx_shm_zone_t *zone, ngx_http_atls_ticket_t *ticket)
{
    u_char                   *used, mask;
    uint64_t                  n;
    ngx_uint_t                claimed;
    ngx_slab_pool_t          *shpool;
    ngx_http_atls_tickets_t  *tickets;

    shpool = (ngx_slab_pool_t *) zone->shm.addr;
    tickets = ngx_http_atls_zone_tickets(zone);

    if (ticket->zone != tickets->zone || ticket->number == 0) {
        return 0;
    }

    n = ticket->number % tickets->window;

    used = &tickets->used[n / 8];
    mask = 1 << n % 8;

    claimed = 0;

    ngx_shmtx_lock(&shpool->mutex);

    if (tickets->issued - ticket->number < tickets->window
        && (*used & mask) == 0)
    {
        *used |= mask;
        claimed = 1;
    }

    ngx_shmtx_unlock(&shpool->mutex);

    return claimed;
}

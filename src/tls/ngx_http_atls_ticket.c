
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


/* The version of ngx_http_atls_ticket_t; tickets of others are ignored. */

#define NGX_HTTP_ATLS_TICKET_LAYOUT    1

/* The clock difference allowed between servers with the same key files. */

#define NGX_HTTP_ATLS_TICKET_SKEW      60


/*
 * Application data of a ticket.  If machines share key files, the layout must
 * be the same: there is no padding, and the layout number does not match in a
 * different byte order.
 */

typedef struct {
    uint64_t                     layout;
    uint64_t                     policy;
    uint64_t                     since;         /* time of full handshake */
    uint64_t                     zone;          /* zone of the number */
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
     * OpenSSL protects and decrypts tickets with the settings of the SSL_CTX
     * on SSL_new(), whichever SSL_CTX is selected later.  So the callbacks are
     * set in each SSL_CTX, with or without tickets.
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
         * One ticket instead of the default two: a client uses one session at
         * a time, and each resumption issues a new ticket.  Creating a ticket
         * takes about 23 us.
         */

        SSL_CTX_set_num_tickets(ctx, 1);

        return ngx_ssl_early_data(cf, alcf->ssl, alcf->early_data);
    }

    /* with this option only, TLS 1.3 would issue stateful tickets */

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
 * Called by OpenSSL to protect (enc) or decrypt a ticket.  0: no ticket is
 * issued or accepted.
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

    /* 2: in TLS 1.2, a new ticket is issued with the current key */

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

    /* once a second, if all locations have the same lifetime */

    if ((keys->current.expire < expire || keys->previous.expire < now)
        && ngx_http_atls_ticket_sync_keys(peer->zone, expire, log) != NGX_OK)
    {
        return NULL;
    }

    return &keys->current;
}


/* Unknown names do not lock the zone: a ClientHello may contain many. */

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
 * Updates the copy of the keys.  expire: of the ticket to be issued, or 0.
 * Keys are rotated when all tickets of the previous key have expired, for any
 * lifetime of locations.  The current key becomes the previous one, unless it
 * has no tickets that are still valid.
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

    /* usually not needed, but generated without holding the lock */

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
         * The generation is written first: if this process dies now, other
         * processes reload the same keys, which are random in any case.
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


/* Called by OpenSSL when a ticket is issued. */

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

    /* a resumed session contains the data of its ticket */

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
     * The lifetime is sent to the client and checked by OpenSSL.  In TLS 1.2,
     * a resumed session keeps its time and timeout.  OpenSSL fails on a zero
     * timeout, so the minimum is a second: the lifetime is checked again on
     * resumption.
     */

    if (SSL_version(ssl) == TLS1_3_VERSION || !SSL_session_reused(ssl)) {
        remaining = ngx_http_atls_ticket_remaining(alcf, &ticket);
        remaining = ngx_min(remaining, NGX_HTTP_ATLS_TICKET_LIFETIME);

        (void) SSL_SESSION_set_timeout(session, ngx_max(remaining, 1));
    }

    return 1;
}


/*
 * Called by OpenSSL for each ticket offered by the client; session is NULL if
 * the ticket is empty or could not be decrypted.
 *
 * Resumption is not authentication.  A client was verified in its full
 * handshake, according to a policy, for the lifetime of a session.  This
 * lifetime is not extended by new tickets or resumed sessions, and if the
 * policy has changed, a full handshake is required.
 *
 * Pre-shared keys also require a full handshake, since their policy differs
 * from that of the location: the key may have been removed, and a handshake
 * with it is as fast as with a ticket.
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

    /* in TLS 1.3, an empty ticket remains an error with this result */

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
                       "atls ticket ignored, policy changed or expired");

        return SSL_TICKET_RETURN_IGNORE_RENEW;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, peer->connection.log, 0,
                   "atls ticket accepted, number:%uL, remaining:%T",
                   ticket.number, remaining);

    ngx_http_atls_peer_set_ticket(peer, remaining);

    /* RFC 8446, appendix C.4: TLS 1.3 tickets should be used only once */

    if (SSL_version(ssl) == TLS1_3_VERSION) {
        return SSL_TICKET_RETURN_USE_RENEW;
    }

    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE
                                        : SSL_TICKET_RETURN_USE_RENEW;
}


/* Only sessions resumed from a ticket have these data. */

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
 * The remaining time, in seconds, until a full handshake is required.
 *
 * It is calculated from the time of day, as key files make tickets valid on
 * other machines and after a restart.  If the clock was set back, the age is
 * unknown, and a full handshake is required, which costs a round trip.
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
 * Early data can be replayed, so each ticket is accepted for early data only
 * once: RFC 8446, section 8.1.  Tickets are numbered, and the zone has a bit
 * for each of the last ones: it is cleared when the number is assigned, and
 * set when early data are accepted.
 *
 * Early data are rejected if the bit is already assigned to a newer ticket, or
 * if the ticket is unknown: issued before a restart or, with the same key
 * files, by another machine.  This costs the client a round trip, but does not
 * prevent resumption, so a flood of handshakes does no more harm than that.
 *
 * Before this callback, OpenSSL has checked the age of the ticket (section
 * 8.3).  Checks that keep state are disabled: nginx sets
 * SSL_OP_NO_ANTI_REPLAY, otherwise tickets would be stateful.
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


/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_state.h"
#include "ngx_http_atls_endpoint.h"
#include "ngx_http_atls_clock.h"
#include "ngx_http_atls_process.h"
#include "ngx_http_atls_ending.h"
#include "ngx_http_atls_label.h"
#include "ngx_http_atls_session.h"


/*
 * The maximum number of lines: while the table is locked, and in a second.
 * Handshakes that fail, of which anybody can cause very many, leave room for
 * others.
 */

#define NGX_HTTP_ATLS_ENDINGS            32
#define NGX_HTTP_ATLS_ENDINGS_SECOND     100
#define NGX_HTTP_ATLS_ENDINGS_HALF_OPEN  50


typedef struct {
    u_char                   id[NGX_HTTP_ATLS_ID_LEN];
    uint64_t                 endpoint;
    uint64_t                 bytes_in;
    uint64_t                 bytes_out;
    int64_t                  age;
    uint32_t                 requests;
    uint16_t                 protocol;         /* 0: half-open */
    uint16_t                 suite;
    ngx_http_atls_ending_e   reason;
} ngx_http_atls_ended_t;


struct ngx_http_atls_endings_s {
    ngx_uint_t               n;
    ngx_uint_t               logged;           /* in this second */
    ngx_uint_t               skipped;
    ngx_http_atls_ended_t    ended[NGX_HTTP_ATLS_ENDINGS];
};


static ngx_log_t *ngx_http_atls_ending_get_log(ngx_http_atls_ended_t *ended);
static void ngx_http_atls_ending_write(ngx_http_atls_ended_t *ended,
    ngx_log_t *log);


/* In the order of ngx_http_atls_ending_e. */

static const char  *ngx_http_atls_ending_names[ngx_http_atls_endings] = {
    "none",
    "close-notify",
    "alert",
    "record-refused",
    "key-limit",
    "idle-timeout",
    "lifetime",
    "policy",
    "inner-close",
    "response-cut",
    "post-cut",
    "evicted",
    "zone-full",
    "lost",
    "handshake-failed",
    "handshake-timeout",
    "shutdown",
    "moved",
    "store"
};


const char *
ngx_http_atls_ending_name(ngx_http_atls_ending_e reason)
{
    return ngx_http_atls_ending_names[reason];
}


ngx_int_t
ngx_http_atls_ending_init_worker(ngx_cycle_t *cycle)
{
    ngx_http_atls_process.endings = ngx_pcalloc(cycle->pool,
                                              sizeof(ngx_http_atls_endings_t));

    return ngx_http_atls_process.endings ? NGX_OK : NGX_ERROR;
}


void
ngx_http_atls_ending_add(ngx_http_atls_session_t *session,
    ngx_http_atls_ending_e reason)
{
    ngx_uint_t                max;
    ngx_http_atls_ended_t    *ended;
    ngx_http_atls_endings_t  *endings;

    endings = ngx_http_atls_process.endings;

    max = session->established ? NGX_HTTP_ATLS_ENDINGS_SECOND
                               : NGX_HTTP_ATLS_ENDINGS_HALF_OPEN;

    if (endings->n == NGX_HTTP_ATLS_ENDINGS
        || endings->logged + endings->n >= max)
    {
        endings->skipped++;
        return;
    }

    ended = &endings->ended[endings->n++];

    ngx_memcpy(ended->id, session->id, NGX_HTTP_ATLS_ID_LEN);

    ended->endpoint = session->endpoint;
    ended->bytes_in = session->bytes_in;
    ended->bytes_out = session->bytes_out;
    ended->age = ngx_http_atls_clock() - session->created;
    ended->requests = session->requests;
    ended->protocol = session->state.protocol;
    ended->suite = session->state.suite;
    ended->reason = reason;
}


void
ngx_http_atls_ending_log(ngx_log_t *log)
{
    ngx_uint_t                i, n;
    ngx_log_t                *l;
    ngx_http_atls_ended_t    *ended;
    ngx_http_atls_endings_t  *endings;

    endings = ngx_http_atls_process.endings;

    n = endings->n;
    endings->n = 0;

    for (i = 0; i < n; i++) {
        ended = &endings->ended[i];

        l = log ? log : ngx_http_atls_ending_get_log(ended);

        if (l->log_level >= NGX_LOG_INFO) {
            endings->logged++;
            ngx_http_atls_ending_write(ended, l);
        }
    }
}


/* The log of the location; that of the process if it was removed. */

static ngx_log_t *
ngx_http_atls_ending_get_log(ngx_http_atls_ended_t *ended)
{
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_atls_endpoint_t  *endpoint;

    endpoint = ngx_http_atls_endpoint_get(ngx_cycle, ended->endpoint);

    if (endpoint == NULL) {
        return ngx_cycle->log;
    }

    clcf = endpoint->loc_conf[ngx_http_core_module.ctx_index];

    return clcf->error_log;
}


static void
ngx_http_atls_ending_write(ngx_http_atls_ended_t *ended, ngx_log_t *log)
{
    u_char       hash[NGX_HTTP_ATLS_ID_LEN], hex[2 * NGX_HTTP_ATLS_ID_LEN];
    const char  *suite;

    if (ngx_http_atls_label_hash(ended->id, hash, log) != NGX_OK) {
        return;
    }

    (void) ngx_hex_dump(hex, hash, NGX_HTTP_ATLS_ID_LEN);

    suite = ended->protocol ? trl_suite_name(ended->suite) : "-";

    ngx_log_error(NGX_LOG_INFO, log, 0,
                  "atls session %*s ended: %s, age:%L.%03L, requests:%uD, "
                  "in:%uL, out:%uL, suite:%s",
                  (size_t) (2 * NGX_HTTP_ATLS_ID_LEN), hex,
                  ngx_http_atls_ending_names[ended->reason],
                  ended->age / 1000, ended->age % 1000, ended->requests,
                  ended->bytes_in, ended->bytes_out, suite ? suite : "unknown");
}


void
ngx_http_atls_ending_tick(ngx_log_t *log)
{
    ngx_http_atls_endings_t  *endings;

    endings = ngx_http_atls_process.endings;

    endings->logged = 0;

    if (endings->skipped == 0) {
        return;
    }

    ngx_log_error(NGX_LOG_INFO, log, 0,
                  "atls sessions ended, not logged: %ui", endings->skipped);

    endings->skipped = 0;
}


/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_process.h"
#include "ngx_http_atls_socket.h"
#include "ngx_http_atls_worker.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_portable.h"
#include "ngx_http_atls_node.h"
#include "ngx_http_atls_store.h"
#include "ngx_http_atls_store_conf.h"
#include "ngx_http_atls_drain.h"


#define NGX_HTTP_ATLS_DRAIN_STEP      10       /* milliseconds */
#define NGX_HTTP_ATLS_DRAIN_PATIENCE  5000     /* without any progress */
#define NGX_HTTP_ATLS_DRAIN_WAIT      1000     /* for the other workers */
#define NGX_HTTP_ATLS_DRAIN_WATCH     1000     /* whether these leave later */
#define NGX_HTTP_ATLS_DRAIN_PORTION   64       /* sessions at a time */
#define NGX_HTTP_ATLS_DRAIN_TELL      1000     /* others, again */


struct ngx_http_atls_drain_s {
    ngx_http_atls_main_conf_t   *conf;
    ngx_connection_t            *connection;   /* until it is done */
    ngx_connection_t             dummy;        /* of the timer, for its log */
    ngx_event_t                  timer;
    ngx_msec_t                   since;        /* the last progress */
    ngx_msec_t                   told;         /* the others */
    ngx_uint_t                   left;         /* sessions at that time */
    ngx_uint_t                   begun;
    ngx_uint_t                   over;         /* worker_shutdown_timeout */
    ngx_uint_t                   puts;         /* without an answer */
    ngx_http_atls_putting_t      putting;      /* all of them */
};


static ngx_uint_t ngx_http_atls_drain_begun(ngx_http_atls_drain_t *drain);
static void ngx_http_atls_drain_quit(ngx_event_t *rev);
static void ngx_http_atls_drain_timer(ngx_event_t *ev);
static void ngx_http_atls_drain_watch(ngx_http_atls_drain_t *drain);
static ngx_int_t ngx_http_atls_drain_may_begin(ngx_http_atls_drain_t *drain);
static void ngx_http_atls_drain_tell(ngx_http_atls_drain_t *drain);
static void ngx_http_atls_drain_put(ngx_http_atls_drain_t *drain,
    ngx_uint_t busy);
static void ngx_http_atls_drain_answered(ngx_http_atls_putting_t *putting);
static void ngx_http_atls_drain_done(ngx_http_atls_drain_t *drain);


/*
 * Core calls the read handlers of idle connections when the process is told to
 * quit.
 */

ngx_int_t
ngx_http_atls_drain_init_worker(ngx_http_atls_main_conf_t *amcf,
    ngx_cycle_t *cycle)
{
    ngx_connection_t       *c;
    ngx_http_atls_drain_t  *drain;

    drain = ngx_pcalloc(cycle->pool, sizeof(ngx_http_atls_drain_t));
    if (drain == NULL) {
        return NGX_ERROR;
    }

    c = ngx_http_atls_socket_connection(cycle->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->idle = 1;
    c->data = drain;
    c->read->handler = ngx_http_atls_drain_quit;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);

    drain->conf = amcf;
    drain->connection = c;

    drain->dummy.fd = (ngx_socket_t) -1;
    drain->dummy.data = drain;

    drain->timer.handler = ngx_http_atls_drain_timer;
    drain->timer.data = &drain->dummy;
    drain->timer.log = cycle->log;

    drain->putting.handler = ngx_http_atls_drain_answered;
    drain->putting.data = drain;

    amcf->store->again = ngx_http_atls_drain_again;

    ngx_http_atls_process.drain = drain;

    return NGX_OK;
}


void
ngx_http_atls_drain_exit_worker(void)
{
    ngx_http_atls_drain_t  *drain;

    drain = ngx_http_atls_process.drain;

    if (drain) {
        ngx_http_atls_drain_done(drain);
    }
}


ngx_uint_t
ngx_http_atls_drain_puts(void)
{
    return ngx_http_atls_drain_begun(ngx_http_atls_process.drain)
           && !ngx_http_atls_worker_newer();
}


/* This process may not have noticed yet that the others are leaving. */

static ngx_uint_t
ngx_http_atls_drain_begun(ngx_http_atls_drain_t *drain)
{
    return drain
           && (drain->begun
               || (ngx_exiting && ngx_http_atls_worker_last() == NGX_OK));
}


static void
ngx_http_atls_drain_quit(ngx_event_t *rev)
{
    ngx_connection_t       *c;
    ngx_http_atls_drain_t  *drain;

    c = rev->data;
    drain = c->data;

    if (!c->close) {
        return;
    }

    if (c->error) {

        drain->over = 1;
        ngx_http_atls_drain_done(drain);
        return;
    }

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, c->log, 0, "atls drain");

    c->idle = 0;

    ngx_http_atls_worker_leave();

    drain->since = ngx_current_msec;

    ngx_add_timer(&drain->timer, 1);
}


/*
 * A POST on a connection of this process has taken a session.  Maybe it is not
 * the next one, or its client is gone: nothing else would put the session out.
 * Or the store has refused it, or it was left to a newer process.
 */

void
ngx_http_atls_drain_again(void)
{
    ngx_http_atls_drain_t  *drain;

    drain = ngx_http_atls_process.drain;

    if (ngx_http_atls_drain_begun(drain) && !drain->over
        && (!drain->timer.timer_set || drain->timer.cancelable))
    {
        ngx_http_atls_worker_leave();

        drain->since = ngx_current_msec;
        drain->timer.cancelable = 0;

        ngx_add_timer(&drain->timer, NGX_HTTP_ATLS_DRAIN_STEP);
    }
}


static void
ngx_http_atls_drain_timer(ngx_event_t *ev)
{
    ngx_int_t               rc;
    ngx_uint_t              idle, own, busy, left;
    ngx_connection_t       *c;
    ngx_http_atls_drain_t  *drain;

    c = ev->data;
    drain = c->data;

    ev->cancelable = 0;

    rc = ngx_http_atls_drain_may_begin(drain);

    if (rc == NGX_AGAIN) {
        ngx_add_timer(ev, NGX_HTTP_ATLS_DRAIN_STEP);
        return;
    }

    if (rc != NGX_OK) {
        ngx_http_atls_drain_watch(drain);
        return;
    }

    ngx_http_atls_portable_count(drain->conf->zone, &idle, &own, &busy);

    if (idle && ngx_http_atls_worker_newer()) {

        /* their store and endpoints may not be those of this configuration */

        drain->since = ngx_current_msec;
        drain->left = 0;

        ngx_http_atls_drain_watch(drain);
        return;
    }

    ngx_http_atls_worker_leave();
    ngx_http_atls_drain_tell(drain);

    if (idle == 0 && own == 0) {

        /* an older process may have left a session to this one until now */

        ngx_http_atls_worker_left();
        ngx_http_atls_portable_count(drain->conf->zone, &idle, &own, &busy);

        if (idle == 0) {

            /* others put their sessions out, and tell others until then */

            if (busy == 0) {
                ngx_http_atls_node_gone(drain->conf);
            }

            ngx_http_atls_drain_done(drain);
            return;
        }

        ngx_http_atls_worker_leave();
    }

    /* a session that the store refuses is idle again */

    left = idle + drain->puts;

    if (left == 0 || left < drain->left) {
        drain->since = ngx_current_msec;

    } else if (ngx_current_msec - drain->since > NGX_HTTP_ATLS_DRAIN_PATIENCE) {
        ngx_log_error(NGX_LOG_ERR, ev->log, 0,
                      "atls sessions lost, they cannot be put into the store: "
                      "%ui", left);
        ngx_http_atls_drain_done(drain);
        return;
    }

    drain->left = left;

    ngx_http_atls_drain_put(drain, own);

    ngx_add_timer(ev, NGX_HTTP_ATLS_DRAIN_STEP);
}


/* Later, others may leave as well; this does not keep the process. */

static void
ngx_http_atls_drain_watch(ngx_http_atls_drain_t *drain)
{
    /* sessions must not be left to a process that may exit at any time */

    ngx_http_atls_worker_left();

    drain->timer.cancelable = 1;

    ngx_add_timer(&drain->timer, NGX_HTTP_ATLS_DRAIN_WATCH);
}


/* On reload, there are newer workers, and the sessions stay where they are. */

static ngx_int_t
ngx_http_atls_drain_may_begin(ngx_http_atls_drain_t *drain)
{
    ngx_int_t  rc;

    if (drain->begun) {
        return NGX_OK;
    }

    rc = ngx_http_atls_worker_last();

    if (rc == NGX_AGAIN
        && ngx_current_msec - drain->since > NGX_HTTP_ATLS_DRAIN_WAIT)
    {
        return NGX_DECLINED;
    }

    if (rc == NGX_OK) {
        drain->begun = 1;
        drain->since = ngx_current_msec;
        drain->told = ngx_current_msec - NGX_HTTP_ATLS_DRAIN_TELL;
    }

    return rc;
}


/* As long as there are sessions, so that others wait for them. */

static void
ngx_http_atls_drain_tell(ngx_http_atls_drain_t *drain)
{
    if (ngx_current_msec - drain->told >= NGX_HTTP_ATLS_DRAIN_TELL) {
        drain->told = ngx_current_msec;

        ngx_http_atls_node_leave(drain->conf);
    }
}


static void
ngx_http_atls_drain_put(ngx_http_atls_drain_t *drain, ngx_uint_t busy)
{
    ngx_http_atls_session_t  *session;

    for ( /* void */ ; busy < NGX_HTTP_ATLS_DRAIN_PORTION; busy++) {

        session = ngx_http_atls_portable_take(drain->conf->zone);

        if (session == NULL
            || ngx_http_atls_store_put(drain->conf, session, &drain->putting)
               != NGX_AGAIN)
        {
            return;
        }

        drain->puts++;
    }
}


static void
ngx_http_atls_drain_answered(ngx_http_atls_putting_t *putting)
{
    ngx_http_atls_drain_t  *drain;

    drain = putting->data;

    drain->puts--;
}


static void
ngx_http_atls_drain_done(ngx_http_atls_drain_t *drain)
{
    ngx_connection_t  *c;

    c = drain->connection;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, drain->timer.log, 0,
                   "atls drain done, begun:%ui", drain->begun);

    ngx_http_atls_worker_left();

    if (drain->timer.timer_set) {
        ngx_del_timer(&drain->timer);
    }

    if (c) {
        drain->connection = NULL;
        ngx_close_connection(c);
    }
}

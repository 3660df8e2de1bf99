
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_worker.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_portable.h"
#include "ngx_http_atls_node.h"
#include "ngx_http_atls_lookup.h"
#include "ngx_http_atls_stream.h"
#include "ngx_http_atls_elsewhere.h"
#include "ngx_http_atls_link.h"
#include "ngx_http_atls_relay.h"


/*
 * How long a POST waits, in milliseconds: for a session that is being taken by
 * another POST; for a machine that does not accept connections, in case it is
 * about to exit; for one that has said so.  The store is asked again after
 * pauses, each of which is twice as long as the previous one.
 */

#define NGX_HTTP_ATLS_ELSEWHERE_PAUSE    20
#define NGX_HTTP_ATLS_ELSEWHERE_LONGEST  320
#define NGX_HTTP_ATLS_ELSEWHERE_SOON     1000
#define NGX_HTTP_ATLS_ELSEWHERE_LEAVING  10000


static void ngx_http_atls_elsewhere_ask(ngx_http_atls_elsewhere_t *elsewhere);
static void ngx_http_atls_elsewhere_found(ngx_http_atls_lookup_t *lookup);
static void ngx_http_atls_elsewhere_soon(ngx_http_atls_elsewhere_t *elsewhere);
static void ngx_http_atls_elsewhere_node(ngx_http_atls_elsewhere_t *elsewhere);
static void ngx_http_atls_elsewhere_linked(ngx_http_atls_link_t *link);
static void ngx_http_atls_elsewhere_again(ngx_http_atls_elsewhere_t *elsewhere,
    ngx_msec_t patience);
static void ngx_http_atls_elsewhere_timer(ngx_event_t *ev);
static void ngx_http_atls_elsewhere_done(ngx_http_atls_elsewhere_t *elsewhere,
    ngx_http_atls_found_e found);
static void ngx_http_atls_elsewhere_cleanup(void *data);


ngx_http_atls_elsewhere_t *
ngx_http_atls_elsewhere(ngx_http_atls_post_t *post, u_char *id,
    ngx_str_t *text, ngx_uint_t here, ngx_http_atls_elsewhere_pt handler)
{
    ngx_http_cleanup_t         *cln;
    ngx_http_request_t         *r;
    ngx_http_atls_elsewhere_t  *elsewhere;

    r = post->request;

    elsewhere = ngx_pcalloc(r->pool, sizeof(ngx_http_atls_elsewhere_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (elsewhere == NULL || cln == NULL) {
        return NULL;
    }

    elsewhere->text.len = text->len;
    elsewhere->text.data = ngx_pstrdup(r->pool, text);

    if (elsewhere->text.data == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_atls_elsewhere_cleanup;
    cln->data = elsewhere;

    elsewhere->post = post;
    elsewhere->handler = handler;
    elsewhere->began = ngx_current_msec;
    elsewhere->pause = NGX_HTTP_ATLS_ELSEWHERE_PAUSE;
    elsewhere->tried = 1;
    elsewhere->here = here;

    elsewhere->lookup.conf = post->main_conf;
    elsewhere->lookup.handler = ngx_http_atls_elsewhere_found;
    elsewhere->lookup.data = elsewhere;

    ngx_memcpy(elsewhere->lookup.id, id, sizeof(elsewhere->lookup.id));

    elsewhere->timer.handler = ngx_http_atls_elsewhere_timer;
    elsewhere->timer.data = elsewhere;
    elsewhere->timer.log = r->connection->log;

    /* the request waits, and the client may close the connection */

    r->main->count++;

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "atls %08xD elsewhere", post->label);

    /* not at once: the handler finalizes the request */

    ngx_add_timer(&elsewhere->timer, 0);

    return elsewhere;
}


void
ngx_http_atls_elsewhere_next(ngx_http_atls_elsewhere_t *elsewhere, u_char *id,
    ngx_str_t *text)
{
    elsewhere->text = *text;
    elsewhere->relay = NULL;
    elsewhere->began = ngx_current_msec;
    elsewhere->pause = NGX_HTTP_ATLS_ELSEWHERE_PAUSE;
    elsewhere->tried++;
    elsewhere->lookup.again = 0;
    elsewhere->refused = 0;

    ngx_memcpy(elsewhere->lookup.id, id, sizeof(elsewhere->lookup.id));

    ngx_add_timer(&elsewhere->timer, 0);
}


static void
ngx_http_atls_elsewhere_ask(ngx_http_atls_elsewhere_t *elsewhere)
{
    ngx_http_atls_lookup(&elsewhere->lookup);
}


static void
ngx_http_atls_elsewhere_found(ngx_http_atls_lookup_t *lookup)
{
    ngx_http_atls_elsewhere_t  *elsewhere;

    elsewhere = lookup->data;

    switch (lookup->found) {

    case ngx_http_atls_found_soon:
        ngx_http_atls_elsewhere_soon(elsewhere);
        return;

    case ngx_http_atls_found_node:

        if (elsewhere->here) {

            /* meanwhile, another machine has taken it */

            ngx_http_atls_elsewhere_done(elsewhere, ngx_http_atls_found_failed);
            return;
        }

        ngx_http_atls_elsewhere_node(elsewhere);
        return;

    case ngx_http_atls_found_none:

        if (lookup->missed && !lookup->again) {

            /* it may have put the session out after the store was asked */

            lookup->again = 1;
            ngx_http_atls_elsewhere_ask(elsewhere);
            return;
        }

        ngx_http_atls_elsewhere_done(elsewhere, ngx_http_atls_found_none);
        return;

    default:
        ngx_http_atls_elsewhere_done(elsewhere, lookup->found);
    }
}


/*
 * This machine has taken the session: for another POST, or long ago; or after a
 * binary upgrade, the processes of the other binary put it out.
 */

static void
ngx_http_atls_elsewhere_soon(ngx_http_atls_elsewhere_t *elsewhere)
{
    ngx_http_atls_owner_t  owner;

    if (ngx_http_atls_portable_owner(elsewhere->post->main_conf->zone,
                                     elsewhere->lookup.id, &owner)
        == NGX_OK)
    {
        ngx_http_atls_elsewhere_done(elsewhere, ngx_http_atls_found_here);
        return;
    }

    ngx_http_atls_elsewhere_again(elsewhere,
                                  ngx_http_atls_node_upgraded()
                                  ? NGX_HTTP_ATLS_ELSEWHERE_LEAVING
                                  : NGX_HTTP_ATLS_ELSEWHERE_SOON);
}


static void
ngx_http_atls_elsewhere_node(ngx_http_atls_elsewhere_t *elsewhere)
{
    ngx_http_atls_link_t   *link;
    ngx_http_atls_relay_t  *relay;

    link = &elsewhere->link;

    if (elsewhere->relay == NULL) {
        relay = ngx_http_atls_relay_prepare(elsewhere->post, &elsewhere->text,
                                            &link->head);
        if (relay == NULL) {
            ngx_http_atls_elsewhere_done(elsewhere, ngx_http_atls_found_failed);
            return;
        }

        elsewhere->relay = relay;
    }

    link->store = elsewhere->post->main_conf->store;
    link->node = elsewhere->lookup.naming.node;
    link->log = elsewhere->post->request->connection->log;
    link->handler = ngx_http_atls_elsewhere_linked;
    link->data = elsewhere;

    ngx_http_atls_link_connect(link);
}


/*
 * A machine that shuts down does not accept connections any more, and puts its
 * sessions into the store.
 */

static void
ngx_http_atls_elsewhere_linked(ngx_http_atls_link_t *link)
{
    ngx_http_atls_elsewhere_t  *elsewhere;

    elsewhere = link->data;

    if (link->rc == NGX_OK) {
        ngx_http_atls_elsewhere_done(elsewhere, ngx_http_atls_found_node);

    } else if (elsewhere->lookup.naming.doubtful) {
        ngx_http_atls_node_forget(elsewhere->post->main_conf, &link->node);
        ngx_http_atls_elsewhere_ask(elsewhere);

    } else if (link->node.leaving) {
        ngx_http_atls_elsewhere_again(elsewhere,
                                      NGX_HTTP_ATLS_ELSEWHERE_LEAVING);

    } else if (link->rc == NGX_DECLINED) {

        /* a connection that is refused may have been pending for long */

        if (!elsewhere->refused) {
            elsewhere->refused = 1;
            elsewhere->began = ngx_current_msec;
        }

        ngx_http_atls_elsewhere_again(elsewhere, NGX_HTTP_ATLS_ELSEWHERE_SOON);

    } else {
        ngx_http_atls_elsewhere_done(elsewhere, ngx_http_atls_found_failed);
    }
}


static void
ngx_http_atls_elsewhere_again(ngx_http_atls_elsewhere_t *elsewhere,
    ngx_msec_t patience)
{
    if (ngx_current_msec - elsewhere->began >= patience) {
        ngx_http_atls_elsewhere_done(elsewhere, ngx_http_atls_found_none);
        return;
    }

    ngx_add_timer(&elsewhere->timer, elsewhere->pause);

    elsewhere->pause = ngx_min(2 * elsewhere->pause,
                               NGX_HTTP_ATLS_ELSEWHERE_LONGEST);
}


static void
ngx_http_atls_elsewhere_timer(ngx_event_t *ev)
{
    ngx_http_atls_elsewhere_t *elsewhere = ev->data;

    ngx_http_atls_elsewhere_ask(elsewhere);
}


static void
ngx_http_atls_elsewhere_done(ngx_http_atls_elsewhere_t *elsewhere,
    ngx_http_atls_found_e found)
{
    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = elsewhere->post->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "atls %08xD elsewhere done: %d",
                   elsewhere->post->label, (int) found);

    elsewhere->found = found;

    r->read_event_handler = ngx_http_block_reading;

    rc = elsewhere->handler(elsewhere);

    if (rc == NGX_AGAIN) {
        r->read_event_handler = ngx_http_test_reading;
        return;
    }

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_atls_elsewhere_cleanup(void *data)
{
    ngx_http_atls_elsewhere_t *elsewhere = data;

    ngx_http_atls_lookup_cancel(&elsewhere->lookup);
    ngx_http_atls_link_cancel(&elsewhere->link);

    if (elsewhere->timer.timer_set) {
        ngx_del_timer(&elsewhere->timer);
    }
}


/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_tag.h"
#include "ngx_http_atls_node.h"
#include "ngx_http_atls_store.h"
#include "ngx_http_atls_store_conf.h"
#include "ngx_http_atls_lookup.h"


static void ngx_http_atls_lookup_taken(ngx_http_atls_taking_t *taking);
static void ngx_http_atls_lookup_tag(ngx_http_atls_lookup_t *lookup);
static void ngx_http_atls_lookup_node(ngx_http_atls_lookup_t *lookup,
    u_char *number);
static void ngx_http_atls_lookup_named(ngx_http_atls_naming_t *naming);
static void ngx_http_atls_lookup_done(ngx_http_atls_lookup_t *lookup,
    ngx_http_atls_found_e found);


void
ngx_http_atls_lookup(ngx_http_atls_lookup_t *lookup)
{
    lookup->key = 0;
    lookup->owned = 0;
    lookup->missed = 0;

    lookup->taking.handler = ngx_http_atls_lookup_taken;
    lookup->taking.data = lookup;

    lookup->naming.handler = ngx_http_atls_lookup_named;
    lookup->naming.data = lookup;

    if (ngx_http_atls_store_take(lookup->conf, lookup->id, &lookup->taking)
        != NGX_AGAIN)
    {
        ngx_http_atls_lookup_done(lookup, ngx_http_atls_found_failed);
    }
}


static void
ngx_http_atls_lookup_taken(ngx_http_atls_taking_t *taking)
{
    ngx_http_atls_lookup_t  *lookup;

    lookup = taking->data;

    switch (taking->taken) {

    case ngx_http_atls_taken_here:
        ngx_http_atls_lookup_done(lookup, ngx_http_atls_found_here);
        return;

    case ngx_http_atls_taken_owner:
        lookup->owned = 1;

        if (ngx_memcmp(taking->number, lookup->conf->store->number,
                       NGX_HTTP_ATLS_TAG_LEN)
            == 0)
        {
            ngx_http_atls_lookup_done(lookup, ngx_http_atls_found_soon);
            return;
        }

        ngx_http_atls_lookup_node(lookup, taking->number);
        return;

    case ngx_http_atls_taken_none:

        if (!lookup->again) {
            ngx_http_atls_lookup_tag(lookup);
            return;
        }

        /* fall through */

    case ngx_http_atls_taken_gone:
        ngx_http_atls_lookup_done(lookup, ngx_http_atls_found_none);
        return;

    default: /* ngx_http_atls_taken_failed */
        ngx_http_atls_lookup_done(lookup, ngx_http_atls_found_failed);
    }
}


/*
 * A session that was never in the store is at the machine that has created it.
 * The tag has the number of the machine, encrypted with the key that was the
 * first one then.
 */

static void
ngx_http_atls_lookup_tag(ngx_http_atls_lookup_t *lookup)
{
    u_char                      number[NGX_HTTP_ATLS_TAG_LEN];
    ngx_uint_t                  i;
    ngx_http_atls_store_t      *store;
    ngx_http_atls_store_key_t  *key;

    store = lookup->conf->store;
    key = store->keys.elts;

    while (lookup->key < store->keys.nelts) {

        if (ngx_http_atls_session_mask(key[lookup->key++].tag, lookup->id,
                                       number, ngx_cycle->log)
            != NGX_OK)
        {
            break;
        }

        for (i = 0; i < NGX_HTTP_ATLS_TAG_LEN; i++) {
            number[i] ^= lookup->id[NGX_HTTP_ATLS_ID_LEN + i];
        }

        if (ngx_memcmp(number, store->number, NGX_HTTP_ATLS_TAG_LEN) == 0) {

            if (ngx_http_atls_node_upgraded()) {
                ngx_http_atls_lookup_done(lookup, ngx_http_atls_found_soon);
                return;
            }

            break;
        }

        ngx_http_atls_lookup_node(lookup, number);
        return;
    }

    ngx_http_atls_lookup_done(lookup, ngx_http_atls_found_none);
}


static void
ngx_http_atls_lookup_node(ngx_http_atls_lookup_t *lookup, u_char *number)
{
    if (ngx_http_atls_node_find(lookup->conf, number, &lookup->naming)
        != NGX_AGAIN)
    {
        ngx_http_atls_lookup_done(lookup, ngx_http_atls_found_failed);
    }
}


static void
ngx_http_atls_lookup_named(ngx_http_atls_naming_t *naming)
{
    ngx_http_atls_lookup_t  *lookup;

    lookup = naming->data;

    switch (naming->rc) {

    case NGX_OK:
        ngx_http_atls_lookup_done(lookup, ngx_http_atls_found_node);
        return;

    case NGX_DECLINED:
        lookup->missed = 1;

        if (lookup->owned) {
            ngx_http_atls_lookup_done(lookup, ngx_http_atls_found_none);
            return;
        }

        ngx_http_atls_lookup_tag(lookup);
        return;

    default: /* NGX_ERROR */
        ngx_http_atls_lookup_done(lookup, ngx_http_atls_found_failed);
    }
}


static void
ngx_http_atls_lookup_done(ngx_http_atls_lookup_t *lookup,
    ngx_http_atls_found_e found)
{
    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "atls lookup found: %d", (int) found);

    lookup->found = found;
    lookup->handler(lookup);
}


void
ngx_http_atls_lookup_cancel(ngx_http_atls_lookup_t *lookup)
{
    ngx_http_atls_store_take_cancel(&lookup->taking);
    ngx_http_atls_node_cancel(&lookup->naming);
}

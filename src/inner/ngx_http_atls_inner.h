
/*
 * An inner connection: an ngx_connection_t over a POST instead of a socket.
 * What it receives is what the POST's records decrypt to, what it sends is
 * sealed into the POST's response; all between is nginx's HTTP engine.
 *
 * It lives in its own pool and belongs to nginx: it ends when nginx closes it.
 * The POST it serves may end before, if the client leaves.
 */


#ifndef _NGX_HTTP_ATLS_INNER_H_INCLUDED_
#define _NGX_HTTP_ATLS_INNER_H_INCLUDED_


#include "ngx_http_atls.h"
#include "trl_state.h"
#include "ngx_http_atls_identity.h"
#include "ngx_http_atls_listening.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_sni.h"


/* What inner requests may know of their session, also when it is gone. */

typedef struct {
    u_char                     id[NGX_HTTP_ATLS_ID_LEN];
    uint16_t                   protocol;
    uint16_t                   suite;
    uint16_t                   group;
    int64_t                    created;    /* as the session's */
    uint64_t                   requests;
    ngx_str_t                  sni;
    ngx_http_atls_identity_t   identity;
    ngx_uint_t                 verify_error;
    unsigned                   reused:1;
    unsigned                   alpn:2;
} ngx_http_atls_info_t;


struct ngx_http_atls_inner_s {
    ngx_http_atls_listening_t  listening;  /* first: c->listening */
    ngx_connection_t          *connection;
    ngx_http_atls_post_t      *post;       /* NULL: gone */
    ngx_http_atls_target_t     target;     /* of its session */
    ngx_shm_zone_t            *zone;
    uint32_t                   label;      /* of its session */
    ngx_http_connection_t     *hc;         /* c->data between requests */
    ngx_http_atls_info_t       info;
    ngx_http_atls_raw_t       *raw;        /* NULL: atls_payload http */

    ngx_proxy_protocol_t      *proxy;      /* of the outer connection that it
                                              has begun with */
    ngx_atomic_uint_t          outer;      /* number of that */

    ngx_queue_t                queue;      /* of those that are parked */

    ngx_uint_t                 preface;    /* bytes of "PRI " received */
    ngx_msec_t                 deadline;   /* for the rest of a request */

    unsigned                   early:1;    /* began with early data, and the
                                              handshake is not finished */
    unsigned                   draining:1; /* as the POST that it began in */
    unsigned                   last:1;     /* its session ends with the request
                                              in progress */
    unsigned                   keepalive:1;  /* core would have kept it */
    unsigned                   answering:1;   /* a response may lack its end */
    unsigned                   parked:1;   /* waits for its session's next POST;
                                              post is NULL */
    unsigned                   blocked:1;  /* has something to send then */
    unsigned                   timed:1;    /* there is a deadline */
    unsigned                   received:1;    /* something since it was set */
};


/*
 * Sees to it that the POST can have an inner connection: to be called before
 * anything is opened, as what is opened must be served.  NGX_ERROR, logged: no
 * connections are left.  What is not used is given back by the second.
 */

ngx_int_t ngx_http_atls_inner_reserve(ngx_http_atls_post_t *post);
void ngx_http_atls_inner_release(ngx_http_atls_post_t *post);

/*
 * Makes the POST's inner connection and runs it.  NGX_ERROR, logged: there is
 * none.  When it closes, ngx_http_atls_stream_inner_closed() is called.
 */

ngx_int_t ngx_http_atls_inner_create(ngx_http_atls_post_t *post);

/*
 * What the PROXY protocol says to a request is what it says of the POST that
 * the request's header has ended in.  NGX_ERROR: no memory.
 */

ngx_int_t ngx_http_atls_inner_proxy(ngx_http_atls_inner_t *inner,
    ngx_http_request_t *r);

/* Whether it is the client that has to go on: with a request, or its body. */

ngx_uint_t ngx_http_atls_inner_waiting(ngx_http_atls_inner_t *inner);

/*
 * The state of the session that an inner connection is in, to export keying
 * material from; NULL while its handshake is not finished (early data), and
 * when the session is not this worker's any more.
 */

const trl_state_t *ngx_http_atls_inner_state(ngx_http_atls_inner_t *inner);


#endif /* _NGX_HTTP_ATLS_INNER_H_INCLUDED_ */

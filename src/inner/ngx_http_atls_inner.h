
/*
 * An inner connection: an ngx_connection_t over a POST instead of a socket.  It
 * receives the plaintext of the POST's records; data sent are sealed and added
 * to the POST's response.  Requests are processed by nginx's HTTP engine.  It
 * has a separate pool and exists until nginx closes it.  The POST may end
 * earlier, if the client closes its connection.
 */


#ifndef _NGX_HTTP_ATLS_INNER_H_INCLUDED_
#define _NGX_HTTP_ATLS_INNER_H_INCLUDED_


#include "ngx_http_atls.h"
#include "trl_state.h"
#include "ngx_http_atls_identity.h"
#include "ngx_http_atls_listening.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_sni.h"


/* Session data for inner requests, which may outlive the session. */

typedef struct {
    u_char                     id[NGX_HTTP_ATLS_ID_LEN];
    uint16_t                   protocol;
    uint16_t                   suite;
    uint16_t                   group;
    int64_t                    created;    /* time of session */
    uint64_t                   requests;
    ngx_str_t                  sni;
    ngx_http_atls_identity_t   identity;
    ngx_uint_t                 verify_error;
    unsigned                   reused:1;
    unsigned                   alpn:2;
    unsigned                   other:1;    /* see session */
} ngx_http_atls_info_t;


/* How the client of an upgraded connection polls. */

typedef enum {
    ngx_http_atls_polls_unknown = 0,
    ngx_http_atls_polls_empty,                 /* POSTs may be from anybody */
    ngx_http_atls_polls_contested,             /* then, one with a record */
    ngx_http_atls_polls_records
} ngx_http_atls_polls_e;


struct ngx_http_atls_inner_s {
    ngx_http_atls_listening_t  listening;  /* must be first */
    ngx_connection_t          *connection;
    ngx_http_atls_post_t      *post;       /* NULL: parked or gone */
    ngx_http_atls_target_t     target;     /* of the session */
    ngx_shm_zone_t            *zone;
    uint32_t                   label;      /* of the session */
    ngx_http_connection_t     *hc;         /* c->data between requests */
    ngx_http_atls_info_t       info;
    ngx_http_atls_raw_t       *raw;        /* NULL: atls_payload http */

    ngx_proxy_protocol_t      *proxy;      /* of the first outer connection */
    ngx_atomic_uint_t          outer;      /* its number */

    ngx_queue_t                queue;      /* parked connections */
    ngx_http_atls_post_t      *poll;       /* waits for output, or NULL */
    ngx_http_atls_polls_e      polls;

    ngx_uint_t                 preface;    /* bytes of "PRI " received */
    ngx_msec_t                 deadline;   /* for the rest of a request */

    unsigned                   early:1;    /* started with early data;
                                              handshake not finished */
    unsigned                   draining:1; /* copied from the POST in which the
                                              request begins */
    unsigned                   single:1;   /* one request, in one POST */
    unsigned                   last:1;     /* session ends with this request */
    unsigned                   keepalive:1;  /* core keeps it alive, or would:
                                                nothing of another request */
    unsigned                   answering:1;   /* response is incomplete */
    unsigned                   parked:1;   /* waits for the next POST; post is
                                              NULL */
    unsigned                   upgraded:1;    /* a tunnel, when it was parked */
    unsigned                   blocked:1;  /* waits to send */
    unsigned                   timed:1;    /* deadline is set */
    unsigned                   received:1;    /* data since then */
    unsigned                   asked:1;    /* by an empty POST, after the last
                                              data */
};


/*
 * Reserves an inner connection for the POST; called before records are
 * decrypted, as their plaintext must be processed.  NGX_ERROR, logged: no free
 * connections.  The second function releases an unused one.
 */

ngx_int_t ngx_http_atls_inner_reserve(ngx_http_atls_post_t *post);
void ngx_http_atls_inner_release(ngx_http_atls_post_t *post);

/*
 * Creates and runs the inner connection of the POST.  NGX_ERROR, logged.  When
 * it is closed, ngx_http_atls_stream_inner_closed() is called.
 */

ngx_int_t ngx_http_atls_inner_create(ngx_http_atls_post_t *post);

/*
 * Sets the PROXY protocol data of a request: those of the POST in which the
 * request header was completed.  NGX_ERROR: no memory.
 */

ngx_int_t ngx_http_atls_inner_proxy(ngx_http_atls_inner_t *inner,
    ngx_http_request_t *r);

/* Whether data of the client are awaited: a request, or its body. */

ngx_uint_t ngx_http_atls_inner_waiting(ngx_http_atls_inner_t *inner);

/* Whether its request goes on if the client is gone. */

ngx_uint_t ngx_http_atls_inner_goes_on(ngx_http_atls_inner_t *inner);

/* Whether the connection has been upgraded: either side may speak. */

ngx_uint_t ngx_http_atls_inner_tunnel(ngx_http_atls_inner_t *inner);

/*
 * The session state of an inner connection, to export keying material; NULL
 * until the handshake is finished (early data), and when the session no longer
 * belongs to this worker.
 */

const trl_state_t *ngx_http_atls_inner_state(ngx_http_atls_inner_t *inner);


#endif /* _NGX_HTTP_ATLS_INNER_H_INCLUDED_ */

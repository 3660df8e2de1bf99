
/*
 * The umbrella header of the module's nginx part: its configuration and the
 * headers of all its files.
 *
 *   ngx_http_atls_handler      the content handler: what to do with a request
 *   ngx_http_atls_post         one outer POST from its first byte to its last
 *   ngx_http_atls_body         its body, as bytes and as whole records
 *   ngx_http_atls_answer       its response
 *   ngx_http_atls_problem      its error responses
 *   ngx_http_atls_session      the table of sessions in shared memory
 *   ngx_http_atls_handshake    handshakes in flight in this worker
 *   ngx_http_atls_relay        POSTs that another worker has to serve
 *   ngx_http_atls_relayed      those that another worker has relayed
 *   ngx_http_atls_mailbox      how they get from one to the other
 *   ngx_http_atls_inner        inner connections: decrypted requests
 *   ngx_http_atls_listening    the socket that such a connection came to
 *   ngx_http_atls_phases       what inner requests and outer ones go through
 *   ngx_http_atls_filter       the headers of their responses
 *   ngx_http_atls_raw          atls_payload raw
 *   ngx_http_atls_ssl          certificates and all that is set in an SSL_CTX
 *   ngx_http_atls_variables    $atls_*
 *
 * Under them, without nginx types: atls_channel, atls_state, atls_record.
 */


#ifndef _NGX_HTTP_ATLS_H_INCLUDED_
#define _NGX_HTTP_ATLS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "atls_channel.h"


#define NGX_HTTP_ATLS_GONE          410     /* core has no name for it */

#define NGX_HTTP_ATLS_PAYLOAD_HTTP  0
#define NGX_HTTP_ATLS_PAYLOAD_RAW   1


typedef struct ngx_http_atls_post_s       ngx_http_atls_post_t;
typedef struct ngx_http_atls_inner_s      ngx_http_atls_inner_t;
typedef struct ngx_http_atls_session_s    ngx_http_atls_session_t;
typedef struct ngx_http_atls_handshake_s  ngx_http_atls_handshake_t;
typedef struct ngx_http_atls_raw_s        ngx_http_atls_raw_t;


/* A location with "atls on", as it is known to other workers. */

typedef struct {
    uint64_t                   id;             /* the same after a reload */
    ngx_http_core_srv_conf_t  *server;
    void                     **loc_conf;
} ngx_http_atls_endpoint_t;


typedef struct {
    ngx_shm_zone_t            *zone;           /* NULL: no "atls on" at all */
    ngx_uint_t                 max_handshakes; /* in flight in each worker */
    ngx_array_t                endpoints;      /* ngx_http_atls_endpoint_t */
} ngx_http_atls_main_conf_t;


typedef struct {
    ngx_flag_t                 enable;
    ngx_uint_t                 payload;        /* NGX_HTTP_ATLS_PAYLOAD_* */
    size_t                     buffer_size;    /* plaintext of a record sent */
    ngx_flag_t                 required;

    time_t                     session_timeout;
    time_t                     session_lifetime;
    ngx_msec_t                 handshake_timeout;

    /* see ngx_http_atls_ssl.h */

    ngx_array_t               *certificates;
    ngx_array_t               *certificate_keys;
    ngx_array_t               *passwords;
    ngx_uint_t                 protocols;
    ngx_str_t                  ciphers;
    ngx_flag_t                 prefer_server_ciphers;
    ngx_str_t                  ecdh_curve;
    ngx_str_t                  dhparam;
    ngx_array_t               *conf_commands;

    /* derived, of a location with "atls on" */

    ngx_ssl_t                 *ssl;
    ngx_http_handler_pt        content_handler; /* the location's own, if any */
    ngx_uint_t                 pinned;         /* it serves inner requests */
    ngx_str_t                  cookie_path;
    uint64_t                   endpoint;       /* sessions belong to one */
    ngx_http_upstream_conf_t   relay;          /* to another worker */
} ngx_http_atls_loc_conf_t;


/*
 * The content handler of a location with "atls on": takes outer POSTs, and
 * passes inner requests that are pinned to the location to its own handler.
 */

ngx_int_t ngx_http_atls_handler(ngx_http_request_t *r);


extern ngx_module_t  ngx_http_atls_module;

extern ngx_str_t  ngx_http_atls_cookie_name;


#include "ngx_http_atls_compat.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_mailbox.h"
#include "ngx_http_atls_relay.h"
#include "ngx_http_atls_relayed.h"
#include "ngx_http_atls_ssl.h"
#include "ngx_http_atls_body.h"
#include "ngx_http_atls_answer.h"
#include "ngx_http_atls_problem.h"
#include "ngx_http_atls_handshake.h"
#include "ngx_http_atls_listening.h"
#include "ngx_http_atls_inner.h"
#include "ngx_http_atls_post.h"
#include "ngx_http_atls_phases.h"
#include "ngx_http_atls_filter.h"
#include "ngx_http_atls_raw.h"
#include "ngx_http_atls_variables.h"


#endif /* _NGX_HTTP_ATLS_H_INCLUDED_ */

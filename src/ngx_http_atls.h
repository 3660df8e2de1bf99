
/*
 * The umbrella header of the module's nginx part: its configuration and the
 * headers of all its files.
 *
 *   ngx_http_atls_handler      the content handler: what to do with a request
 *   ngx_http_atls_post         one outer POST from its first byte to its last
 *   ngx_http_atls_body         its body, as bytes and as whole records
 *   ngx_http_atls_answer       its response
 *   ngx_http_atls_problem      its error responses
 *   ngx_http_atls_cookie       what a session is known by
 *   ngx_http_atls_session      the table of sessions in shared memory
 *   ngx_http_atls_table        what it is made of
 *   ngx_http_atls_handshake    handshakes in flight in this worker
 *   ngx_http_atls_relay        POSTs that another worker has to serve
 *   ngx_http_atls_relayed      those that another worker has relayed
 *   ngx_http_atls_mailbox      how they get from one to the other
 *   ngx_http_atls_worker       which worker process something belongs to
 *   ngx_http_atls_clock        how long things last
 *   ngx_http_atls_inner        inner connections: decrypted requests
 *   ngx_http_atls_listening    the socket that such a connection came to
 *   ngx_http_atls_proxy        what a proxy has said of a connection
 *   ngx_http_atls_phases       what inner requests and outer ones go through
 *   ngx_http_atls_filter       the headers of their responses
 *   ngx_http_atls_raw          atls_payload raw
 *   ngx_http_atls_note         where directives are
 *   ngx_http_atls_ssl          certificates and all that is set in an SSL_CTX
 *   ngx_http_atls_endpoint     what endpoints are known by
 *   ngx_http_atls_pinned       endpoints that serve inner requests themselves
 *   ngx_http_atls_sni          the server that a ClientHello asks for
 *   ngx_http_atls_ticket       resumption and early data
 *   ngx_http_atls_psk          pre-shared keys
 *   ngx_http_atls_identity     who the client is
 *   ngx_http_atls_export       exported keying material
 *   ngx_http_atls_variables    $atls_*
 *
 * Under them, without nginx types: atls_channel, atls_state, atls_record,
 * atls_cipher.
 */


#ifndef _NGX_HTTP_ATLS_H_INCLUDED_
#define _NGX_HTTP_ATLS_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "atls_channel.h"
#include "ngx_http_atls_cookie.h"


#define NGX_HTTP_ATLS_GONE          410     /* core has no name for it */

#define NGX_HTTP_ATLS_PAYLOAD_HTTP  0
#define NGX_HTTP_ATLS_PAYLOAD_RAW   1

/* atls_verify_client */

#define NGX_HTTP_ATLS_VERIFY_OFF            0
#define NGX_HTTP_ATLS_VERIFY_ON             1
#define NGX_HTTP_ATLS_VERIFY_OPTIONAL       2
#define NGX_HTTP_ATLS_VERIFY_OPTIONAL_NO_CA 3


typedef struct ngx_http_atls_post_s       ngx_http_atls_post_t;
typedef struct ngx_http_atls_inner_s      ngx_http_atls_inner_t;
typedef struct ngx_http_atls_session_s    ngx_http_atls_session_t;
typedef struct ngx_http_atls_handshake_s  ngx_http_atls_handshake_t;
typedef struct ngx_http_atls_raw_s        ngx_http_atls_raw_t;
typedef struct ngx_http_atls_psks_s       ngx_http_atls_psks_t;
typedef struct ngx_http_atls_tickets_s    ngx_http_atls_tickets_t;


/* A location with "atls on", as it is known to other workers. */

typedef struct {
    uint64_t                   id;             /* the same after a reload */
    uint64_t                   location;       /* the same in any server */
    ngx_http_core_srv_conf_t  *server;
    void                     **loc_conf;
} ngx_http_atls_endpoint_t;


typedef struct ngx_http_atls_loc_conf_s  ngx_http_atls_loc_conf_t;


/* Where a directive is. */

typedef struct {
    ngx_http_atls_loc_conf_t  *conf;           /* the level */
    ngx_uint_t                 in_location;    /* 1: that is a location */
    u_char                    *value;          /* the first one */
    ngx_str_t                  name;
    ngx_str_t                  file;
    ngx_uint_t                 line;
} ngx_http_atls_note_t;


typedef struct {
    ngx_shm_zone_t            *zone;           /* NULL: no "atls on" at all */
    ngx_shm_zone_t            *workers;        /* with it: their numbers */
    ngx_uint_t                 max_handshakes; /* in flight in each worker */
    ngx_array_t                endpoints;      /* ngx_http_atls_endpoint_t */
    ngx_array_t                blocks;         /* in endpoints: "if" ... */
    ngx_array_t                notes;          /* ngx_http_atls_note_t */
    ngx_uint_t                 early_data;     /* 1: on, somewhere */
    ngx_uint_t                 running;        /* 1: not a refused one */
} ngx_http_atls_main_conf_t;


struct ngx_http_atls_loc_conf_s {
    ngx_flag_t                 enable;
    ngx_uint_t                 payload;        /* NGX_HTTP_ATLS_PAYLOAD_* */
    size_t                     buffer_size;    /* plaintext of a record sent */
    ngx_flag_t                 required;

    ngx_http_atls_cookie_t     cookie;

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

    ngx_uint_t                 verify;         /* NGX_HTTP_ATLS_VERIFY_* */
    ngx_uint_t                 verify_depth;
    ngx_str_t                  client_certificate;
    ngx_str_t                  trusted_certificate;
    ngx_str_t                  crl;

    ngx_flag_t                 stapling;
    ngx_flag_t                 stapling_verify;
    ngx_str_t                  stapling_file;
    ngx_str_t                  stapling_responder;

    ngx_flag_t                 session_tickets;
    ngx_array_t               *session_ticket_keys;
    ngx_flag_t                 early_data;

    ngx_http_atls_psks_t      *psks;           /* NULL: none */

    /* derived; in a block, they are those of the location it is in */

    ngx_http_atls_loc_conf_t  *outer;          /* one level up */
    void                     **loc_conf;
    ngx_uint_t                 used;           /* 1: "atls" is in it */

    /* derived, of a location with "atls on" */

    ngx_ssl_t                 *ssl;
    ngx_http_handler_pt        content_handler; /* the location's own, if any */
    ngx_uint_t                 pinned;         /* it serves inner requests */
    uint64_t                   location;       /* its name and the like */
    uint64_t                   endpoint;       /* sessions belong to one */
    uint64_t                   policy;         /* that lets clients in, see
                                                  ngx_http_atls_identity.h */
    ngx_http_upstream_conf_t   relay;          /* to another worker */
    void                     **unlimited;      /* the location's loc_conf, but
                                                  for client_max_body_size;
                                                  made when it is needed */

    /* derived, of a server */

    ngx_array_t                endpoints;      /* in it, as above */
};


/*
 * The content handler of a location with "atls on": takes outer POSTs, and
 * passes inner requests that are pinned to the location to its own handler.
 */

ngx_int_t ngx_http_atls_handler(ngx_http_request_t *r);

/* That of a request's body, if it is one of those for ATLS; else NULL. */

ngx_str_t *ngx_http_atls_media_type(ngx_http_request_t *r);


extern ngx_module_t  ngx_http_atls_module;


#include "ngx_http_atls_compat.h"
#include "ngx_http_atls_clock.h"
#include "ngx_http_atls_ticket.h"
#include "ngx_http_atls_worker.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_proxy.h"
#include "ngx_http_atls_mailbox.h"
#include "ngx_http_atls_relay.h"
#include "ngx_http_atls_relayed.h"
#include "ngx_http_atls_note.h"
#include "ngx_http_atls_ssl.h"
#include "ngx_http_atls_endpoint.h"
#include "ngx_http_atls_pinned.h"
#include "ngx_http_atls_sni.h"
#include "ngx_http_atls_psk.h"
#include "ngx_http_atls_identity.h"
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
#include "ngx_http_atls_export.h"
#include "ngx_http_atls_variables.h"


#endif /* _NGX_HTTP_ATLS_H_INCLUDED_ */


/*
 * Copyright (C) The ngx_http_atls_module authors
 */

/* The configuration: directives and values derived from them. */


#ifndef _NGX_HTTP_ATLS_CONF_H_INCLUDED_
#define _NGX_HTTP_ATLS_CONF_H_INCLUDED_


#include "ngx_http_atls.h"


#define NGX_HTTP_ATLS_PAYLOAD_HTTP  0
#define NGX_HTTP_ATLS_PAYLOAD_RAW   1

/* atls_protocols, with those of nginx */

#define NGX_HTTP_ATLS_DTLSv1_2           0x10000

/* atls_session_tracking; also how a POST names its session */

#define NGX_HTTP_ATLS_TRACKING_COOKIE    1
#define NGX_HTTP_ATLS_TRACKING_LOCATION  2
#define NGX_HTTP_ATLS_TRACKING_BOTH      3
#define NGX_HTTP_ATLS_TRACKING_KEYID     4     /* with exported keys */

/* atls_verify_client */

#define NGX_HTTP_ATLS_VERIFY_OFF            0
#define NGX_HTTP_ATLS_VERIFY_ON             1
#define NGX_HTTP_ATLS_VERIFY_OPTIONAL       2
#define NGX_HTTP_ATLS_VERIFY_OPTIONAL_NO_CA 3


/* atls_cookie */

typedef struct {
    ngx_str_t                  name;           /* NULL data: not set */
    ngx_str_t                  path;           /* empty: location name */
    ngx_str_t                  domain;
    ngx_str_t                  samesite;
    ngx_uint_t                 secure;         /* always "Secure" */

    /* for "atls on": "; Path=...; HttpOnly" etc. */
    ngx_str_t                  attributes;
} ngx_http_atls_cookie_t;


struct ngx_http_atls_main_conf_s {
    ngx_shm_zone_t            *zone;           /* NULL: no "atls on" */
    ngx_shm_zone_t            *workers;        /* set if zone is set */
    ngx_shm_zone_t            *counters;       /* the same */
    ngx_uint_t                 max_handshakes; /* limit per worker */
    ngx_shm_zone_t            *associations;   /* NULL: none are used */
    ngx_http_atls_store_t     *store;          /* NULL: this machine only */
    ngx_array_t                endpoints;      /* ngx_http_atls_endpoint_t */
    ngx_array_t                blocks;         /* in endpoints: "if" etc. */
    ngx_array_t                notes;          /* ngx_http_atls_note_t */
    ngx_uint_t                 early_data;     /* 1: enabled anywhere */
    ngx_uint_t                 dtls;           /* the same */
    ngx_uint_t                 running;        /* 1: successfully loaded */
};


struct ngx_http_atls_loc_conf_s {
    ngx_flag_t                 enable;
    ngx_uint_t                 payload;        /* NGX_HTTP_ATLS_PAYLOAD_* */
    size_t                     buffer_size;    /* of records, plaintext */
    ngx_msec_t                 poll_timeout;   /* 0: POSTs do not wait */
    ngx_flag_t                 exported_keys;
    size_t                     retry_buffer;   /* 0: off */
    ngx_flag_t                 required;
    ngx_uint_t                 status;         /* 1: atls_status */
    ngx_flag_t                 peer;           /* atls_peer */

    ngx_str_t                  name;           /* atls_endpoint; or empty */
    ngx_uint_t                 tracking;       /* NGX_HTTP_ATLS_TRACKING_* */
    ngx_http_atls_cookie_t     cookie;
    ngx_http_atls_cors_t      *cors;           /* NULL: none */

    time_t                     session_timeout;
    time_t                     session_lifetime;
    ngx_msec_t                 handshake_timeout;

    /* SSL_CTX parameters */

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

    time_t                     association;    /* lifetime; 0: off */
    ngx_flag_t                 association_reuse;
    ngx_flag_t                 association_accept;

    /* derived; a block has the values of its location */

    ngx_http_atls_loc_conf_t  *outer;          /* enclosing level */
    void                     **loc_conf;
    ngx_uint_t                 used;           /* 1: "atls" is set here */

    /* derived, with "atls on" */

    ngx_http_core_srv_conf_t  *server;
    ngx_array_t                addrs;          /* ngx_addr_t, of the server */

    ngx_ssl_t                 *ssl;
    ngx_ssl_t                 *dtls;           /* or NULL */

    /* of session_ticket_keys; NULL: those of the zone */
    ngx_http_atls_association_keys_t  *association_keys;

    ngx_http_handler_pt        content_handler; /* the handler of core */
    ngx_uint_t                 pinned;         /* serves inner requests */

    ngx_str_t                  uri;            /* escaped, for URIs of sessions;
                                                  or empty */
    size_t                     uri_len;        /* not escaped */

    uint64_t                   location;       /* hash of the name */
    uint64_t                   endpoint;       /* id, also in sessions */
    uint64_t                   portable;       /* the same on all machines */
    uint64_t                   policy;         /* client verification, see
                                                  ngx_http_atls_identity.h */
    ngx_http_upstream_conf_t   relay;          /* to other workers */
    void                     **unlimited;      /* loc_conf of the location
                                                  without client_max_body_size,
                                                  created on first use */

    /* derived, for a server */

    ngx_array_t                endpoints;      /* with "atls on" */
};


/* Functions of the module's context. */

void *ngx_http_atls_conf_create_main(ngx_conf_t *cf);
void *ngx_http_atls_conf_create_loc(ngx_conf_t *cf);

/* The directives of TLS are inherited. */

void ngx_http_atls_conf_merge_tls(ngx_http_atls_loc_conf_t *conf,
    ngx_http_atls_loc_conf_t *prev);


#endif /* _NGX_HTTP_ATLS_CONF_H_INCLUDED_ */


/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "trl_hash.h"
#include "trl_state.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_endpoint.h"
#include "ngx_http_atls_note.h"
#include "ngx_http_atls_mailbox.h"
#include "ngx_http_atls_process.h"
#include "ngx_http_atls_socket.h"
#include "ngx_http_atls_worker.h"
#include "ngx_http_atls_cookie.h"
#include "ngx_http_atls_counters.h"
#include "ngx_http_atls_ending.h"
#include "ngx_http_atls_sweep.h"
#include "ngx_http_atls_zone.h"
#include "ngx_http_atls_associations.h"
#include "ngx_http_atls_drain.h"
#include "ngx_http_atls_node.h"
#include "ngx_http_atls_redis.h"
#include "ngx_http_atls_store_conf.h"
#include "ngx_http_atls_association.h"
#include "ngx_http_atls_direct.h"
#include "ngx_http_atls_psk.h"
#include "ngx_http_atls_ssl.h"
#include "ngx_http_atls_ticket.h"
#include "ngx_http_atls_export.h"
#include "ngx_http_atls_variables.h"
#include "ngx_http_atls_cors.h"
#include "ngx_http_atls_filter.h"
#include "ngx_http_atls_link_pool.h"
#include "ngx_http_atls_location.h"
#include "ngx_http_atls_outcome.h"
#include "ngx_http_atls_passed.h"
#include "ngx_http_atls_phases.h"
#include "ngx_http_atls_relayed.h"
#include "ngx_http_atls_status.h"


static ngx_int_t ngx_http_atls_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_atls_postconfiguration(ngx_conf_t *cf);
static char *ngx_http_atls_init_main_conf(ngx_conf_t *cf, void *conf);
static char *ngx_http_atls_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_atls_merge_association(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *conf, ngx_uint_t server);
static char *ngx_http_atls_association(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_atls_check_certificate(ngx_conf_t *cf, void *post,
    void *data);
static char *ngx_http_atls_check_buffer_size(ngx_conf_t *cf, void *post,
    void *data);
static char *ngx_http_atls_check_retry_buffer(ngx_conf_t *cf, void *post,
    void *data);
static char *ngx_http_atls_check_seconds(ngx_conf_t *cf, void *post,
    void *data);
static char *ngx_http_atls_check_msec(ngx_conf_t *cf, void *post, void *data);
static ngx_int_t ngx_http_atls_add_cleanup(ngx_conf_t *cf);
static void ngx_http_atls_cleanup(void *data);
static ngx_int_t ngx_http_atls_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_atls_init_process(ngx_cycle_t *cycle);
static void ngx_http_atls_exit_process(ngx_cycle_t *cycle);


/* Configurations in use, in the master. */

static ngx_uint_t  ngx_http_atls_nrunning;


static ngx_conf_bitmask_t  ngx_http_atls_protocols[] = {
    { ngx_string("TLSv1.2"), NGX_SSL_TLSv1_2 },
    { ngx_string("TLSv1.3"), NGX_SSL_TLSv1_3 },
    { ngx_string("DTLSv1.2"), NGX_HTTP_ATLS_DTLSv1_2 },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_http_atls_verify[] = {
    { ngx_string("off"), NGX_HTTP_ATLS_VERIFY_OFF },
    { ngx_string("on"), NGX_HTTP_ATLS_VERIFY_ON },
    { ngx_string("optional"), NGX_HTTP_ATLS_VERIFY_OPTIONAL },
    { ngx_string("optional_no_ca"), NGX_HTTP_ATLS_VERIFY_OPTIONAL_NO_CA },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_http_atls_payloads[] = {
    { ngx_string("http"), NGX_HTTP_ATLS_PAYLOAD_HTTP },
    { ngx_string("raw"), NGX_HTTP_ATLS_PAYLOAD_RAW },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_http_atls_trackings[] = {
    { ngx_string("cookie"), NGX_HTTP_ATLS_TRACKING_COOKIE },
    { ngx_string("location"), NGX_HTTP_ATLS_TRACKING_LOCATION },
    { ngx_string("both"), NGX_HTTP_ATLS_TRACKING_BOTH },
    { ngx_null_string, 0 }
};


static ngx_conf_num_bounds_t  ngx_http_atls_max_handshakes_bounds =
    { ngx_conf_check_num_bounds, 1, -1 };

static ngx_conf_post_t  ngx_http_atls_buffer_size_post =
    { ngx_http_atls_check_buffer_size };

static ngx_conf_post_t  ngx_http_atls_retry_buffer_post =
    { ngx_http_atls_check_retry_buffer };

static ngx_conf_post_t  ngx_http_atls_note_post =
    { ngx_http_atls_note };

static ngx_conf_post_t  ngx_http_atls_certificate_post =
    { ngx_http_atls_check_certificate };

static ngx_conf_post_t  ngx_http_atls_seconds_post =
    { ngx_http_atls_check_seconds };

static ngx_conf_post_t  ngx_http_atls_msec_post =
    { ngx_http_atls_check_msec };


static ngx_command_t  ngx_http_atls_commands[] = {

    { ngx_string("atls"),
      NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, enable),
      &ngx_http_atls_note_post },

    { ngx_string("atls_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_atls_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("atls_node"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_http_atls_store_node,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("atls_store"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_atls_store_url,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("atls_store_key"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_atls_store_key,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("atls_peer"),
      NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, peer),
      NULL },

    { ngx_string("atls_max_handshakes"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_atls_main_conf_t, max_handshakes),
      &ngx_http_atls_max_handshakes_bounds },

    { ngx_string("atls_certificate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_array_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, certificates),
      &ngx_http_atls_certificate_post },

    { ngx_string("atls_certificate_key"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_array_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, certificate_keys),
      &ngx_http_atls_certificate_post },

    { ngx_string("atls_password_file"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_atls_ssl_password_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("atls_protocols"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_atls_note_bitmask_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, protocols),
      &ngx_http_atls_protocols },

    { ngx_string("atls_ciphers"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, ciphers),
      &ngx_http_atls_note_post },

    { ngx_string("atls_prefer_server_ciphers"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, prefer_server_ciphers),
      &ngx_http_atls_note_post },

    { ngx_string("atls_ecdh_curve"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, ecdh_curve),
      &ngx_http_atls_note_post },

    { ngx_string("atls_dhparam"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, dhparam),
      &ngx_http_atls_note_post },

    { ngx_string("atls_conf_command"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE2,
      ngx_conf_set_keyval_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, conf_commands),
      &ngx_http_atls_note_post },

    { ngx_string("atls_verify_client"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_atls_note_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, verify),
      &ngx_http_atls_verify },

    { ngx_string("atls_verify_depth"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, verify_depth),
      &ngx_http_atls_note_post },

    { ngx_string("atls_client_certificate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, client_certificate),
      &ngx_http_atls_note_post },

    { ngx_string("atls_trusted_certificate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, trusted_certificate),
      &ngx_http_atls_note_post },

    { ngx_string("atls_crl"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, crl),
      &ngx_http_atls_note_post },

    { ngx_string("atls_psk_file"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_atls_psk_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("atls_stapling"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, stapling),
      &ngx_http_atls_note_post },

    { ngx_string("atls_stapling_file"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, stapling_file),
      &ngx_http_atls_note_post },

    { ngx_string("atls_stapling_responder"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, stapling_responder),
      &ngx_http_atls_note_post },

    { ngx_string("atls_stapling_verify"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, stapling_verify),
      &ngx_http_atls_note_post },

    { ngx_string("atls_session_tickets"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, session_tickets),
      &ngx_http_atls_note_post },

    { ngx_string("atls_session_ticket_key"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_array_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, session_ticket_keys),
      &ngx_http_atls_note_post },

    { ngx_string("atls_early_data"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, early_data),
      &ngx_http_atls_note_post },

    { ngx_string("atls_association"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_atls_association,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("atls_association_accept"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, association_accept),
      &ngx_http_atls_note_post },

    { ngx_string("atls_endpoint"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, name),
      &ngx_http_atls_note_post },

    { ngx_string("atls_cookie"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_atls_cookie,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("atls_session_tracking"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_atls_note_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, tracking),
      &ngx_http_atls_trackings },

    { ngx_string("atls_cors"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_atls_cors,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("atls_export"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE23|NGX_CONF_TAKE4,
      ngx_http_atls_export,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("atls_session_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, session_timeout),
      &ngx_http_atls_seconds_post },

    { ngx_string("atls_session_lifetime"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, session_lifetime),
      &ngx_http_atls_seconds_post },

    { ngx_string("atls_handshake_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, handshake_timeout),
      &ngx_http_atls_msec_post },

    { ngx_string("atls_payload"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_atls_note_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, payload),
      &ngx_http_atls_payloads },

    { ngx_string("atls_poll_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, poll_timeout),
      &ngx_http_atls_note_post },

    { ngx_string("atls_exported_keys"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, exported_keys),
      &ngx_http_atls_note_post },

    { ngx_string("atls_retry_buffer"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, retry_buffer),
      &ngx_http_atls_retry_buffer_post },

    { ngx_string("atls_buffer_size"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, buffer_size),
      &ngx_http_atls_buffer_size_post },

    { ngx_string("atls_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_atls_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("atls_required"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_atls_loc_conf_t, required),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_atls_module_ctx = {
    ngx_http_atls_preconfiguration,        /* preconfiguration */
    ngx_http_atls_postconfiguration,       /* postconfiguration */

    ngx_http_atls_conf_create_main,        /* create main configuration */
    ngx_http_atls_init_main_conf,          /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_atls_conf_create_loc,         /* create location configuration */
    ngx_http_atls_merge_loc_conf           /* merge location configuration */
};


ngx_module_t  ngx_http_atls_module = {
    NGX_MODULE_V1,
    &ngx_http_atls_module_ctx,             /* module context */
    ngx_http_atls_commands,                /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_atls_init_module,             /* init module */
    ngx_http_atls_init_process,            /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_atls_exit_process,            /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_atls_preconfiguration(ngx_conf_t *cf)
{
    if (ngx_http_atls_variables_init(cf) != NGX_OK
        || ngx_http_atls_outcome_init(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_atls_export_init(cf);
}


static ngx_int_t
ngx_http_atls_postconfiguration(ngx_conf_t *cf)
{
    if (ngx_http_atls_note_unused(cf) != NGX_OK
        || ngx_http_atls_passed_init(cf) != NGX_OK
        || ngx_http_atls_store_conf_check(cf) != NGX_OK
        || ngx_http_atls_location_check_events(cf) != NGX_OK
        || ngx_http_atls_add_cleanup(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_atls_direct_init(cf);
    ngx_http_atls_endpoint_warn(cf);
    ngx_http_atls_location_take_blocks(cf);

    if (ngx_http_atls_filter_init(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_atls_phases_init(cf);
}


static char *
ngx_http_atls_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_atls_main_conf_t *amcf = conf;

    ngx_conf_init_uint_value(amcf->max_handshakes, 1024);

    return NGX_CONF_OK;
}


static char *
ngx_http_atls_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_atls_loc_conf_t *prev = parent;
    ngx_http_atls_loc_conf_t *conf = child;

    char                      *rv;
    ngx_int_t                  rc;
    ngx_uint_t                 server;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_core_srv_conf_t  *cscf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname) {
        return ngx_http_atls_location_block(cf, clcf, conf, prev);
    }

    conf->outer = prev;
    conf->loc_conf = ((ngx_http_conf_ctx_t *) cf->ctx)->loc_conf;

    ngx_conf_merge_uint_value(conf->payload, prev->payload,
                              NGX_HTTP_ATLS_PAYLOAD_HTTP);
    ngx_conf_merge_msec_value(conf->poll_timeout, prev->poll_timeout, 0);
    ngx_conf_merge_size_value(conf->retry_buffer, prev->retry_buffer, 4096);
    ngx_conf_merge_size_value(conf->buffer_size, prev->buffer_size,
                              TRL_MAX_PLAINTEXT);
    ngx_conf_merge_value(conf->exported_keys, prev->exported_keys, 0);
    ngx_conf_merge_value(conf->required, prev->required, 0);

    ngx_conf_merge_sec_value(conf->session_timeout, prev->session_timeout,
                             600);
    ngx_conf_merge_sec_value(conf->session_lifetime, prev->session_lifetime,
                             86400);
    ngx_conf_merge_msec_value(conf->handshake_timeout,
                              prev->handshake_timeout, 10000);

    ngx_conf_merge_str_value(conf->name, prev->name, "");
    ngx_conf_merge_uint_value(conf->tracking, prev->tracking,
                              NGX_HTTP_ATLS_TRACKING_COOKIE);
    ngx_conf_merge_ptr_value(conf->cors, prev->cors, NULL);
    ngx_http_atls_cookie_merge(&conf->cookie, &prev->cookie);

    ngx_http_atls_conf_merge_tls(conf, prev);

    /* without an endpoint, there is nothing to show, but this is no error */

    if (conf->status && ngx_http_atls_zone_default(cf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    /* not inherited */

    conf->used = (conf->enable != NGX_CONF_UNSET);

    if (conf->enable == NGX_CONF_UNSET) {
        conf->enable = 0;
    }

    if (conf->peer == 1) {
        return ngx_http_atls_passed_conf(cf, conf);
    }

    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

    server = (cscf->ctx->loc_conf[ngx_http_atls_module.ctx_index] == conf);

    if (conf->enable) {
        rv = ngx_http_atls_location_enable(cf, conf);

        if (rv != NGX_CONF_OK) {
            return rv;
        }

    } else if (server) {

        /* the server may be selected by SNI at an endpoint of another one */

        rc = ngx_http_atls_ssl_complete(conf)
             ? ngx_http_atls_ssl_create(cf, conf)
             : ngx_http_atls_ssl_policy(cf, conf);

        if (rc != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return ngx_http_atls_merge_association(cf, conf, server) == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/*
 * Endpoints and servers have the keys where they are needed: a server with a
 * certificate may be selected at an endpoint of another one.
 */

static ngx_int_t
ngx_http_atls_merge_association(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *conf,
    ngx_uint_t server)
{
    ngx_uint_t  used;

    if (!conf->enable && !server) {
        return NGX_OK;
    }

    used = (conf->association || conf->association_accept);

    if (used && ngx_http_atls_associations_add(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    return used || (server && conf->ssl)
           ? ngx_http_atls_association_conf(cf, conf) : NGX_OK;
}


/* atls_association off | time [reuse] */

static char *
ngx_http_atls_association(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_atls_loc_conf_t *alcf = conf;

    ngx_str_t  *value;

    if (alcf->association != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    alcf->association_reuse = 0;

    if (cf->args->nelts == 3) {

        if (ngx_strcmp(value[2].data, "reuse") != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\"", &value[2]);
            return NGX_CONF_ERROR;
        }

        alcf->association_reuse = 1;

    } else if (ngx_strcmp(value[1].data, "off") == 0) {
        alcf->association = 0;

        return ngx_http_atls_note(cf, NULL, NULL);
    }

    alcf->association = ngx_parse_time(&value[1], 1);

    if (alcf->association == (time_t) NGX_ERROR || alcf->association == 0) {
        return "invalid value";
    }

    return ngx_http_atls_note(cf, NULL, NULL);
}


/* Core loads certificates with variables in handshakes: not supported. */

static char *
ngx_http_atls_check_certificate(ngx_conf_t *cf, void *post, void *data)
{
    ngx_str_t *value = data;

    if (ngx_http_script_variables_count(value)) {
        return "does not support variables";
    }

    return ngx_http_atls_note(cf, post, data);
}


static char *
ngx_http_atls_check_buffer_size(ngx_conf_t *cf, void *post, void *data)
{
    size_t *sp = data;

    if (*sp < 512 || *sp > TRL_MAX_PLAINTEXT) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "value must be between 512 and %d",
                           TRL_MAX_PLAINTEXT);
        return NGX_CONF_ERROR;
    }

    return ngx_http_atls_note(cf, post, data);
}


/* The zone is locked while a response is copied to it, or from it. */

static char *
ngx_http_atls_check_retry_buffer(ngx_conf_t *cf, void *post, void *data)
{
    size_t *sp = data;

    if (*sp > 1024 * 1024) {
        return "must be at most 1m";
    }

    return ngx_http_atls_note(cf, post, data);
}


static char *
ngx_http_atls_check_seconds(ngx_conf_t *cf, void *post, void *data)
{
    time_t *tp = data;

    if (*tp == 0) {
        return "must be at least 1 second";
    }

    return ngx_http_atls_note(cf, post, data);
}


static char *
ngx_http_atls_check_msec(ngx_conf_t *cf, void *post, void *data)
{
    ngx_msec_t *mp = data;

    if (*mp == 0) {
        return "must be at least 1 millisecond";
    }

    return ngx_http_atls_note(cf, post, data);
}


/*
 * Global data of the master are freed with the last configuration that uses
 * them, as the module may be unloaded then.
 */

static ngx_int_t
ngx_http_atls_add_cleanup(ngx_conf_t *cf)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_atls_cleanup;
    cln->data = ngx_http_conf_get_module_main_conf(cf, ngx_http_atls_module);

    return NGX_OK;
}


static void
ngx_http_atls_cleanup(void *data)
{
    ngx_http_atls_main_conf_t *amcf = data;

    if (amcf->running && --ngx_http_atls_nrunning == 0) {
        ngx_http_atls_mailbox_exit_module();
        ngx_http_atls_worker_exit_module();
    }
}


/* On reload, an error returned here would terminate the master. */

static ngx_int_t
ngx_http_atls_init_module(ngx_cycle_t *cycle)
{
    ngx_http_atls_main_conf_t  *amcf;

    amcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_atls_module);

    if (amcf == NULL || amcf->zone == NULL) {
        return NGX_OK;
    }

    amcf->running = 1;
    ngx_http_atls_nrunning++;

    ngx_http_atls_zone_init_module(amcf->zone);
    ngx_http_atls_endpoint_init_module(cycle);
    ngx_http_atls_worker_init_module(amcf->workers);
    ngx_http_atls_mailbox_init_module(cycle);

    return NGX_OK;
}


static ngx_int_t
ngx_http_atls_init_process(ngx_cycle_t *cycle)
{
    ngx_http_atls_main_conf_t  *amcf;

    amcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_atls_module);

    if (amcf == NULL || amcf->zone == NULL) {
        return NGX_OK;
    }

    ngx_http_atls_process_init(cycle);

    ngx_http_atls_worker_init_worker(cycle,
                               ngx_http_atls_mailbox_serial(ngx_process_slot));

    ngx_http_atls_counters_init_worker(amcf->counters);

    if (ngx_http_atls_ending_init_worker(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_atls_sweep_init_worker(amcf->zone, cycle->log);

    if (ngx_http_atls_ticket_init_worker(cycle->log) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_atls_mailbox_init_worker(cycle, ngx_http_atls_relayed_accept)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_atls_socket_init_worker(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    if (amcf->store == NULL) {
        return NGX_OK;
    }

    if (ngx_http_atls_redis_init_worker(cycle, amcf->store) != NGX_OK
        || ngx_http_atls_link_pool_init_worker(cycle) != NGX_OK
        || ngx_http_atls_drain_init_worker(amcf, cycle) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_atls_node_init_worker(amcf, cycle);
}


static void
ngx_http_atls_exit_process(ngx_cycle_t *cycle)
{
    if (ngx_http_atls_process.owner.id) {
        ngx_http_atls_drain_exit_worker();
        ngx_http_atls_link_pool_exit_worker();
        ngx_http_atls_redis_exit_worker();
        ngx_http_atls_mailbox_exit_worker(cycle->log);
        ngx_http_atls_ticket_exit_worker();
    }

    /* associations are accepted without sessions, too */

    trl_suite_cleanup();
    trl_hash_cleanup();
    trl_cipher_cleanup();
}


/*
 * Positions of directives, for errors found after the configuration is parsed,
 * and for directives without effect.
 */


#ifndef _NGX_HTTP_ATLS_NOTE_H_INCLUDED_
#define _NGX_HTTP_ATLS_NOTE_H_INCLUDED_


#include "ngx_http_atls.h"


/* The position of a directive. */

typedef struct {
    ngx_http_atls_loc_conf_t  *conf;           /* the level */
    ngx_uint_t                 in_location;    /* 1: that is a location */
    ngx_str_t                  name;
    ngx_str_t                  file;
    ngx_uint_t                 line;
} ngx_http_atls_note_t;


/*
 * Stores the position of the directive being parsed.  Called by its handler, or
 * used as its post handler.
 */

char *ngx_http_atls_note(ngx_conf_t *cf, void *post, void *data);

/*
 * Handlers as those of core, for directives that can't have a post handler: the
 * directive is remembered.
 */

char *ngx_http_atls_note_enum_slot(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_atls_note_bitmask_slot(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * Logs an error or a warning with the file and line of a directive: the first
 * one with the name that applies to a level.
 */

void ngx_http_atls_note_log(ngx_uint_t level, ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *conf, const char *name, const char *fmt, ...);

/*
 * Logs that the directive, the n-th with the name that applies to a level, is
 * invalid; defaults are not logged.  Returns NGX_ERROR.
 */

ngx_int_t ngx_http_atls_note_refuse(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *conf, const char *name, ngx_uint_t n);

/* Rejects directives in locations which are not endpoints and contain none. */

ngx_int_t ngx_http_atls_note_unused(ngx_conf_t *cf);


#endif /* _NGX_HTTP_ATLS_NOTE_H_INCLUDED_ */

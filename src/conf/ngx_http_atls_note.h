
/*
 * Where directives are: for what is found wrong after all is read, and for
 * those that have no effect where they are.
 */


#ifndef _NGX_HTTP_ATLS_NOTE_H_INCLUDED_
#define _NGX_HTTP_ATLS_NOTE_H_INCLUDED_


#include "ngx_http_atls.h"


/* Where a directive is. */

typedef struct {
    ngx_http_atls_loc_conf_t  *conf;           /* the level */
    ngx_uint_t                 in_location;    /* 1: that is a location */
    u_char                    *value;          /* the first one */
    ngx_str_t                  name;
    ngx_str_t                  file;
    ngx_uint_t                 line;
} ngx_http_atls_note_t;


/*
 * Remembers the directive that is being read.  To be called by its handler, or
 * to be its post handler.
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

/* By one of its values, as a string is kept; NULL for a default. */

ngx_http_atls_note_t *ngx_http_atls_note_value(ngx_conf_t *cf,
    ngx_str_t *value);

/*
 * By its name: the one that counts on a level, which may be of a level around
 * that; NULL for a default.
 */

ngx_http_atls_note_t *ngx_http_atls_note_name(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *conf, const char *name);

/* Says in the log that a directive, if there is one, is wrong: NGX_ERROR. */

ngx_int_t ngx_http_atls_note_refuse(ngx_conf_t *cf,
    ngx_http_atls_note_t *note);

/* Refuses directives in locations that are no endpoints, nor around one. */

ngx_int_t ngx_http_atls_note_unused(ngx_conf_t *cf);


#endif /* _NGX_HTTP_ATLS_NOTE_H_INCLUDED_ */

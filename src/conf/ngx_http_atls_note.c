
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_note.h"


static ngx_http_atls_note_t *ngx_http_atls_note_find(ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *conf, const char *name, ngx_uint_t n);


char *
ngx_http_atls_note(ngx_conf_t *cf, void *post, void *data)
{
    ngx_str_t                  *args;
    ngx_http_atls_note_t       *note;
    ngx_http_atls_main_conf_t  *amcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_atls_module);

    note = ngx_array_push(&amcf->notes);
    if (note == NULL) {
        return NGX_CONF_ERROR;
    }

    args = cf->args->elts;

    note->conf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_atls_module);
    note->in_location = (cf->cmd_type == NGX_HTTP_LOC_CONF);
    note->name = args[0];
    note->file = cf->conf_file->file.name;
    note->line = cf->conf_file->line;

    return NGX_CONF_OK;
}


char *
ngx_http_atls_note_enum_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *rv;

    rv = ngx_conf_set_enum_slot(cf, cmd, conf);

    return rv == NGX_CONF_OK ? ngx_http_atls_note(cf, NULL, NULL) : rv;
}


char *
ngx_http_atls_note_bitmask_slot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *rv;

    rv = ngx_conf_set_bitmask_slot(cf, cmd, conf);

    return rv == NGX_CONF_OK ? ngx_http_atls_note(cf, NULL, NULL) : rv;
}


void
ngx_http_atls_note_log(ngx_uint_t level, ngx_conf_t *cf,
    ngx_http_atls_loc_conf_t *conf, const char *name, const char *fmt, ...)
{
    u_char                 errstr[NGX_MAX_CONF_ERRSTR], *p;
    va_list                args;
    ngx_http_atls_note_t  *note;

    va_start(args, fmt);
    p = ngx_vslprintf(errstr, errstr + NGX_MAX_CONF_ERRSTR, fmt, args);
    va_end(args);

    note = ngx_http_atls_note_find(cf, conf, name, 0);

    if (note == NULL) {
        ngx_log_error(level, cf->log, 0, "%*s", p - errstr, errstr);
        return;
    }

    ngx_log_error(level, cf->log, 0, "%*s in %V:%ui",
                  p - errstr, errstr, &note->file, note->line);
}


ngx_int_t
ngx_http_atls_note_refuse(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *conf,
    const char *name, ngx_uint_t n)
{
    ngx_http_atls_note_t  *note;

    note = ngx_http_atls_note_find(cf, conf, name, n);

    if (note) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "invalid \"%V\" directive in %V:%ui",
                      &note->name, &note->file, note->line);
    }

    return NGX_ERROR;
}


/* All directives with the same name are inherited together. */

static ngx_http_atls_note_t *
ngx_http_atls_note_find(ngx_conf_t *cf, ngx_http_atls_loc_conf_t *conf,
    const char *name, ngx_uint_t n)
{
    ngx_uint_t                  i;
    ngx_http_atls_note_t       *note;
    ngx_http_atls_main_conf_t  *amcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_atls_module);

    note = amcf->notes.elts;

    for ( /* void */ ; conf; conf = conf->outer) {

        for (i = 0; i < amcf->notes.nelts; i++) {

            if (note[i].conf == conf
                && ngx_strcmp(note[i].name.data, name) == 0
                && n-- == 0)
            {
                return &note[i];
            }
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_atls_note_unused(ngx_conf_t *cf)
{
    ngx_uint_t                  i;
    ngx_http_atls_note_t       *note;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_atls_main_conf_t  *amcf;

    amcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_atls_module);

    note = amcf->notes.elts;

    for (i = 0; i < amcf->notes.nelts; i++) {

        if (!note[i].in_location || note[i].conf->used) {
            continue;
        }

        clcf = note[i].conf->loc_conf[ngx_http_core_module.ctx_index];

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%V\" has no effect in location \"%V\" without "
                      "\"atls on\" in %V:%ui",
                      &note[i].name, &clcf->name, &note[i].file,
                      note[i].line);
        return NGX_ERROR;
    }

    return NGX_OK;
}

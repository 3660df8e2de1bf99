
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


/*
 * An nginx whose first worker fills the session table at its start, for
 * t/bench/reload.pl: a million handshakes would take many minutes.
 *
 * The linker replaces a function of the module by the one in this file, see
 * build.sh.  The environment variable ATLS_BENCH_FILL is the name of a file
 * with the number of sessions.  The worker that removes the file fills the
 * table.
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_session_pieces.h"


#define FILL_TIMEOUT  3600


ngx_int_t __real_ngx_http_atls_socket_init_worker(ngx_cycle_t *cycle);
ngx_int_t __wrap_ngx_http_atls_socket_init_worker(ngx_cycle_t *cycle);

static ngx_int_t fill(ngx_cycle_t *cycle, ngx_uint_t n);


ngx_int_t
__wrap_ngx_http_atls_socket_init_worker(ngx_cycle_t *cycle)
{
    int         n;
    FILE       *f;
    const char *name;

    name = getenv("ATLS_BENCH_FILL");

    f = name ? fopen(name, "r") : NULL;

    if (f) {

        if (fscanf(f, "%d", &n) != 1
            || (unlink(name) == 0 && fill(cycle, n) != NGX_OK))
        {
            return NGX_ERROR;
        }

        fclose(f);
    }

    return __real_ngx_http_atls_socket_init_worker(cycle);
}


static ngx_int_t
fill(ngx_cycle_t *cycle, ngx_uint_t n)
{
    ngx_str_t                         sni;
    ngx_uint_t                        i;
    ngx_http_atls_session_t          *session;
    ngx_http_atls_main_conf_t        *amcf;
    static ngx_http_atls_loc_conf_t   alcf;

    amcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_atls_module);

    alcf.endpoint = 1;
    alcf.session_timeout = FILL_TIMEOUT;
    alcf.session_lifetime = FILL_TIMEOUT;

    ngx_str_set(&sni, "localhost");

    for (i = 0; i < n; i++) {

        session = ngx_http_atls_session_create(amcf, &alcf, cycle->log);

        if (session == NULL
            || ngx_http_atls_session_name(amcf->zone, session, &sni) != NGX_OK)
        {
            return NGX_ERROR;
        }

        ngx_memset(&session->state, 1, sizeof(trl_state_t));

        if (ngx_http_atls_session_establish(amcf->zone, session, cycle->log)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        ngx_http_atls_session_put(amcf->zone, session, NULL);
    }

    ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0, "filled: %ui sessions", n);

    return NGX_OK;
}

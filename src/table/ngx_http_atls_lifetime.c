
/*
 * Copyright (C) The ngx_http_atls_module authors
 */


#include "ngx_http_atls.h"
#include "ngx_http_atls_conf.h"
#include "ngx_http_atls_clock.h"
#include "ngx_http_atls_session.h"
#include "ngx_http_atls_lifetime.h"


/*
 * The part of the idle timeout after which a used session gets its cookie
 * again.  By at most this part, the cookie expires before the session.
 */

#define NGX_HTTP_ATLS_LIFETIME_PART  60


static time_t ngx_http_atls_lifetime_whole(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf);
static time_t ngx_http_atls_lifetime_idle(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf);
static time_t ngx_http_atls_lifetime_until(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf, int64_t used, ngx_uint_t unfinished);
static ngx_uint_t ngx_http_atls_lifetime_known(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf, time_t until);
static time_t ngx_http_atls_lifetime_age(ngx_http_atls_session_t *session,
    time_t until);


ngx_uint_t
ngx_http_atls_lifetime_over(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf)
{
    return ngx_http_atls_clock_since(session->created)
           >= ngx_http_atls_lifetime_whole(session, alcf);
}


ngx_uint_t
ngx_http_atls_lifetime_expired(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf)
{
    return ngx_http_atls_clock_since(session->used)
           >= ngx_http_atls_lifetime_idle(session, alcf)
           || ngx_http_atls_lifetime_over(session, alcf);
}


/*
 * A lifetime reduced by a reload also reduces the rest of the session.  A
 * worker that is shutting down may have an older configuration than the
 * session.
 */

static time_t
ngx_http_atls_lifetime_whole(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf)
{
    time_t  lifetime;

    lifetime = session->lifetime;

    if (alcf && !ngx_exiting && alcf->session_lifetime < session->whole) {
        lifetime -= session->whole - alcf->session_lifetime;
    }

    return lifetime;
}


static time_t
ngx_http_atls_lifetime_idle(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf)
{
    time_t  timeout;

    timeout = session->timeout;

    if (alcf && !ngx_exiting) {
        timeout = ngx_min(timeout, alcf->session_timeout);
    }

    return timeout;
}


time_t
ngx_http_atls_lifetime_cookie(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf, int64_t used, ngx_uint_t unfinished)
{
    time_t  until;

    until = ngx_http_atls_lifetime_until(session, alcf, used, unfinished);

    if (ngx_http_atls_lifetime_known(session, alcf, until)) {
        return 0;
    }

    session->cookie = (int32_t) until;

    return ngx_http_atls_lifetime_age(session, until);
}


time_t
ngx_http_atls_lifetime_poll(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf)
{
    time_t  until;

    until = ngx_http_atls_lifetime_until(session, alcf, ngx_http_atls_clock(),
                                         1);

    return ngx_http_atls_lifetime_known(session, alcf, until)
           ? 0 : ngx_http_atls_lifetime_age(session, until);
}


time_t
ngx_http_atls_lifetime_rest(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf)
{
    time_t  until;

    if (session->cookie == 0) {
        return 0;
    }

    until = ngx_http_atls_lifetime_until(session, alcf, session->used,
                                         session->inner != NULL);

    return ngx_http_atls_lifetime_age(session, ngx_max(until, session->cookie));
}


/* When the cookie expires, in seconds since the session was created. */

static time_t
ngx_http_atls_lifetime_until(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf, int64_t used, ngx_uint_t unfinished)
{
    time_t  until, end;

    until = (time_t) ((used - session->created) / 1000)
            + ngx_http_atls_lifetime_idle(session, alcf);
    end = ngx_http_atls_lifetime_whole(session, alcf);

    if (!session->established) {
        until = ngx_max(ngx_min(until, end),
                        (time_t) ((alcf->handshake_timeout + 999) / 1000));

    } else {
        until = unfinished ? ngx_max(until, end) : ngx_min(until, end);
    }

    return ngx_min(until, (time_t) NGX_MAX_INT32_VALUE);
}


/* Whether the cookie of the client expires at that time, or nearly so. */

static ngx_uint_t
ngx_http_atls_lifetime_known(ngx_http_atls_session_t *session,
    ngx_http_atls_loc_conf_t *alcf, time_t until)
{
    time_t  part;

    part = ngx_http_atls_lifetime_idle(session, alcf)
           / NGX_HTTP_ATLS_LIFETIME_PART;

    return session->cookie && until >= session->cookie
           && until - session->cookie <= part;
}


static time_t
ngx_http_atls_lifetime_age(ngx_http_atls_session_t *session, time_t until)
{
    time_t  age;

    age = until - ngx_http_atls_clock_since(session->created);

    return ngx_max(age, 1);
}

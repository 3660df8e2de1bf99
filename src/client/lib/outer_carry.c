
/*
 * POSTs without libcurl, see outer_carry.h.
 */


#include <string.h>

#include "http.h"
#include "outer_carry.h"
#include "outer_io.h"
#include "outer_session.h"
#include "outer_struct.h"


static void atls_outer_callbacks(atls_outer_t *outer, atls_request_t *request,
    const atls_response_t *response);
static int atls_outer_repost_status(void *data, int status, const char *reason);
static int atls_outer_repost_header(void *data, const char *name,
    const char *value);
static int atls_outer_repost_body(void *data, const void *bytes, size_t n);
static int atls_outer_repost_wait(void *data);


CURLcode
atls_outer_carry(atls_outer_t *outer, const void *bytes, size_t n)
{
    char                   *path;
    CURLcode                code;
    atls_request_t          request;
    atls_transport_post_t   post;

    if (outer->source) {
        return CURLE_NOT_BUILT_IN;
    }

    if (curl_url_get(atls_outer_url_now(outer), CURLUPART_PATH, &path, 0)
        != CURLUE_OK)
    {
        return CURLE_OUT_OF_MEMORY;
    }

    memset(&post, 0, sizeof(atls_transport_post_t));

    post.path = path;
    post.first = outer->post.number == 1;
    post.bytes = bytes;
    post.n = n;
    post.deadline = outer->deadline;
    post.idle_timeout = outer->idle_timeout;
    post.debug = &outer->debug;

    atls_outer_callbacks(outer, &request, &outer->carrier.response);

    code = atls_carrier_post(&outer->carrier, &post, &request, outer->error);

    outer->reply.http = "";                 /* it is not HTTP */

    curl_free(path);

    return code;
}


/* The functions for a response that is not received by libcurl. */

static void
atls_outer_callbacks(atls_outer_t *outer, atls_request_t *request,
    const atls_response_t *response)
{
    memset(request, 0, sizeof(atls_request_t));

    request->on_status = atls_outer_repost_status;
    request->on_header = atls_outer_repost_header;
    request->on_body = atls_outer_repost_body;
    request->on_wait = atls_outer_repost_wait;
    request->data = outer;

    outer->response = response;
}


CURLcode
atls_outer_repost(atls_outer_t *outer, const void *bytes, size_t n)
{
    CURLcode            code;
    atls_repost_post_t  post;

    outer->repost.sent = 0;

    if (!outer->simple || outer->source || outer->again
        || atls_outer_expired(outer))
    {
        return CURLE_GOT_NOTHING;
    }

    memset(&post, 0, sizeof(atls_repost_post_t));

    post.bytes = bytes;
    post.n = n;
    post.deadline = outer->deadline;
    post.idle_timeout = outer->idle_timeout;

    atls_outer_callbacks(outer, &post.request, &outer->repost.response);

    code = atls_repost_send(&outer->repost, outer->curl, &post);

    if (code != CURLE_GOT_NOTHING) {
        outer->kept = code == CURLE_OK && atls_repost_kept(&outer->repost);
    }

    return code;
}


static int
atls_outer_repost_status(void *data, int status, const char *reason)
{
    atls_outer_t  *outer = data;

    (void) reason;

    atls_reply_set(&outer->reply, status, outer->response->minor,
                   &outer->response->lines);

    return 0;
}


/* libcurl has the cookies of the session: they may be needed by it. */

static int
atls_outer_repost_header(void *data, const char *name, const char *value)
{
    atls_outer_t  *outer = data;

    return atls_http_is_name(name, "Set-Cookie")
           ? atls_cookies_set(outer->curl, atls_outer_url_now(outer), value)
           : 0;
}


static int
atls_outer_repost_body(void *data, const void *bytes, size_t n)
{
    return atls_outer_write((char *) bytes, 1, n, data) == n ? 0 : -1;
}


static int
atls_outer_repost_wait(void *data)
{
    return atls_outer_progress(data, 0, 0, 0, 0);
}

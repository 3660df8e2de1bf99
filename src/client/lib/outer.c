
/*
 * The outer connection, see outer.h.  One easy handle of libcurl is used for
 * all POSTs, or its connection, see repost.h.
 */


#include <limits.h>
#include <poll.h>
#include <stdlib.h>

#include "clock.h"
#include "outer_carry.h"
#include "outer_connection.h"
#include "outer_io.h"
#include "outer_result.h"
#include "outer_session.h"
#include "outer_setup.h"
#include "outer_struct.h"
#include "peer.h"


#define ATLS_OUTER_SLICE    100             /* milliseconds between calls of
                                               wait() in a pause */


static atls_error_e atls_outer_perform(atls_outer_t *outer, const void *bytes,
    size_t n, atls_sink_pt sink, void *data);
static void atls_outer_prepare(atls_outer_t *outer, size_t n,
    atls_sink_pt sink, void *data);
static void atls_outer_started(atls_outer_t *outer, size_t n,
    atls_sink_pt sink, void *data);
static CURLcode atls_outer_easy(atls_outer_t *outer, const void *bytes,
    size_t n, long timeout);
static CURLcode atls_outer_ended(atls_outer_t *outer, CURLcode code,
    int64_t began);


atls_outer_t *
atls_outer_create(const atls_outer_conf_t *conf, atls_failure_t *failure)
{
    atls_outer_t  *outer;

    outer = calloc(1, sizeof(atls_outer_t));
    if (outer == NULL) {
        atls_fail_memory(failure);
        return NULL;
    }

    outer->failure = failure;
    outer->debug = conf->debug;
    outer->proxied = conf->route.proxy && *conf->route.proxy;
    outer->idle_timeout = conf->idle_timeout;

    outer->seen.debug = conf->debug;
    atls_seen_clear(&outer->seen);
    atls_peer_parse(&outer->seen.peer, conf->url);

    if (conf->trust && X509_STORE_up_ref(conf->trust) == 1) {
        outer->seen.trust = conf->trust;
    }

    outer->curl = curl_easy_init();
    atls_reply_init(&outer->reply, outer->curl);

    if (outer->curl == NULL || atls_outer_check(outer, conf) == -1
        || atls_outer_setup(outer, conf) == -1)
    {

        if (failure->error == ATLS_OK) {
            atls_fail_memory(failure);
        }

        atls_outer_free(outer);
        return NULL;
    }

    outer->simple = !outer->secure && conf->route.rate == 0
                    && conf->debug.handler == NULL
                    && outer->carrier.handle == NULL;

    return outer;
}


void
atls_outer_free(atls_outer_t *outer)
{
    if (outer == NULL) {
        return;
    }

    /* messages about closing connections are not useful */

    outer->debug.handler = NULL;

    curl_easy_cleanup(outer->curl);
    curl_url_cleanup(outer->url);
    atls_location_clear(&outer->location);
    curl_slist_free_all(outer->headers);
    curl_slist_free_all(outer->message_headers);
    free(outer->session);
    atls_route_free(&outer->route);

    atls_seen_clear(&outer->seen);
    atls_peer_free(&outer->seen.peer);
    X509_STORE_free(outer->seen.trust);
    atls_reply_free(&outer->reply);
    atls_repost_free(&outer->repost);
    atls_carrier_close(&outer->carrier);
    free(outer);
}


atls_error_e
atls_outer_post(atls_outer_t *outer, const void *bytes, size_t n,
    atls_sink_pt sink, void *data)
{
    outer->source = NULL;

    return atls_outer_perform(outer, bytes ? bytes : "", n, sink, data);
}


void
atls_outer_set_message(atls_outer_t *outer, int message)
{
    if (outer->reply.message == message) {
        return;
    }

    outer->reply.message = message;
    atls_repost_clear(&outer->repost);

    curl_easy_setopt(outer->curl, CURLOPT_HTTPHEADER,
                     message ? outer->message_headers : outer->headers);
}


atls_error_e
atls_outer_again(atls_outer_t *outer, const void *bytes, size_t n,
    atls_sink_pt sink, void *data)
{
    atls_error_e  rc;

    outer->source = NULL;

    if (outer->post.number) {
        outer->post.number--;
    }

    outer->again = 1;
    rc = atls_outer_perform(outer, bytes, n, sink, data);
    outer->again = 0;

    return rc;
}


atls_error_e
atls_outer_pause(atls_outer_t *outer, int64_t time)
{
    int64_t  rest, until;

    until = atls_clock() + time;

    if (outer->deadline && outer->deadline <= until) {
        return ATLS_ERROR_TIMEOUT;
    }

    for (rest = time; rest > 0; rest = until - atls_clock()) {

        if (outer->wait && outer->wait(outer->wait_data) != 0) {
            return atls_fail(outer->failure, ATLS_ERROR_ABORTED,
                             "aborted between two POSTs");
        }

        (void) poll(NULL, 0, rest < ATLS_OUTER_SLICE ? (int) rest
                                                     : ATLS_OUTER_SLICE);
    }

    return ATLS_OK;
}


atls_error_e
atls_outer_stream(atls_outer_t *outer, size_t n, atls_source_pt source,
    atls_sink_pt sink, void *data)
{
    outer->source = source;

    return atls_outer_perform(outer, NULL, n, sink, data);
}


void
atls_outer_resume(atls_outer_t *outer)
{
    curl_easy_pause(outer->curl, CURLPAUSE_CONT);
}


static atls_error_e
atls_outer_perform(atls_outer_t *outer, const void *bytes, size_t n,
    atls_sink_pt sink, void *data)
{
    int64_t   timeout;
    CURLcode  code;

    timeout = 0;

    if (outer->deadline) {
        timeout = outer->deadline - atls_clock();

        if (timeout <= 0) {
            return atls_fail(outer->failure, ATLS_ERROR_TIMEOUT,
                             "no time left for a POST");
        }

        if (timeout > INT_MAX) {
            timeout = INT_MAX;
        }
    }

    atls_outer_prepare(outer, n, sink, data);

    code = outer->carrier.handle ? atls_outer_carry(outer, bytes, n)
                                 : atls_outer_repost(outer, bytes, n);

    outer->reposted = code != CURLE_GOT_NOTHING || outer->carrier.handle;

    if (!outer->reposted) {
        code = atls_outer_easy(outer, bytes, n, (long) timeout);
    }

    outer->code = code;

    return atls_outer_result(outer, code);
}


static void
atls_outer_prepare(atls_outer_t *outer, size_t n, atls_sink_pt sink,
    void *data)
{
    outer->sink = sink;
    outer->sink_data = data;
    outer->sink_error = ATLS_OK;
    outer->headed = 0;
    outer->waits = 0;
    outer->lost = 0;
    atls_reply_clear(&outer->reply);
    outer->error[0] = '\0';
    outer->posts++;
    outer->post.number++;
    outer->post.size = n;

    if (outer->source && n == 0) {
        atls_debug(&outer->debug, ATLS_DEBUG_OUTER, "POST %u: open",
                   outer->posts);
        return;
    }

    atls_debug(&outer->debug, ATLS_DEBUG_OUTER, "POST %u: %zu byte%s",
               outer->posts, n, n == 1 ? "" : "s");
}


void
atls_outer_start(atls_outer_t *outer, const void *bytes, size_t n, int again,
    atls_sink_pt sink, void *data)
{
    outer->source = NULL;

    curl_easy_setopt(outer->curl, CURLOPT_FRESH_CONNECT, again ? 1L : 0L);
    curl_easy_setopt(outer->curl, CURLOPT_POSTFIELDS, n ? bytes : "");
    curl_easy_setopt(outer->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) n);
    atls_sockets_watch(NULL, outer->curl);

    atls_outer_started(outer, n, sink, data);
}


/* In HTTP/1.1, it is chunked. */

void
atls_outer_start_open(atls_outer_t *outer, atls_source_pt source,
    atls_sink_pt sink, void *data)
{
    outer->source = source;

    curl_easy_setopt(outer->curl, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(outer->curl, CURLOPT_POSTFIELDS, NULL);
    curl_easy_setopt(outer->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) -1);
    atls_sockets_watch(&outer->sockets, outer->curl);

    atls_outer_started(outer, 0, sink, data);
}


static void
atls_outer_started(atls_outer_t *outer, size_t n, atls_sink_pt sink, void *data)
{
    outer->reposted = 0;
    atls_repost_clear(&outer->repost);

    curl_easy_setopt(outer->curl, CURLOPT_CURLU, atls_outer_url_now(outer));
    curl_easy_setopt(outer->curl, CURLOPT_TIMEOUT_MS, 0L);

    atls_outer_prepare(outer, n, sink, data);

    outer->began = atls_clock_us();
}


void
atls_outer_set_once(atls_outer_t *outer)
{
    curl_easy_setopt(outer->curl, CURLOPT_PREREQFUNCTION, atls_outer_once);
    curl_easy_setopt(outer->curl, CURLOPT_PREREQDATA, outer);
}


int
atls_outer_is_closed(const atls_outer_t *outer)
{
    return atls_sockets_ended(&outer->sockets);
}


atls_error_e
atls_outer_end(atls_outer_t *outer, int code)
{
    outer->code = (CURLcode) code;

    if (outer->lost) {
        outer->code = CURLE_GOT_NOTHING;
        outer->error[0] = '\0';
    }

    outer->code = atls_outer_ended(outer, outer->code, outer->began);

    return atls_outer_result(outer, outer->code);
}


void *
atls_outer_handle(const atls_outer_t *outer)
{
    return outer->curl;
}


void
atls_outer_set_full(atls_outer_t *outer, int (*full)(void *data))
{
    outer->full = full;
}


/*
 * Certificates are recorded by the first connection only.  Lists of the options
 * belong to it, too.
 */

atls_outer_t *
atls_outer_clone(const atls_outer_t *outer)
{
    CURL          *curl;
    atls_outer_t  *clone;

    clone = calloc(1, sizeof(atls_outer_t));
    curl = clone ? curl_easy_duphandle(outer->curl) : NULL;

    if (curl == NULL) {
        free(clone);
        return NULL;
    }

    clone->curl = curl;
    clone->url = curl_url_dup(outer->url);
    clone->failure = outer->failure;
    clone->debug = outer->debug;
    clone->proxied = outer->proxied;
    clone->secure = outer->secure;
    clone->seen.debug = outer->debug;

    atls_reply_init(&clone->reply, curl);

    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, clone->error);
    curl_easy_setopt(curl, CURLOPT_READDATA, clone);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, clone);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, clone);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, clone);
    curl_easy_setopt(curl, CURLOPT_DEBUGDATA, clone);
    curl_easy_setopt(curl, CURLOPT_SSL_CTX_FUNCTION, NULL);

    if (clone->url == NULL || atls_outer_join(clone, outer) == -1) {
        atls_outer_free(clone);
        return NULL;
    }

    return clone;
}


static CURLcode
atls_outer_easy(atls_outer_t *outer, const void *bytes, size_t n, long timeout)
{
    int64_t   began;
    CURLcode  code;

    curl_easy_setopt(outer->curl, CURLOPT_CURLU, atls_outer_url_now(outer));
    curl_easy_setopt(outer->curl, CURLOPT_TIMEOUT_MS, timeout);

    /* a stream could not be repeated if an existing connection was closed */

    curl_easy_setopt(outer->curl, CURLOPT_FRESH_CONNECT,
                     outer->source || outer->again ? 1L : 0L);
    curl_easy_setopt(outer->curl, CURLOPT_POSTFIELDS, bytes);
    curl_easy_setopt(outer->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) n);

    /* the first POST has no cookies yet */

    if (outer->simple && outer->post.number > 1) {
        atls_repost_record(&outer->repost, outer->curl);
    }

    began = atls_clock_us();
    code = outer->code = curl_easy_perform(outer->curl);

    if (outer->simple) {
        atls_repost_recorded(&outer->repost, outer->curl);
    }

    return atls_outer_ended(outer, code, began);
}


static CURLcode
atls_outer_ended(atls_outer_t *outer, CURLcode code, int64_t began)
{
    /* libcurl accepts a header without an end */

    if (code == CURLE_OK && !outer->headed
        && outer->reply.kind == ATLS_REPLY_UNKNOWN)
    {
        code = CURLE_RECV_ERROR;
        snprintf(outer->error, sizeof(outer->error),
                 "the connection was closed within the response header");
    }

    atls_outer_look(outer, began);

    return code;
}


void
atls_outer_set_deadline(atls_outer_t *outer, int64_t deadline)
{
    outer->deadline = deadline;
}


int
atls_outer_is_late(const atls_outer_t *outer)
{
    return outer->deadline && outer->deadline <= atls_clock();
}


void
atls_outer_set_wait(atls_outer_t *outer, int (*wait)(void *data), void *data)
{
    outer->wait = wait;
    outer->wait_data = data;
}


int
atls_outer_is_secure(const atls_outer_t *outer)
{
    return outer->secure;
}


int
atls_outer_is_carried(const atls_outer_t *outer)
{
    return outer->carrier.handle != NULL;
}

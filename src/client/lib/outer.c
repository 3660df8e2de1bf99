
/*
 * The outer connection, see outer.h.  One easy handle of libcurl is used for
 * all POSTs, or its connection, see repost.h.
 */


#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "clock.h"
#include "expiry.h"
#include "http.h"
#include "location.h"
#include "outer.h"
#include "peer.h"
#include "reply.h"
#include "repost.h"
#include "seen.h"
#include "sockets.h"


#define ATLS_OUTER_SLICE    100             /* milliseconds between calls of
                                               wait() in a pause */


struct atls_outer_s {
    CURL                *curl;
    CURLU               *url;               /* of the endpoint */
    atls_location_t      location;          /* of the session */
    struct curl_slist   *headers;
    struct curl_slist   *message_headers;
    char                *session;           /* its identifier */
    atls_route_t         route;
    atls_failure_t      *failure;
    atls_debug_t         debug;
    atls_seen_t          seen;
    atls_sockets_t       sockets;           /* of open POSTs */
    int                  proxied;           /* a proxy is used */
    int                  secure;            /* the URL is https */
    int                  simple;            /* libcurl is not always needed */
    int64_t              idle_timeout;

    int64_t              deadline;          /* 0: none */
    int                (*wait)(void *data);
    void                *wait_data;

    atls_repost_t        repost;
    atls_carrier_t       carrier;           /* instead of libcurl */
    const atls_response_t  *response;       /* of these two */
    atls_reply_t         reply;
    atls_reply_post_t    post;
    atls_expiry_t        expiry;
    CURLcode             code;
    struct {
        CURLcode         code;
        int              status;
        long             retry_after;
    } marked;                               /* an earlier result */
    unsigned             posts;
    int                  kept;              /* the connection is kept alive */
    int                  reposted;          /* the last POST */
    int                  again;             /* it is repeated */

    /* the current transfer; times by atls_clock_us() */

    unsigned             connections;
    int64_t              resolved;
    int64_t              connected;

    /* the current POST */

    atls_source_pt       source;            /* NULL: the body is in memory */
    atls_sink_pt         sink;
    int                (*full)(void *data); /* or NULL */
    void                *sink_data;         /* of all */
    int64_t              began;
    atls_error_e         sink_error;        /* or of Location */
    int                  headed;            /* the response header is
                                               complete */
    char                 error[CURL_ERROR_SIZE];
};


static int atls_outer_check(atls_outer_t *outer,
    const atls_outer_conf_t *conf);
static int atls_outer_setup(atls_outer_t *outer, const atls_outer_conf_t *conf);
static int atls_outer_url(atls_outer_t *outer, const char *text);
static int atls_outer_headers(atls_outer_t *outer,
    const atls_outer_conf_t *conf);
static int atls_outer_fields(struct curl_slist **list,
    const char *const *fields, const atls_outer_conf_t *conf);
static int atls_outer_http(atls_outer_t *outer, const atls_outer_conf_t *conf);
static void atls_outer_tls(atls_outer_t *outer);
static CURLcode atls_outer_ssl_ctx(CURL *curl, void *ssl_ctx, void *data);
static int atls_outer_debug(CURL *curl, curl_infotype type, char *text,
    size_t n, void *data);
static int atls_outer_is_location(CURL *curl, const char *text, size_t n);
static int atls_outer_progress(void *data, curl_off_t dltotal,
    curl_off_t dlnow, curl_off_t ultotal, curl_off_t ulnow);
static atls_error_e atls_outer_perform(atls_outer_t *outer, const void *bytes,
    size_t n, atls_sink_pt sink, void *data);
static void atls_outer_prepare(atls_outer_t *outer, size_t n,
    atls_sink_pt sink, void *data);
static void atls_outer_started(atls_outer_t *outer, size_t n,
    atls_sink_pt sink, void *data);
static CURLcode atls_outer_carry(atls_outer_t *outer, const void *bytes,
    size_t n);
static void atls_outer_callbacks(atls_outer_t *outer, atls_request_t *request,
    const atls_response_t *response);
static CURLcode atls_outer_repost(atls_outer_t *outer, const void *bytes,
    size_t n);
static int atls_outer_repost_status(void *data, int status, const char *reason);
static int atls_outer_repost_header(void *data, const char *name,
    const char *value);
static int atls_outer_repost_body(void *data, const void *bytes, size_t n);
static int atls_outer_repost_wait(void *data);
static CURLcode atls_outer_easy(atls_outer_t *outer, const void *bytes,
    size_t n, long timeout);
static CURLcode atls_outer_ended(atls_outer_t *outer, CURLcode code,
    int64_t began);
static void atls_outer_look(atls_outer_t *outer, int64_t began);
static CURLU *atls_outer_url_now(atls_outer_t *outer);
static atls_error_e atls_outer_result(atls_outer_t *outer, CURLcode code);
static size_t atls_outer_read(char *buf, size_t size, size_t n, void *data);
static size_t atls_outer_header(char *line, size_t size, size_t n, void *data);
static size_t atls_outer_write(char *bytes, size_t size, size_t n, void *data);
static void atls_outer_begin(atls_outer_t *outer);
static void atls_outer_follow(atls_outer_t *outer);
static curl_socket_t atls_outer_socket(const atls_outer_t *outer);
static void atls_outer_look_tls(atls_outer_t *outer);
static void atls_outer_look_times(atls_outer_t *outer, int64_t began);
static atls_error_e atls_outer_curl_error(atls_outer_t *outer, CURLcode code);
static atls_error_e atls_outer_code(atls_outer_t *outer, CURLcode code);
static int atls_outer_uses_proxy(const atls_outer_t *outer);


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


/* Rejects values that libcurl would accept. */

static int
atls_outer_check(atls_outer_t *outer, const atls_outer_conf_t *conf)
{
    if (conf->transport.create
        && atls_carrier_open(&outer->carrier, &conf->transport, conf->url,
                             &conf->route, outer->failure)
           == -1)
    {
        return -1;
    }

    if (atls_outer_url(outer, conf->url) == -1) {
        atls_fail(outer->failure, ATLS_ERROR_USAGE,
                  "the endpoint \"%s\" is not an http or https URL", conf->url);
        return -1;
    }

    if (outer->seen.peer.host == NULL && outer->carrier.handle == NULL) {
        atls_fail(outer->failure, ATLS_ERROR_USAGE,
                  "no host in the endpoint \"%s\"", conf->url);
        return -1;
    }

    if (conf->user_agent
        && !atls_http_is_value(conf->user_agent, strlen(conf->user_agent)))
    {
        atls_fail(outer->failure, ATLS_ERROR_USAGE,
                  "invalid outer User-Agent \"%s\"",
                  conf->user_agent);
        return -1;
    }

    return 0;
}


static int
atls_outer_setup(atls_outer_t *outer, const atls_outer_conf_t *conf)
{
    CURL  *curl = outer->curl;

    if (curl_easy_setopt(curl, CURLOPT_USERAGENT,
                            conf->user_agent ? conf->user_agent
                                             : "libatls/" ATLS_VERSION)
           != CURLE_OK
        || curl_easy_setopt(curl, CURLOPT_USERPWD, conf->user) != CURLE_OK
        || curl_easy_setopt(curl, CURLOPT_COOKIEFILE, "") != CURLE_OK)
    {
        return -1;
    }

#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS,
                     (long) (CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif

    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, outer->error);

    curl_easy_setopt(curl, CURLOPT_READFUNCTION, atls_outer_read);
    curl_easy_setopt(curl, CURLOPT_READDATA, outer);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, atls_outer_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, outer);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, atls_outer_write);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, outer);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, atls_outer_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, outer);

    if (conf->idle_timeout) {
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME,
                         (long) ((conf->idle_timeout + 999) / 1000));
    }

    if (conf->debug.handler) {
        curl_easy_setopt(curl, CURLOPT_VERBOSE, 1L);
        curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, atls_outer_debug);
        curl_easy_setopt(curl, CURLOPT_DEBUGDATA, outer);
    }

    atls_outer_tls(outer);

    if (atls_outer_headers(outer, conf) == -1
        || atls_route_set(&outer->route, curl, &conf->route, outer->failure)
           == -1)
    {
        return -1;
    }

    return atls_outer_http(outer, conf);
}


static int
atls_outer_url(atls_outer_t *outer, const char *text)
{
    int    good;
    char  *scheme;

    outer->url = curl_url();
    scheme = NULL;

    good = outer->url
           && curl_url_set(outer->url, CURLUPART_URL, text,
                           CURLU_NON_SUPPORT_SCHEME)
              == CURLUE_OK
           && curl_url_get(outer->url, CURLUPART_SCHEME, &scheme, 0)
              == CURLUE_OK;

    outer->secure = good && strcasecmp(scheme, "https") == 0;

    /* other schemes are those of the transport */

    good = good && (outer->secure || outer->carrier.handle
                    || strcasecmp(scheme, "http") == 0);

    curl_free(scheme);

    return good ? 0 : -1;
}


static int
atls_outer_headers(atls_outer_t *outer, const atls_outer_conf_t *conf)
{
    /* Expect would cost a round trip for each large POST */

    static const char *const  records[] = {
        "Content-Type: " ATLS_MEDIA_TYPE,
        "Accept: " ATLS_MEDIA_TYPE,
        "Expect:",
        NULL
    };

    static const char *const  message[] = {
        "Content-Type: " ATLS_MESSAGE_TYPE,
        "Content-Encoding: " ATLS_MESSAGE_CODING,
        "Accept: " ATLS_MESSAGE_TYPE,
        "Accept-Encoding: " ATLS_MESSAGE_CODING,
        "Expect:",
        NULL
    };

    if (atls_outer_fields(&outer->headers, records, conf) == -1
        || atls_outer_fields(&outer->message_headers, message, conf) == -1)
    {
        return -1;
    }

    curl_easy_setopt(outer->curl, CURLOPT_HTTPHEADER, outer->headers);

    return 0;
}


static int
atls_outer_fields(struct curl_slist **list, const char *const *fields,
    const atls_outer_conf_t *conf)
{
    return atls_route_append(list, fields) == -1
           || atls_route_append(list, conf->headers) == -1
           ? -1 : 0;
}


static int
atls_outer_http(atls_outer_t *outer, const atls_outer_conf_t *conf)
{
    size_t  i;

    static const struct {
        const char   *name;
        long          version;
    } versions[] = {
        { "1.0",      CURL_HTTP_VERSION_1_0 },
        { "1.1",      CURL_HTTP_VERSION_1_1 },
        { "2",        CURL_HTTP_VERSION_2TLS },
        { "2-direct", CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE },
        { "3",        CURL_HTTP_VERSION_3 },
    };

    if (conf->http == NULL) {
        return 0;
    }

    /* reuse fails in libcurl 7.88, curl's pull request 10643 */

    if (strcmp(conf->http, "2-direct") == 0
        && curl_version_info(CURLVERSION_NOW)->version_num >> 8 == 0x0758)
    {
        curl_easy_setopt(outer->curl, CURLOPT_FORBID_REUSE, 1L);
    }

    for (i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {

        if (strcmp(conf->http, versions[i].name) == 0
            && curl_easy_setopt(outer->curl, CURLOPT_HTTP_VERSION,
                                versions[i].version)
               == CURLE_OK)
        {
            return 0;
        }
    }

    atls_fail(outer->failure, ATLS_ERROR_USAGE,
              "HTTP version not supported by libcurl: \"%s\"", conf->http);

    return -1;
}


/*
 * The endpoint is not verified, so libcurl does not have to load trusted
 * certificates for each connection.  It still does so for a proxy.
 */

static void
atls_outer_tls(atls_outer_t *outer)
{
    CURL  *curl = outer->curl;

    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(curl, CURLOPT_CAINFO, NULL);
    curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);

    if (atls_seen_same_openssl()) {
        curl_easy_setopt(curl, CURLOPT_SSL_CTX_FUNCTION, atls_outer_ssl_ctx);
        curl_easy_setopt(curl, CURLOPT_SSL_CTX_DATA, outer);
    }
}


static CURLcode
atls_outer_ssl_ctx(CURL *curl, void *ssl_ctx, void *data)
{
    atls_outer_t  *outer = data;

    (void) curl;

    atls_seen_watch(&outer->seen, ssl_ctx);

    return CURLE_OK;
}


static int
atls_outer_debug(CURL *curl, curl_infotype type, char *text, size_t n,
    void *data)
{
    atls_outer_t  *outer = data;

    switch (type) {

    case CURLINFO_TEXT:
        atls_debug_lines(&outer->debug, ATLS_DEBUG_OUTER, text, n);
        break;

    case CURLINFO_HEADER_IN:

        if (atls_outer_is_location(curl, text, n)) {
            atls_debug(&outer->debug, ATLS_DEBUG_OUTER_RECEIVED,
                       "%.8s: [not shown]", text);
            break;
        }

        atls_debug_lines(&outer->debug, ATLS_DEBUG_OUTER_RECEIVED, text, n);
        break;

    case CURLINFO_HEADER_OUT:
        atls_debug_lines(&outer->debug, ATLS_DEBUG_OUTER_SENT, text, n);
        break;

    default:
        break;
    }

    return 0;
}


/* The header with the identifier of the session. */

static int
atls_outer_is_location(CURL *curl, const char *text, size_t n)
{
    long  status;

    status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);

    return status == 201 && n >= sizeof("Location:") - 1
           && strncasecmp(text, "Location:", sizeof("Location:") - 1) == 0;
}


static int
atls_outer_progress(void *data, curl_off_t dltotal, curl_off_t dlnow,
    curl_off_t ultotal, curl_off_t ulnow)
{
    atls_outer_t  *outer = data;

    (void) dltotal;
    (void) dlnow;
    (void) ultotal;
    (void) ulnow;

    return outer->wait && outer->wait(outer->wait_data) != 0;
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


const char *
atls_outer_session(atls_outer_t *outer)
{
    if (outer->location.id) {
        return outer->location.id;
    }

    free(outer->session);
    outer->session = atls_cookies_session(outer->curl);

    return outer->session;
}


int64_t
atls_outer_expiry(const atls_outer_t *outer)
{
    return outer->expiry.expires;
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


int
atls_outer_is_closed(const atls_outer_t *outer)
{
    return atls_sockets_ended(&outer->sockets);
}


atls_error_e
atls_outer_end(atls_outer_t *outer, int code)
{
    outer->code = (CURLcode) code;
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


/* Sends a POST over another transport. */

static CURLcode
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


/* Sends a POST without libcurl, if possible. */

static CURLcode
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


static void
atls_outer_look(atls_outer_t *outer, int64_t began)
{
    outer->kept = atls_outer_socket(outer) != CURL_SOCKET_BAD;

    atls_reply_look(&outer->reply);
    atls_outer_look_tls(outer);
    atls_outer_look_times(outer, began);
}


static CURLU *
atls_outer_url_now(atls_outer_t *outer)
{
    return outer->location.url ? outer->location.url : outer->url;
}


static atls_error_e
atls_outer_result(atls_outer_t *outer, CURLcode code)
{
    if (outer->sink_error != ATLS_OK) {
        return outer->sink_error;
    }

    if (code != CURLE_OK && outer->reply.kind != ATLS_REPLY_OTHER) {
        return atls_outer_curl_error(outer, code);
    }

    if (outer->reply.kind == ATLS_REPLY_UNKNOWN) {
        atls_outer_begin(outer);                /* the body was empty */

        if (outer->sink_error != ATLS_OK) {
            return outer->sink_error;
        }
    }

    if (outer->post.number == 1) {
        outer->post.cookies = atls_cookies_look(outer->curl,
                                                atls_outer_url_now(outer));
    }

    return outer->reply.kind == ATLS_REPLY_GOOD
           ? ATLS_OK : atls_reply_reject(&outer->reply, &outer->post,
                                         outer->failure);
}


static size_t
atls_outer_read(char *buf, size_t size, size_t n, void *data)
{
    atls_outer_t  *outer = data;

    n = outer->source ? outer->source(outer->sink_data, buf, size * n) : 0;

    return n == 0 ? CURL_READFUNC_PAUSE : n == ATLS_SOURCE_END ? 0 : n;
}


/*
 * The last line of a header is empty.  There may be several headers, each of
 * which begins with a status line, and a trailer, which does not.
 */

static size_t
atls_outer_header(char *line, size_t size, size_t n, void *data)
{
    atls_outer_t  *outer = data;

    n *= size;

    if (*line == '\r' || *line == '\n') {
        outer->headed = 1;

    } else if (n >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        outer->headed = 0;
    }

    return n;
}


static size_t
atls_outer_write(char *bytes, size_t size, size_t n, void *data)
{
    atls_outer_t  *outer = data;

    n *= size;

    if (outer->reply.kind == ATLS_REPLY_UNKNOWN) {
        atls_outer_begin(outer);
    }

    if (outer->sink_error != ATLS_OK) {
        return 0;
    }

    if (outer->reply.kind == ATLS_REPLY_GOOD) {

        if (outer->full && outer->full(outer->sink_data)) {
            return CURL_WRITEFUNC_PAUSE;
        }

        outer->sink_error = outer->sink(outer->sink_data,
                                        (unsigned char *) bytes, n);

        return outer->sink_error == ATLS_OK ? n : 0;
    }

    return atls_reply_body(&outer->reply, bytes, n) == 0 ? n : 0;
}


/* Called when the response header is complete. */

static void
atls_outer_begin(atls_outer_t *outer)
{
    atls_reply_begin(&outer->reply);

    if (atls_reply_field(&outer->reply, "Set-Cookie")) {
        atls_expiry_look(&outer->expiry, outer->curl);

        /* if all responses set cookies, only one is recorded in vain */

        if (outer->repost.size) {
            atls_repost_clear(&outer->repost);
        }
    }

    if (outer->reply.kind == ATLS_REPLY_GOOD && outer->reply.status == 201) {
        atls_outer_follow(outer);
    }
}


/* Later POSTs of the session are sent to its URI, if it has one. */

static void
atls_outer_follow(atls_outer_t *outer)
{
    atls_repost_clear(&outer->repost);

    outer->sink_error = atls_location_follow(&outer->location,
                                             atls_outer_url_now(outer),
                                             atls_reply_field(&outer->reply,
                                                              "Location"),
                                             outer->failure);

    outer->post.created = 1;
    outer->post.located = outer->location.url != NULL;
    outer->debug.hidden = outer->location.id;
}


/* The socket of the last POST, if its connection is kept alive. */

static curl_socket_t
atls_outer_socket(const atls_outer_t *outer)
{
    curl_socket_t  fd;

    return curl_easy_getinfo(outer->curl, CURLINFO_ACTIVESOCKET, &fd)
           == CURLE_OK ? fd : CURL_SOCKET_BAD;
}


/*
 * The new connection has no TLS session with the endpoint: recorded
 * certificates are those of a proxy.
 */

static void
atls_outer_look_tls(atls_outer_t *outer)
{
    curl_off_t  time;

    time = 0;
    curl_easy_getinfo(outer->curl, CURLINFO_APPCONNECT_TIME_T, &time);

    if (time == 0 && !atls_outer_is_reused(outer)) {
        atls_seen_clear(&outer->seen);
    }
}


/* Times of the first connection; the others are repetitions. */

static void
atls_outer_look_times(atls_outer_t *outer, int64_t began)
{
    long        connects;
    curl_off_t  resolved, connected;

    connects = 0;
    resolved = 0;
    connected = 0;

    curl_easy_getinfo(outer->curl, CURLINFO_NUM_CONNECTS, &connects);
    curl_easy_getinfo(outer->curl, CURLINFO_NAMELOOKUP_TIME_T, &resolved);
    curl_easy_getinfo(outer->curl, CURLINFO_CONNECT_TIME_T, &connected);

    if (outer->connections == 0 && (connects || outer->code != CURLE_OK)) {
        outer->resolved = resolved ? began + resolved : 0;
        outer->connected = connected ? began + connected : 0;
    }

    outer->connections += (unsigned) connects;
}


void
atls_outer_transfer_begin(atls_outer_t *outer)
{
    outer->connections = 0;
    outer->resolved = 0;
    outer->connected = 0;
}


void
atls_outer_transfer(const atls_outer_t *outer, atls_transfer_info_t *info,
    int64_t began)
{
    atls_route_info(outer->curl, info);

    info->name_lookup = outer->resolved ? outer->resolved - began : 0;
    info->connect = outer->connected ? outer->connected - began : 0;
    info->connections = outer->connections;
}


static atls_error_e
atls_outer_curl_error(atls_outer_t *outer, CURLcode code)
{
    return atls_fail(outer->failure, atls_outer_code(outer, code), "%s",
                     outer->error[0] ? outer->error : curl_easy_strerror(code));
}


static atls_error_e
atls_outer_code(atls_outer_t *outer, CURLcode code)
{
    long  connect;

    connect = 0;
    curl_easy_getinfo(outer->curl, CURLINFO_HTTP_CONNECTCODE, &connect);

    if (connect && connect / 100 != 2 && code != CURLE_OPERATION_TIMEDOUT) {

        /* some versions of libcurl return another code */

        outer->code = CURLE_PROXY;
        return ATLS_ERROR_PROXY;
    }

    switch (code) {

    case CURLE_URL_MALFORMAT:
    case CURLE_NOT_BUILT_IN:
    case CURLE_SETOPT_OPTION_SYNTAX:
        return ATLS_ERROR_USAGE;

    case CURLE_BAD_FUNCTION_ARGUMENT:           /* or an invalid trailer */
        return outer->reply.status ? ATLS_ERROR_NETWORK : ATLS_ERROR_USAGE;

    case CURLE_OUT_OF_MEMORY:
        return ATLS_ERROR_MEMORY;

    case CURLE_ABORTED_BY_CALLBACK:
        return ATLS_ERROR_ABORTED;

    case CURLE_COULDNT_RESOLVE_HOST:
        if (atls_outer_uses_proxy(outer)) {
            outer->code = CURLE_COULDNT_RESOLVE_PROXY;
            return ATLS_ERROR_PROXY;
        }

        return ATLS_ERROR_RESOLVE;

    case CURLE_COULDNT_CONNECT:
        return outer->proxied ? ATLS_ERROR_PROXY : ATLS_ERROR_CONNECT;

    case CURLE_OPERATION_TIMEDOUT:
        return ATLS_ERROR_TIMEOUT;

    /* only a proxy is verified */

    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_PROXY:
        return ATLS_ERROR_PROXY;

    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_USE_SSL_FAILED:
        return ATLS_ERROR_OUTER_TLS;

    default:
        return ATLS_ERROR_NETWORK;
    }
}


/*
 * Only the name of the proxy is resolved then, but libcurl 8.14.1 sometimes
 * returns the code for that of a host.
 */

static int
atls_outer_uses_proxy(const atls_outer_t *outer)
{
    long  used;

    used = 0;

#if LIBCURL_VERSION_NUM >= 0x080700
    curl_easy_getinfo(outer->curl, CURLINFO_USED_PROXY, &used);
#else
    (void) outer;
#endif

    return used != 0;
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


void
atls_outer_forget(atls_outer_t *outer)
{
    curl_easy_setopt(outer->curl, CURLOPT_COOKIELIST, "ALL");
    atls_repost_clear(&outer->repost);
    atls_expiry_clear(&outer->expiry);
    atls_location_clear(&outer->location);

    outer->debug.hidden = NULL;
    memset(&outer->post, 0, sizeof(atls_reply_post_t));
}


int
atls_outer_join(atls_outer_t *outer, const atls_outer_t *other)
{
    outer->post = other->post;
    outer->expiry = other->expiry;
    atls_repost_clear(&outer->repost);

    if (atls_location_copy(&outer->location, &other->location) == -1) {
        return -1;
    }

    outer->debug.hidden = outer->location.id;

    return atls_cookies_copy(outer->curl, other->curl);
}


int
atls_outer_renewed(const atls_outer_t *outer)
{
    return outer->reply.status == 201
           || atls_reply_field(&outer->reply, "Set-Cookie") != NULL;
}


int
atls_outer_is_located(const atls_outer_t *outer)
{
    return outer->location.url != NULL;
}


int
atls_outer_expired(const atls_outer_t *outer)
{
    return atls_expiry_passed(&outer->expiry);
}


atls_connection_e
atls_outer_connection(const atls_outer_t *outer)
{
    struct pollfd  pfd;

    if (!outer->kept) {
        return ATLS_CONNECTION_NONE;
    }

    pfd.fd = atls_outer_socket(outer);
    pfd.events = POLLIN;

    return pfd.fd == CURL_SOCKET_BAD || poll(&pfd, 1, 0) != 0
           ? ATLS_CONNECTION_LOST : ATLS_CONNECTION_KEPT;
}


int
atls_outer_is_reused(const atls_outer_t *outer)
{
    long  connects;

    connects = 0;
    curl_easy_getinfo(outer->curl, CURLINFO_NUM_CONNECTS, &connects);

    return connects == 0 || outer->reposted;
}


int
atls_outer_sent(const atls_outer_t *outer)
{
    curl_off_t  time;

    time = 0;
    curl_easy_getinfo(outer->curl, CURLINFO_PRETRANSFER_TIME_T, &time);

    return time != 0 || outer->repost.sent || outer->carrier.sent;
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


unsigned
atls_outer_number(const atls_outer_t *outer)
{
    return outer->post.number;
}


int
atls_outer_status(const atls_outer_t *outer)
{
    return outer->reply.status;
}


int
atls_outer_is_endpoint(const atls_outer_t *outer)
{
    return atls_reply_is_endpoint(&outer->reply);
}


int
atls_outer_is_problem(const atls_outer_t *outer, const char *name)
{
    char  got[ATLS_REPLY_TYPE];

    return atls_reply_problem(&outer->reply, got, sizeof(got)) == 0
           && strcmp(got, name) == 0;
}


void
atls_outer_each_header(const atls_outer_t *outer,
    void (*each)(void *data, const char *name, const char *value), void *data)
{
    atls_reply_each(&outer->reply, each, data);
}


void
atls_outer_info(const atls_outer_t *outer, atls_outer_info_t *info)
{
    info->status = outer->reply.status;
    info->curl_error = (int) outer->code;
    info->http = outer->reply.http;
    info->retry_after = outer->reply.retry_after;
    info->posts = outer->posts;

    info->chain = outer->seen.nchain ? outer->seen.chain : NULL;
    info->nchain = outer->seen.nchain;
    info->verify_result = outer->seen.result;
    info->verify_text = outer->seen.text;
}


void
atls_outer_mark(atls_outer_t *outer)
{
    outer->marked.code = outer->code;
    outer->marked.status = outer->reply.status;
    outer->marked.retry_after = outer->reply.retry_after;
}


void
atls_outer_recall(atls_outer_t *outer)
{
    outer->code = outer->marked.code;
    outer->reply.status = outer->marked.status;
    outer->reply.retry_after = outer->marked.retry_after;
}

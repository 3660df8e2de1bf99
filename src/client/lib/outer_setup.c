
/*
 * The handle of libcurl of an outer connection, see outer_setup.h.
 */


#include <string.h>
#include <strings.h>

#include "http.h"
#include "outer_io.h"
#include "outer_setup.h"
#include "outer_struct.h"


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


/* Rejects values that libcurl would accept. */

int
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


int
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

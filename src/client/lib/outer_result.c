
/*
 * The result of a POST, see outer_result.h.
 */


#include <string.h>

#include "outer_io.h"
#include "outer_result.h"
#include "outer_session.h"
#include "outer_struct.h"


static atls_error_e atls_outer_curl_error(atls_outer_t *outer, CURLcode code);
static atls_error_e atls_outer_code(atls_outer_t *outer, CURLcode code);
static int atls_outer_uses_proxy(const atls_outer_t *outer);


atls_error_e
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

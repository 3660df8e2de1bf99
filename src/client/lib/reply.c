
/*
 * The response to a POST, see reply.h.
 */


#include <limits.h>
#include <string.h>
#include <strings.h>

#include "problem.h"
#include "reply.h"


#define ATLS_REPLY_BODY     8192            /* of another response, to keep */
#define ATLS_REPLY_DETAIL   512

#define ATLS_PROBLEM_TYPE   "application/problem+json"


static int atls_reply_is_type(const atls_reply_t *reply, const char *type);
static int atls_reply_is_problem(const atls_reply_t *reply);


void
atls_reply_init(atls_reply_t *reply, CURL *curl)
{
    reply->curl = curl;
    reply->http = "";
}


void
atls_reply_free(atls_reply_t *reply)
{
    atls_buf_free(&reply->body);
}


void
atls_reply_clear(atls_reply_t *reply)
{
    reply->kind = ATLS_REPLY_UNKNOWN;
    reply->status = 0;
    reply->retry_after = 0;
    reply->body.len = 0;
}


void
atls_reply_begin(atls_reply_t *reply)
{
    atls_reply_look(reply);

    reply->kind = reply->status == 200
                  && atls_reply_is_type(reply, ATLS_MEDIA_TYPE)
                  ? ATLS_REPLY_GOOD : ATLS_REPLY_OTHER;
}


void
atls_reply_look(atls_reply_t *reply)
{
    long        status, version;
    curl_off_t  retry_after;

    status = 0;
    version = 0;
    retry_after = 0;

    curl_easy_getinfo(reply->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(reply->curl, CURLINFO_HTTP_VERSION, &version);
    curl_easy_getinfo(reply->curl, CURLINFO_RETRY_AFTER, &retry_after);

    reply->status = (int) status;
    reply->retry_after = retry_after > INT_MAX ? INT_MAX : (long) retry_after;

    reply->http = version == CURL_HTTP_VERSION_1_0 ? "1.0"
                  : version == CURL_HTTP_VERSION_1_1 ? "1.1"
                  : version == CURL_HTTP_VERSION_2_0 ? "2"
                  : version == CURL_HTTP_VERSION_3 ? "3"
                  : "";
}


int
atls_reply_body(atls_reply_t *reply, const char *bytes, size_t n)
{
    size_t  room;

    room = ATLS_REPLY_BODY - reply->body.len;

    if (n > room) {
        (void) atls_buf_add(&reply->body, bytes, room);
        return -1;                              /* the limit is reached */
    }

    return atls_buf_add(&reply->body, bytes, n);
}


/* Parameters and case of media types are ignored. */

static int
atls_reply_is_type(const atls_reply_t *reply, const char *type)
{
    char    *got;
    size_t   n;

    got = NULL;
    curl_easy_getinfo(reply->curl, CURLINFO_CONTENT_TYPE, &got);

    n = strlen(type);

    return got && strncasecmp(got, type, n) == 0
           && (got[n] == '\0' || strchr("; \t", got[n]));
}


atls_error_e
atls_reply_reject(const atls_reply_t *reply, atls_failure_t *failure)
{
    char  *type, *location, detail[ATLS_REPLY_DETAIL];

    type = NULL;
    location = NULL;

    curl_easy_getinfo(reply->curl, CURLINFO_CONTENT_TYPE, &type);
    curl_easy_getinfo(reply->curl, CURLINFO_REDIRECT_URL, &location);

    if (location) {
        return atls_fail(failure, ATLS_ERROR_REDIRECT,
                         "the endpoint returned %d with Location %.512s",
                         reply->status, location);
    }

    if (reply->status == 407) {
        return atls_fail(failure, ATLS_ERROR_PROXY,
                         "proxy authentication failed (407)");
    }

    if (reply->status == 200) {
        return atls_fail(failure, ATLS_ERROR_MEDIA_TYPE,
                         "the endpoint returned %.256s, not "
                         ATLS_MEDIA_TYPE, type ? type : "no media type");
    }

    if (!atls_reply_is_problem(reply)
        || atls_problem_detail(reply->body.data, reply->body.len, detail,
                               sizeof(detail))
           == -1)
    {
        detail[0] = '\0';
    }

    return atls_fail(failure, ATLS_ERROR_OUTER_STATUS,
                     "the endpoint returned %d%s%s%s", reply->status,
                     detail[0] ? ": " : "", detail,
                     reply->retry_after ? " (try again later)" : "");
}


static int
atls_reply_is_problem(const atls_reply_t *reply)
{
    return reply->body.len && atls_reply_is_type(reply, ATLS_PROBLEM_TYPE);
}


int
atls_reply_is_endpoint(const atls_reply_t *reply)
{
    return reply->kind == ATLS_REPLY_GOOD
           || (atls_reply_is_problem(reply)
               && atls_problem_is_atls(reply->body.data, reply->body.len));
}

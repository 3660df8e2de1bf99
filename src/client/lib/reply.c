
/*
 * The response to a POST, see reply.h.
 */


#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "fault.h"
#include "problem.h"
#include "reply.h"


#define ATLS_REPLY_BODY     8192            /* of another response, to keep */
#define ATLS_REPLY_DETAIL   512

#define ATLS_PROBLEM_TYPE   "application/problem+json"


static int atls_reply_is_good(const atls_reply_t *reply);
static long atls_reply_retry_after(const atls_reply_t *reply);
static const char *atls_reply_encoding(const atls_reply_t *reply);
static int atls_reply_is_type(const atls_reply_t *reply, const char *type);
static atls_error_e atls_reply_reject_200(const atls_reply_t *reply,
    const atls_reply_post_t *post, atls_failure_t *failure);
static int atls_reply_is_record(const atls_reply_t *reply);
static atls_error_e atls_reply_reject_status(const atls_reply_t *reply,
    const atls_reply_post_t *post, atls_failure_t *failure);
static atls_fault_e atls_reply_fault(const atls_reply_t *reply,
    const atls_reply_post_t *post);
static atls_fault_e atls_reply_place(const atls_reply_t *reply,
    const atls_reply_post_t *post);
static int atls_reply_is_problem(const atls_reply_t *reply);
static void atls_reply_explain(const atls_reply_t *reply,
    const atls_reply_post_t *post, atls_fault_e fault, char *text, size_t size);
static int atls_reply_is_refusal(const atls_reply_t *reply);


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
    reply->http = "";
    reply->retry_after = 0;
    reply->lines = NULL;
    reply->body.len = 0;
}


void
atls_reply_set(atls_reply_t *reply, int status, unsigned minor,
    const atls_lines_t *lines)
{
    reply->lines = lines;
    reply->status = status;
    reply->http = minor ? "1.1" : "1.0";
}


void
atls_reply_begin(atls_reply_t *reply)
{
    atls_reply_look(reply);

    reply->kind = atls_reply_is_good(reply) ? ATLS_REPLY_GOOD
                                            : ATLS_REPLY_OTHER;
}


static int
atls_reply_is_good(const atls_reply_t *reply)
{
    const char  *encoding;

    encoding = atls_reply_encoding(reply);

    if (reply->message) {
        return reply->status == 200
               && atls_reply_is_type(reply, ATLS_MESSAGE_TYPE)
               && encoding && strcasecmp(encoding, ATLS_MESSAGE_CODING) == 0;
    }

    return (reply->status == 200 || reply->status == 201)
           && atls_reply_is_type(reply, ATLS_MEDIA_TYPE) && encoding == NULL;
}


void
atls_reply_look(atls_reply_t *reply)
{
    long  status, version;

    reply->retry_after = atls_reply_retry_after(reply);

    if (reply->lines) {
        return;
    }

    status = 0;
    version = 0;

    curl_easy_getinfo(reply->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(reply->curl, CURLINFO_HTTP_VERSION, &version);

    reply->status = (int) status;

    reply->http = version == CURL_HTTP_VERSION_1_0 ? "1.0"
                  : version == CURL_HTTP_VERSION_1_1 ? "1.1"
                  : version == CURL_HTTP_VERSION_2_0 ? "2"
                  : version == CURL_HTTP_VERSION_3 ? "3"
                  : "";
}


/* RFC 9110, section 10.2.3 */

static long
atls_reply_retry_after(const atls_reply_t *reply)
{
    const char  *value;
    curl_off_t   seconds;

    seconds = 0;

    if (reply->lines == NULL) {
        curl_easy_getinfo(reply->curl, CURLINFO_RETRY_AFTER, &seconds);

    } else if ((value = atls_reply_field(reply, "Retry-After"))) {
        seconds = *value >= '0' && *value <= '9'
                  ? strtol(value, NULL, 10)
                  : curl_getdate(value, NULL) - time(NULL);
    }

    return seconds < 0 ? 0 : seconds > INT_MAX ? INT_MAX : (long) seconds;
}


const char *
atls_reply_field(const atls_reply_t *reply, const char *name)
{
    const char          *line;
    struct curl_header  *header;

    if (reply->lines == NULL) {
        return curl_easy_header(reply->curl, name, 0, CURLH_HEADER, -1,
                                &header)
               == CURLHE_OK ? header->value : NULL;
    }

    line = (char *) reply->lines->text.data;

    do {
        line = atls_lines_next(line);

        if (*line == '\0') {
            return NULL;
        }

    } while (!atls_http_is_name(line, name));

    return atls_http_value(line);
}


void
atls_reply_each(const atls_reply_t *reply,
    void (*each)(void *data, const char *name, const char *value), void *data)
{
    const char          *line;
    struct curl_header  *header;

    if (reply->lines) {
        for (line = atls_lines_next((char *) reply->lines->text.data);
             *line;
             line = atls_lines_next(line))
        {
            each(data, line, atls_http_value(line));
        }

        return;
    }

    for (header = curl_easy_nextheader(reply->curl, CURLH_HEADER, -1, NULL);
         header;
         header = curl_easy_nextheader(reply->curl, CURLH_HEADER, -1, header))
    {
        each(data, header->name, header->value);
    }
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


/* No content coding was requested: RFC 9110, section 12.5.3. */

static const char *
atls_reply_encoding(const atls_reply_t *reply)
{
    const char  *value;

    value = atls_reply_field(reply, "Content-Encoding");

    return value && *value && strcasecmp(value, "identity") != 0 ? value
                                                                 : NULL;
}


/* Parameters and case of media types are ignored. */

static int
atls_reply_is_type(const atls_reply_t *reply, const char *type)
{
    size_t       n;
    const char  *got;

    got = atls_reply_field(reply, "Content-Type");
    n = strlen(type);

    return got && strncasecmp(got, type, n) == 0
           && (got[n] == '\0' || strchr("; \t", got[n]));
}


atls_error_e
atls_reply_reject(const atls_reply_t *reply, const atls_reply_post_t *post,
    atls_failure_t *failure)
{
    const char  *location;

    location = atls_reply_field(reply, "Location");

    if (location && reply->status / 100 == 3) {
        failure->fault = ATLS_FAULT_REDIRECT;

        return atls_fail(failure, ATLS_ERROR_REDIRECT,
                         "the endpoint returned %d with Location %.512s",
                         reply->status, location);
    }

    if (reply->status == 407) {
        return atls_fail(failure, ATLS_ERROR_PROXY,
                         "proxy authentication failed (407)");
    }

    return reply->status == 200 || reply->status == 201
           ? atls_reply_reject_200(reply, post, failure)
           : atls_reply_reject_status(reply, post, failure);
}


static atls_error_e
atls_reply_reject_200(const atls_reply_t *reply, const atls_reply_post_t *post,
    atls_failure_t *failure)
{
    const char  *type, *encoding;

    type = atls_reply_field(reply, "Content-Type");
    encoding = atls_reply_encoding(reply);

    failure->fault = encoding
                     && atls_reply_is_type(reply,
                                           reply->message ? ATLS_MESSAGE_TYPE
                                                          : ATLS_MEDIA_TYPE)
                     ? ATLS_FAULT_COMPRESSED
                     : atls_reply_is_type(reply, "text/html")
                       || atls_reply_is_type(reply, "application/xhtml+xml")
                     ? ATLS_FAULT_PAGE
                     : atls_reply_is_record(reply) ? ATLS_FAULT_MEDIA_TYPE
                     : post->located && post->number == 2 ? ATLS_FAULT_LOCATION
                     : ATLS_FAULT_NO_ENDPOINT;

    if (failure->fault == ATLS_FAULT_COMPRESSED) {
        return atls_fail(failure, ATLS_ERROR_MEDIA_TYPE,
                         "%s (Content-Encoding: %.64s)",
                         atls_fault_text(failure->fault), encoding);
    }

    return atls_fail(failure, ATLS_ERROR_MEDIA_TYPE,
                     "the endpoint returned %.256s, not %s%s%s",
                     type ? type : "no media type",
                     reply->message ? ATLS_MESSAGE_TYPE " with "
                                      ATLS_MESSAGE_CODING
                                    : ATLS_MEDIA_TYPE,
                     *atls_fault_text(failure->fault) ? ": " : "",
                     atls_fault_text(failure->fault));
}


static int
atls_reply_is_record(const atls_reply_t *reply)
{
    const unsigned char  *p = reply->body.data;

    return reply->body.len >= 3 && p[0] >= 20 && p[0] <= 23 && p[1] == 3;
}


static atls_error_e
atls_reply_reject_status(const atls_reply_t *reply,
    const atls_reply_post_t *post, atls_failure_t *failure)
{
    char  text[ATLS_REPLY_DETAIL];

    failure->fault = atls_reply_fault(reply, post);
    atls_reply_explain(reply, post, failure->fault, text, sizeof(text));

    return atls_fail(failure, ATLS_ERROR_OUTER_STATUS,
                     "the endpoint returned %d%s%s%s", reply->status,
                     *text ? ": " : "", text,
                     reply->retry_after ? " (try again later)" : "");
}


static atls_fault_e
atls_reply_fault(const atls_reply_t *reply, const atls_reply_post_t *post)
{
    char          name[ATLS_REPLY_TYPE];
    atls_fault_e  fault;

    fault = atls_reply_place(reply, post);

    if (fault != ATLS_FAULT_NONE) {
        return fault;
    }

    if (atls_reply_problem(reply, name, sizeof(name)) == -1) {
        return atls_reply_is_refusal(reply)
               ? ATLS_FAULT_NONE : atls_fault_by_status(reply->status);
    }

    fault = atls_fault_by_problem(name);

    if (reply->message && fault == ATLS_FAULT_MEDIA_TYPE) {
        return ATLS_FAULT_NO_KEYS;
    }

    if (fault != ATLS_FAULT_NO_BODY || post->size != 0) {
        return fault;
    }

    /* an empty POST has no body that could be removed */

    return post->located ? ATLS_FAULT_LOCATION : ATLS_FAULT_NO_COOKIE;
}


/* Faults of the cookie or the URI that were given by the first response. */

static atls_fault_e
atls_reply_place(const atls_reply_t *reply, const atls_reply_post_t *post)
{
    atls_fault_e  fault;

    fault = atls_fault_by_status(reply->status);

    if (post->located) {
        return post->number == 2 && !atls_reply_is_endpoint(reply)
               && (fault == ATLS_FAULT_NO_ENDPOINT
                   || fault == ATLS_FAULT_REFUSED)
               ? ATLS_FAULT_LOCATION : ATLS_FAULT_NONE;
    }

    if (post->number < 2 || (reply->status != 400 && reply->status != 410)) {
        return ATLS_FAULT_NONE;
    }

    return post->cookies == ATLS_COOKIES_ELSEWHERE ? ATLS_FAULT_COOKIE_SCOPE
           : post->cookies != ATLS_COOKIES_NONE ? ATLS_FAULT_NONE
           : post->created ? ATLS_FAULT_LOCATION : ATLS_FAULT_NO_SET_COOKIE;
}


static int
atls_reply_is_problem(const atls_reply_t *reply)
{
    return reply->body.len && atls_reply_is_type(reply, ATLS_PROBLEM_TYPE);
}


int
atls_reply_problem(const atls_reply_t *reply, char *name, size_t size)
{
    return atls_reply_is_problem(reply)
           ? atls_problem_type(reply->body.data, reply->body.len, name, size)
           : -1;
}


/* The words of a problem document are those of the server, if there is one. */

static void
atls_reply_explain(const atls_reply_t *reply, const atls_reply_post_t *post,
    atls_fault_e fault, char *text, size_t size)
{
    /* also the faults of cookies and the like, which are the last ones */

    if (fault == ATLS_FAULT_NO_KEYS || fault >= ATLS_FAULT_NO_SET_COOKIE) {
        snprintf(text, size, "%s", atls_fault_text(fault));
        return;
    }

    if (atls_reply_is_problem(reply)
        && atls_problem_detail(reply->body.data, reply->body.len, text, size)
           == 0)
    {
        return;
    }

    if (fault == ATLS_FAULT_TOO_LARGE) {
        snprintf(text, size, "a POST of %zu bytes is too large", post->size);
        return;
    }

    if (atls_reply_is_refusal(reply)) {
        snprintf(text, size, "the service did not accept the data");
        return;
    }

    snprintf(text, size, "%s", atls_fault_text(fault));
}


int
atls_reply_is_endpoint(const atls_reply_t *reply)
{
    char  name[ATLS_REPLY_TYPE];

    return reply->kind == ATLS_REPLY_GOOD
           || atls_reply_is_refusal(reply)
           || atls_reply_problem(reply, name, sizeof(name)) == 0;
}


/*
 * The service has refused a raw payload which was sent with the end of the
 * handshake: there are records instead of a problem document.
 */

static int
atls_reply_is_refusal(const atls_reply_t *reply)
{
    return reply->status == 502 && atls_reply_is_type(reply, ATLS_MEDIA_TYPE);
}

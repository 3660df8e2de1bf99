
/*
 * Requests that are forwarded, see forward.h.
 */


#include <stdlib.h>
#include <string.h>

#include "forward.h"
#include "respond.h"


#define GW_MAX_AGE          5           /* seconds, without Retry-After */
#define GW_ACCEPTED_SIZE    16384       /* bytes that each service accepts */


/* CoAP's codes for HTTP's, apart from 200 and 201. */

static const struct {
    int          status;
    int          code;
} gw_forward_codes[] = {
    { 400, COAP_RESPONSE_CODE(400) },
    { 409, COAP_RESPONSE_CODE(409) },
    { 410, COAP_RESPONSE_CODE(404) },
    { 413, COAP_RESPONSE_CODE(413) },
    { 415, COAP_RESPONSE_CODE(415) },
    { 429, COAP_RESPONSE_CODE(429) },
    { 503, COAP_RESPONSE_CODE(503) },
    { 504, COAP_RESPONSE_CODE(504) },
};


static void gw_forward_posted(void *data, gw_post_t *post);
static int gw_forward_code(gw_request_t *request, gw_post_t *post);
static int gw_forward_status(int status);
static void gw_forward_options(gw_request_t *request, const gw_post_t *post,
    gw_message_t *message);
static int gw_forward_good(gw_request_t *request, gw_post_t *post,
    gw_message_t *message);
static int gw_forward_created(gw_request_t *request, const char *location,
    gw_message_t *message);
static int gw_forward_has_cookie(const gw_post_t *post);


int
gw_forward(gw_request_t *request, unsigned char *body, size_t n)
{
    int    rc;
    char  *url;
    gw_t  *gateway = request->gateway;

    request->size = n;

    url = gw_service_url(request->service, request->relative);
    rc = gw_post_start(&gateway->poster, request->source->share, url, body, n,
                       gw_forward_posted, request);
    free(url);

    if (rc == -1) {
        return -1;
    }

    gateway->counts.n[GW_FORWARDED]++;
    gateway->counts.n[GW_BYTES_IN] += n;
    (*request->service->posts)++;

    coap_session_reference(request->source->coap);

    if (request->confirmable) {
        request->waiting = 1;
        TAILQ_INSERT_TAIL(&gateway->waiting, request, entry);
    }

    return 0;
}


static void
gw_forward_posted(void *data, gw_post_t *post)
{
    gw_request_t  *request = data;

    coap_session_t  *coap = request->source->coap;
    gw_message_t     message;

    memset(&message, 0, sizeof(gw_message_t));

    if (request->waiting) {
        TAILQ_REMOVE(&request->gateway->waiting, request, entry);
    }

    (*request->service->posts)--;

    request->status = post->reply.status;
    message.code = gw_forward_code(request, post);

    if (message.code == 0) {
        message.code = gw_forward_good(request, post, &message);

    } else {
        gw_forward_options(request, post, &message);
    }

    gw_respond(request, &message, NULL);

    gw_request_free(request);
    free(request);
    coap_session_release(coap);
}


/* The code of an error response, or 0. */

static int
gw_forward_code(gw_request_t *request, gw_post_t *post)
{
    gw_counts_t  *counts = &request->gateway->counts;

    if (post->large) {
        request->note = "the response of the service is too large";
        return COAP_RESPONSE_CODE(502);
    }

    if (post->full) {
        request->note = "no memory for the response";
        return COAP_RESPONSE_CODE(503);
    }

    if (post->code != CURLE_OK) {
        counts->n[GW_UNANSWERED]++;
        request->note = post->error;
        return COAP_RESPONSE_CODE(504);
    }

    if (post->reply.kind == ATLS_REPLY_GOOD) {
        return 0;
    }

    request->note = post->reply.status == 200 || post->reply.status == 201
                    ? "the response is not one of ATLS" : NULL;

    return gw_forward_status(post->reply.status);
}


static int
gw_forward_status(int status)
{
    size_t  i;

    for (i = 0;
         i < sizeof(gw_forward_codes) / sizeof(gw_forward_codes[0]);
         i++)
    {
        if (gw_forward_codes[i].status == status) {
            return gw_forward_codes[i].code;
        }
    }

    return COAP_RESPONSE_CODE(502);
}


static void
gw_forward_options(gw_request_t *request, const gw_post_t *post,
    gw_message_t *message)
{
    long  retry_after;

    switch (message->code) {

    case COAP_RESPONSE_CODE(404):
        if (request->source->relative
            && request->relative
            && strcmp(request->source->relative, request->relative) == 0)
        {
            gw_source_set(request->source, NULL, NULL);
        }

        break;

    case COAP_RESPONSE_CODE(413):

        /* the limit is not known: RFC 9110 has no field for it */

        gw_message_uint(message, COAP_OPTION_SIZE1,
                        request->size > GW_ACCEPTED_SIZE
                        ? GW_ACCEPTED_SIZE : (unsigned) request->size / 2);
        break;

    case COAP_RESPONSE_CODE(429):
    case COAP_RESPONSE_CODE(503):
        retry_after = post->reply.retry_after;
        gw_message_uint(message, COAP_OPTION_MAXAGE,
                        retry_after ? (unsigned) retry_after : GW_MAX_AGE);
        break;
    }
}


static int
gw_forward_good(gw_request_t *request, gw_post_t *post, gw_message_t *message)
{
    int          code;
    unsigned     format;
    const char  *location;

    location = gw_post_header(post, "Location");

    if (post->reply.status == 201) {
        code = location ? gw_forward_created(request, location, message)
                        : COAP_RESPONSE_CODE(502);

        if (code != COAP_RESPONSE_CODE(201)) {
            request->note = location ? "Location is not below the endpoint"
                                     : "201 without Location";
            gw_message_free(message);
            return code;
        }

    } else if (request->relative == NULL && gw_forward_has_cookie(post)) {
        request->note = "the service has no URIs for sessions; see "
                        "atls_session_tracking";
        return COAP_RESPONSE_CODE(502);

    } else {
        code = COAP_RESPONSE_CODE(204);
        request->source->fresh = 0;
    }

    format = request->get ? request->gateway->format : request->format;

    if (format != GW_NO_FORMAT && post->answer.len) {
        gw_message_uint(message, COAP_OPTION_CONTENT_FORMAT, format);
    }

    gw_message_payload(message, post->answer.data, post->answer.len);

    return code;
}


static int
gw_forward_created(gw_request_t *request, const char *location,
    gw_message_t *message)
{
    int    code;
    char  *relative;

    relative = gw_service_relative(request->service, location);

    code = relative
           && gw_path_write(message, &request->gateway->services,
                            request->service, relative)
              == 0
           ? COAP_RESPONSE_CODE(201) : COAP_RESPONSE_CODE(502);

    if (code == COAP_RESPONSE_CODE(201)) {
        request->gateway->counts.n[GW_SESSIONS]++;
        gw_source_set(request->source, request->service, relative);
    }

    free(relative);

    return code;
}


/* A session was begun that only a cookie names; an expired one ends it. */

static int
gw_forward_has_cookie(const gw_post_t *post)
{
    const char  *cookie;

    cookie = gw_post_header(post, "Set-Cookie");

    return cookie && strstr(cookie, "Max-Age=0") == NULL;
}

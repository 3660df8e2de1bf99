
/*
 * The handler of requests, see handle.h.
 */


#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>

#include "../cmd/base/util.h"
#include "../lib/clock.h"
#include "forward.h"
#include "handle.h"
#include "hello.h"
#include "respond.h"


#define GW_STOPPING_AGE     10          /* seconds, Max-Age of 5.03 */
#define GW_FULL_AGE         5
#define GW_VERIFIED_TIME    3600000     /* milliseconds */

#define GW_OCTET_STREAM     42          /* Content-Formats that devices use */
#define GW_TEXT             0


/* The body of a request. */

typedef struct {
    unsigned char        *data;         /* owned; NULL: in the message */
    const unsigned char  *bytes;
    size_t                n;
} gw_body_t;


static int gw_handle_again(gw_t *gateway, gw_source_t *source,
    const coap_pdu_t *pdu, coap_pdu_t *response);
static void gw_handle_acknowledge(gw_t *gateway, const gw_source_t *source,
    int mid);
static int gw_handle_new(gw_request_t *request, const coap_pdu_t *pdu,
    coap_pdu_t *response);
static int gw_handle_is_verified(gw_request_t *request, coap_pdu_t *response);
static int gw_handle_may_send(gw_t *gateway, const gw_source_t *source,
    int64_t now);
static void gw_handle_challenge(gw_request_t *request, coap_pdu_t *response);
static int gw_handle_block2(gw_request_t *request, coap_pdu_t *response);
static int gw_handle_format(const gw_request_t *request);
static int gw_handle_body(gw_request_t *request, const coap_pdu_t *pdu,
    gw_body_t *body, coap_pdu_t *response);
static int gw_handle_block1(gw_request_t *request, gw_body_t *body,
    coap_pdu_t *response);
static void gw_handle_large(gw_request_t *request, coap_pdu_t *response);
static void gw_handle_full(gw_request_t *request, const char *note,
    coap_pdu_t *response);
static int gw_handle_service(gw_request_t *request, const gw_body_t *body);
static const gw_service_t *gw_handle_find(const gw_request_t *request,
    const gw_body_t *body);
static const char *gw_handle_dtls_name(const gw_request_t *request);
static const char *gw_handle_room(gw_request_t *request, size_t n);


void
gw_handle(gw_t *gateway, coap_session_t *coap, const coap_pdu_t *pdu,
    coap_pdu_t *response)
{
    gw_source_t   *source;
    gw_request_t  *request;

    source = gw_source_get(&gateway->sources, coap);
    gateway->counts.n[GW_REQUESTS]++;

    if (gw_handle_again(gateway, source, pdu, response)) {
        return;
    }

    request = cmd_alloc(sizeof(gw_request_t));
    request->gateway = gateway;
    request->source = source;
    request->began = atls_clock();
    request->mid = coap_pdu_get_mid(pdu);
    request->confirmable = coap_pdu_get_type(pdu) == COAP_MESSAGE_CON;

    if (gw_handle_new(request, pdu, response) == 0) {
        gw_request_free(request);
        free(request);
        return;
    }

    /* libcoap sends nothing if a response is empty and not Confirmable */

    coap_pdu_set_type(response, COAP_MESSAGE_NON);
}


/* Whether the request was received before. */

static int
gw_handle_again(gw_t *gateway, gw_source_t *source, const coap_pdu_t *pdu,
    coap_pdu_t *response)
{
    gw_exchange_t  *exchange;

    exchange = gw_exchange_find(&source->exchanges, coap_pdu_get_mid(pdu));

    if (exchange == NULL) {
        return 0;
    }

    gateway->counts.n[GW_DUPLICATES]++;

    /* the address of a duplicate may be forged, too */

    if (coap_pdu_get_type(pdu) != COAP_MESSAGE_CON
        || !gw_handle_may_send(gateway, source, atls_clock()))
    {
        coap_pdu_set_type(response, COAP_MESSAGE_NON);
        return 1;
    }

    gw_respond_spend(gateway, source, &exchange->message);

    /* the response is sent again, or an empty acknowledgement */

    if (!exchange->answered) {
        gw_handle_acknowledge(gateway, source, exchange->mid);

    } else if (!exchange->separate
               && gw_message_write(&exchange->message, response) == -1)
    {
        coap_pdu_set_code(response, COAP_RESPONSE_CODE(500));
    }

    return 1;
}


/* The acknowledgement of a duplicate is that of the request. */

static void
gw_handle_acknowledge(gw_t *gateway, const gw_source_t *source, int mid)
{
    gw_request_t  *request;

    TAILQ_FOREACH(request, &gateway->waiting, entry) {

        if (request->source == source && request->mid == mid) {
            request->acknowledged = 1;
            request->waiting = 0;
            TAILQ_REMOVE(&gateway->waiting, request, entry);
            return;
        }
    }
}


/* Returns 1 if the request was forwarded, 0 if there is a response. */

static int
gw_handle_new(gw_request_t *request, const coap_pdu_t *pdu,
    coap_pdu_t *response)
{
    int          code;
    gw_t        *gateway = request->gateway;
    gw_body_t    body;
    const char  *note;

    memset(&body, 0, sizeof(gw_body_t));

    code = gw_request_read(request, pdu, &gateway->services);

    if (!gw_handle_is_verified(request, response)) {
        return 0;
    }

    gw_exchange_add(&request->source->exchanges, request->mid, request->began);

    if (code == 0 && request->has_block2 && request->block2.num) {
        return gw_handle_block2(request, response);
    }

    if (code == 0) {
        code = gw_handle_format(request);
    }

    if (code) {
        gateway->counts.n[GW_REFUSED]++;
        gw_respond_error(request, code, 0, response);
        return 0;
    }

    if (!gw_handle_body(request, pdu, &body, response)) {
        return 0;
    }

    code = gw_handle_service(request, &body);

    if (code == 0) {
        note = gw_handle_room(request, body.n);

        if (note) {
            free(body.data);
            gw_handle_full(request, note, response);
            return 0;
        }

        if (body.data == NULL) {
            body.data = cmd_alloc(body.n + 1);

            if (body.n) {
                memcpy(body.data, body.bytes, body.n);
            }
        }

        if (gw_forward(request, body.data, body.n) == 0) {
            return 1;
        }

        body.data = NULL;
        code = COAP_RESPONSE_CODE(500);
    }

    free(body.data);
    gateway->counts.n[GW_REFUSED]++;
    gw_respond_error(request, code, 0, response);

    return 0;
}


/*
 * The address of a source may be forged, so that the responses are sent to a
 * victim (RFC 7252, section 11.3).  Nothing is stored for such a request.
 */

static int
gw_handle_is_verified(gw_request_t *request, coap_pdu_t *response)
{
    gw_t         *gateway = request->gateway;
    gw_source_t  *source = request->source;

    /* otherwise, forged requests could keep an address verified for ever */

    if (!source->secure
        && request->began - source->echoed >= GW_VERIFIED_TIME)
    {
        source->verified = 0;
    }

    if (source->verified) {
        gw_source_keep(source, request->began);
        return 1;
    }

    if (request->echo
        && gw_echo_verify(&gateway->echo, source->name, request->began,
                          request->echo, request->necho)
           == 0)
    {
        gateway->counts.n[GW_VERIFIED]++;
        source->verified = 1;
        source->echoed = request->began;
        gw_source_keep(source, request->began);
        return 1;
    }

    if (gateway->rate.rate == 0) {
        gw_handle_challenge(request, response);
        return 0;
    }

    if (gw_handle_may_send(gateway, source, request->began)) {
        return 1;
    }

    coap_pdu_set_type(response, COAP_MESSAGE_NON);      /* no response */

    return 0;
}


static int
gw_handle_may_send(gw_t *gateway, const gw_source_t *source, int64_t now)
{
    const gw_share_t  *share = source->share;

    if (source->verified
        || gw_rate_allows(&gateway->rate, share->address, share->naddress,
                          share->posts * cmd_block_size(gateway->szx), now))
    {
        return 1;
    }

    gateway->counts.n[GW_LIMITED]++;

    return 0;
}


static void
gw_handle_challenge(gw_request_t *request, coap_pdu_t *response)
{
    gw_t           *gateway = request->gateway;
    gw_message_t    message;
    unsigned char   value[GW_ECHO_SIZE];

    memset(&message, 0, sizeof(gw_message_t));
    message.code = COAP_RESPONSE_CODE(401);

    if (gw_echo_make(&gateway->echo, request->source->name, request->began,
                     value)
        == -1)
    {
        message.code = COAP_RESPONSE_CODE(500);

    } else {
        gw_message_option(&message, COAP_OPTION_ECHO, value, sizeof(value));
    }

    gateway->counts.n[GW_CHALLENGES]++;
    gw_respond(request, &message, response);
}


/* Another block of the last response, RFC 7959, section 3.3. */

static int
gw_handle_block2(gw_request_t *request, coap_pdu_t *response)
{
    unsigned       shift;
    gw_t          *gateway = request->gateway;
    cmd_block_t     block;
    gw_message_t   message;

    memset(&message, 0, sizeof(gw_message_t));
    block = request->block2;

    if (block.szx > gateway->szx) {
        shift = block.szx - gateway->szx;
        block.num <<= shift;
        block.szx = gateway->szx;
    }

    if (gw_answer_block(&request->source->answers, request->key, &block,
                        &message, request->began)
        == -1)
    {
        message.code = COAP_RESPONSE_CODE(408);
        gateway->counts.n[GW_REFUSED]++;
    }

    gw_respond(request, &message, response);

    return 0;
}


static int
gw_handle_format(const gw_request_t *request)
{
    unsigned  ours = request->gateway->format;

    if (request->get) {
        return request->has_block1 ? COAP_RESPONSE_CODE(400) : 0;
    }

    if (request->format != ours && request->format != GW_TEXT
        && request->format != GW_OCTET_STREAM
        && request->format != GW_NO_FORMAT)
    {
        return COAP_RESPONSE_CODE(415);
    }

    return request->accept == GW_NO_FORMAT || request->accept == ours
           || request->accept == request->format
           ? 0 : COAP_RESPONSE_CODE(406);
}


/* Whether the body is complete; otherwise, there is a response. */

static int
gw_handle_body(gw_request_t *request, const coap_pdu_t *pdu, gw_body_t *body,
    coap_pdu_t *response)
{
    int    begins;
    gw_t  *gateway = request->gateway;

    begins = !request->has_block1 || request->block1.num == 0;

    if (!request->get) {
        (void) coap_get_data(pdu, &body->n, &body->bytes);
    }

    if (begins && gateway->stopping) {
        request->note = "stopping";
        gw_respond_error(request, COAP_RESPONSE_CODE(503), GW_STOPPING_AGE,
                         response);
        return 0;
    }

    if (request->has_block1 && !gw_handle_block1(request, body, response)) {
        return 0;
    }

    if (body->n > gateway->limits.max_body) {
        gw_handle_large(request, response);
        return 0;
    }

    return 1;
}


static int
gw_handle_block1(gw_request_t *request, gw_body_t *body, coap_pdu_t *response)
{
    int           code;
    gw_t         *gateway = request->gateway;
    gw_upload_e   rc;

    rc = gw_upload_add(&request->source->uploads, request->key,
                       &request->block1, body->bytes, body->n, request->began,
                       &body->data, &body->n);

    switch (rc) {

    case GW_UPLOAD_COMPLETE:
        body->bytes = body->data;
        return 1;

    case GW_UPLOAD_MORE:

        /* RFC 7959, section 2.3: the size may be negotiated at first */

        if (request->block1.num == 0 && request->block1.szx > gateway->szx) {
            request->block1.szx = gateway->szx;
        }

        gw_respond_error(request, COAP_RESPONSE_CODE(231), 0, response);
        return 0;

    case GW_UPLOAD_LARGE:
        gw_handle_large(request, response);
        return 0;

    case GW_UPLOAD_SHARED:
        gateway->counts.n[GW_SHARED]++;

        /* fall through */

    case GW_UPLOAD_FULL:
        gw_handle_full(request, "no memory for the body", response);
        return 0;

    case GW_UPLOAD_GAP:
        code = COAP_RESPONSE_CODE(408);
        break;

    default:
        code = COAP_RESPONSE_CODE(400);
        break;
    }

    gateway->counts.n[GW_REFUSED]++;
    gw_respond_error(request, code, 0, response);

    return 0;
}


/* RFC 7959, section 2.9.3. */

static void
gw_handle_large(gw_request_t *request, coap_pdu_t *response)
{
    gw_t          *gateway = request->gateway;
    gw_message_t   message;

    memset(&message, 0, sizeof(gw_message_t));
    message.code = COAP_RESPONSE_CODE(413);

    gw_message_uint(&message, COAP_OPTION_SIZE1,
                    (unsigned) gateway->limits.max_body);

    gateway->counts.n[GW_REFUSED]++;
    gw_respond(request, &message, response);
}


static void
gw_handle_full(gw_request_t *request, const char *note, coap_pdu_t *response)
{
    request->note = note;
    request->gateway->counts.n[GW_REFUSED]++;

    gw_respond_error(request, COAP_RESPONSE_CODE(503), GW_FULL_AGE, response);
}


/* Sets the service, and the session.  Returns 0 or a code. */

static int
gw_handle_service(gw_request_t *request, const gw_body_t *body)
{
    gw_hello_e          hello;
    const char         *relative;
    const gw_source_t  *source = request->source;

    hello = gw_hello_kind(body->bytes, body->n);

    if (request->path.relative) {
        request->service = request->path.service;
        relative = request->path.relative;

    } else if (source->relative && hello == GW_HELLO_NONE) {
        request->service = source->service;
        relative = source->relative;

    } else if (body->n == 0) {
        request->note = "no session of this source";
        return COAP_RESPONSE_CODE(404);

    } else {
        request->service = gw_handle_find(request, body);

        /*
         * A second ClientHello may follow a HelloRetryRequest.  With DTLS, the
         * service knows whether one was sent again: the random value is equal.
         */

        relative = request->service == source->service
                   && (source->fresh || hello == GW_HELLO_DTLS)
                   ? source->relative : NULL;
    }

    if (request->service == NULL) {
        request->note = "no such service";
        return COAP_RESPONSE_CODE(403);
    }

    if (relative) {
        request->relative = cmd_copy(relative, strlen(relative));
    }

    return 0;
}


/*
 * The service that is named in the ClientHello or in Uri-Host, whose default is
 * the name in the DTLS handshake.
 */

static const gw_service_t *
gw_handle_find(const gw_request_t *request, const gw_body_t *body)
{
    char         name[GW_HELLO_NAME];
    const char  *host;

    if (gw_hello_name(body->bytes, body->n, name) == 0) {
        host = name;

    } else {
        host = *request->host ? request->host : gw_handle_dtls_name(request);
    }

    return gw_service_find(&request->gateway->services, host);
}


static const char *
gw_handle_dtls_name(const gw_request_t *request)
{
    SSL                 *ssl;
    coap_tls_library_t   library;

    if (!request->source->secure) {
        return NULL;
    }

    ssl = coap_session_get_tls(request->source->coap, &library);

    return ssl && library == COAP_TLS_LIBRARY_OPENSSL
           ? SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) : NULL;
}


/*
 * Why a request with a body of n bytes cannot be forwarded, or NULL.  As an
 * address, each of several services may have as many as are left for others: if
 * it does not respond, they must not wait for it.
 */

static const char *
gw_handle_room(gw_request_t *request, size_t n)
{
    gw_t               *gateway = request->gateway;
    const gw_limits_t  *limits = &gateway->limits;
    const gw_share_t   *share = request->source->share;

    if (limits->posts >= limits->max_posts
        || limits->memory + n > limits->max_memory)
    {
        return "too many requests in progress";
    }

    if (limits->posts + share->posts >= limits->max_posts
        || !gw_share_has(share, n))
    {
        gateway->counts.n[GW_SHARED]++;
        return "too many requests of this address in progress";
    }

    if (gateway->services.n > 1
        && limits->posts + *request->service->posts >= limits->max_posts)
    {
        gateway->counts.n[GW_SHARED]++;
        return "too many requests to this service in progress";
    }

    return NULL;
}

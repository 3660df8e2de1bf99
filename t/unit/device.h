
/* Requests of devices to atls gateway, and the responses of services. */


#ifndef _DEVICE_H_INCLUDED_
#define _DEVICE_H_INCLUDED_


#include "gateway.h"


#define START       1000000             /* milliseconds */
#define RATE        100                 /* bytes per second */
#define BURST       (10 * RATE)
#define RESPONSE    200                 /* bytes */

#define A           devices[0]
#define B           devices[1]
#define C           devices[2]          /* has another address */

#define BUSY        COAP_RESPONSE_CODE(503)
#define MORE        COAP_RESPONSE_CODE(231)


static uint16_t  mid;
static int       resend;                /* the next request has the last ID */
static int       silent;                /* requests have no Echo option */
static unsigned  code;                  /* of the last response */


static inline void
begin(int64_t rate, size_t max_memory, unsigned max_sources)
{
    gw_limits_t  *limits = &gateway.limits;

    if (coap == NULL) {
        gateway_start();
    }

    fuzz_time = START;
    memset(limits, 0, sizeof(gw_limits_t));
    memset(&gateway.rate, 0, sizeof(gw_rate_t));
    memset(&gateway.counts, 0, sizeof(gw_counts_t));

    limits->max_memory = max_memory;
    limits->max_body = MAX_BODY;
    limits->max_posts = 100;
    limits->max_sources = max_sources;
    gateway.szx = 6;
    gateway.rate.rate = rate;

    gw_sources_init(&gateway.sources, limits);
    TAILQ_INIT(&gateway.waiting);
    LIST_INIT(&gateway.poster.active);
}


static inline void
end(void)
{
    gw_sources_free(&gateway.sources);

    must(gateway.limits.memory == 0 && gateway.limits.sources == 0);
    must(gateway.sources.nkept == 0 && gateway.sources.shares.tree == NULL);
}


static inline void
option(coap_pdu_t *pdu, coap_option_num_t number, const void *value, size_t n)
{
    must(coap_add_option(pdu, number, n, value));
}


/* A Confirmable request with a path. */

static inline coap_pdu_t *
request(coap_session_t *device, const char *session)
{
    uint8_t         echo[GW_ECHO_SIZE];
    coap_pdu_t     *pdu;
    gw_source_t    *source;

    mid += !resend;
    resend = 0;

    source = gw_source_get(&gateway.sources, device);
    pdu = coap_pdu_init(COAP_MESSAGE_CON, COAP_REQUEST_CODE_POST, mid, 4096);
    must(pdu && coap_add_token(pdu, 0, NULL));

    option(pdu, COAP_OPTION_URI_PATH, ".well-known", 11);
    option(pdu, COAP_OPTION_URI_PATH, "atls", 4);

    if (session) {
        option(pdu, COAP_OPTION_URI_PATH, session, strlen(session));
    }

    if (gateway.rate.rate == 0 && !silent) {
        must(gw_echo_make(&gateway.echo, source->name, fuzz_time, echo) == 0);
        option(pdu, COAP_OPTION_ECHO, echo, sizeof(echo));
    }

    return pdu;
}


/*
 * Returns the size of the payload of the response plus one; 0: there is none
 * yet.
 */

static inline size_t
handle(coap_session_t *device, coap_pdu_t *pdu)
{
    size_t          n;
    coap_pdu_t     *response;
    const uint8_t  *data;

    response = coap_pdu_init(COAP_MESSAGE_ACK, 0, mid, 4096);
    must(response && coap_add_token(response, 0, NULL));

    gw_handle(&gateway, device, pdu, response);

    code = coap_pdu_get_code(response);
    n = code ? 1 : 0;

    if (code && coap_get_data(response, &n, &data)) {
        n++;
    }

    coap_delete_pdu(pdu);
    coap_delete_pdu(response);

    return n;
}


/* A request of a session, for a block if it is not 0. */

static inline size_t
ask(coap_session_t *device, unsigned block)
{
    uint8_t      value[4];
    coap_pdu_t  *pdu;

    pdu = request(device, "abc");

    if (block) {
        option(pdu, COAP_OPTION_BLOCK2, value,
               coap_encode_var_safe(value, sizeof(value), block));
    }

    return handle(device, pdu);
}


/* The code of the response to a request for a service, or a block of it. */

static inline unsigned
put(coap_session_t *device, const char *host, unsigned block, const void *body,
    size_t n)
{
    uint8_t      value[4];
    coap_pdu_t  *pdu;

    pdu = request(device, NULL);
    option(pdu, COAP_OPTION_URI_HOST, host, strlen(host));

    if (block) {
        option(pdu, COAP_OPTION_BLOCK1, value,
               coap_encode_var_safe(value, sizeof(value), block));
    }

    must(coap_add_data(pdu, n, body));

    (void) handle(device, pdu);

    return code;
}


/* The response of the service to the last request. */

static inline void
answer(size_t n)
{
    gw_post_t       *post = LIST_FIRST(&gateway.poster.active);
    static uint8_t   bytes[MAX_BODY];

    must(post);

    post->reply.status = 200;
    post->reply.kind = ATLS_REPLY_GOOD;
    post->answer.data = bytes;
    post->answer.len = n;

    post->posted(post->data, post);

    gateway_release(post);
}


/* As in gateway.c. */

static inline void
acknowledge(void)
{
    gw_request_t  *waiting;

    while ((waiting = TAILQ_FIRST(&gateway.waiting))) {
        TAILQ_REMOVE(&gateway.waiting, waiting, entry);
        waiting->waiting = 0;
        gw_respond_later(waiting);
    }
}


static inline void
pass(int64_t time)
{
    fuzz_time += time;
    gw_sources_expire(&gateway.sources, fuzz_time);
}


static inline int
kept(coap_session_t *device)
{
    gw_source_t  *source = coap_session_get_app_data(device);

    return source && source->kept;
}


#endif /* _DEVICE_H_INCLUDED_ */

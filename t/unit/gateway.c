
/*
 * atls gateway without sockets: what an address gets that may be forged, what
 * is kept for a device and how long, names with null bytes.
 */


#include "gateway.h"


#define START       1000000             /* milliseconds */
#define RATE        100                 /* bytes per second */
#define BURST       (10 * RATE)
#define RESPONSE    200                 /* bytes */

#define A           devices[0]
#define B           devices[1]


static uint16_t  mid;
static int       resend;                /* the next request has the last ID */


static void
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


static void
end(void)
{
    gw_sources_free(&gateway.sources);

    must(gateway.limits.memory == 0 && gateway.limits.sources == 0);
    must(gateway.sources.nkept == 0);
}


/*
 * A Confirmable request, for a block if it is not 0.  Returns the size of the
 * payload of the response plus one; 0: there is none yet.
 */

static size_t
ask(coap_session_t *device, unsigned block)
{
    size_t          n;
    uint8_t         echo[GW_ECHO_SIZE], value[4];
    coap_pdu_t     *pdu, *response;
    gw_source_t    *source;
    const uint8_t  *data;

    mid += !resend;
    resend = 0;

    source = gw_source_get(&gateway.sources, device);
    pdu = coap_pdu_init(COAP_MESSAGE_CON, COAP_REQUEST_CODE_POST, mid, 512);
    response = coap_pdu_init(COAP_MESSAGE_ACK, 0, mid, 4096);
    must(pdu && response);

    must(coap_add_token(pdu, 0, NULL) && coap_add_token(response, 0, NULL));
    must(coap_add_option(pdu, COAP_OPTION_URI_PATH, 11,
                         (const uint8_t *) ".well-known"));
    must(coap_add_option(pdu, COAP_OPTION_URI_PATH, 4,
                         (const uint8_t *) "atls"));
    must(coap_add_option(pdu, COAP_OPTION_URI_PATH, 3,
                         (const uint8_t *) "abc"));

    if (block) {
        must(coap_add_option(pdu, COAP_OPTION_BLOCK2,
                             coap_encode_var_safe(value, sizeof(value), block),
                             value));
    }

    if (gateway.rate.rate == 0) {
        must(gw_echo_make(&gateway.echo, source->name, fuzz_time, echo) == 0);
        must(coap_add_option(pdu, COAP_OPTION_ECHO, sizeof(echo), echo));
    }

    gw_handle(&gateway, device, pdu, response);

    n = 0;

    if (coap_pdu_get_code(response)) {
        n = 1;

        if (coap_get_data(response, &n, &data)) {
            n++;
        }
    }

    coap_delete_pdu(pdu);
    coap_delete_pdu(response);

    return n;
}


/* The response of the service to the last request. */

static void
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

    LIST_REMOVE(post, entry);
    gateway.limits.memory -= post->n;
    gateway.limits.posts--;
    free(post->body);
    free(post);
}


/* As in gateway.c. */

static void
acknowledge(void)
{
    gw_request_t  *waiting;

    while ((waiting = TAILQ_FIRST(&gateway.waiting))) {
        TAILQ_REMOVE(&gateway.waiting, waiting, entry);
        waiting->waiting = 0;
        gw_respond_later(waiting);
    }
}


static void
pass(int64_t time)
{
    fuzz_time += time;
    gw_sources_expire(&gateway.sources, fuzz_time);
}


static void
test_rate(void)
{
    int     i;
    size_t  n, bytes;

    begin(RATE, 1 << 20, DEVICES);

    must(ask(A, 0) == 0);
    answer(RESPONSE);
    bytes = RESPONSE;

    for (i = 0; i < 100; i++) {
        resend = 1;
        n = ask(A, 0);
        bytes += n ? n - 1 : 0;
    }

    ok(bytes > RESPONSE && bytes <= BURST + RESPONSE,
       "the rate is also that of duplicates");
    ok(gateway.counts.n[GW_LIMITED], "those without a response are counted");

    /* less than a byte at a time */

    for (bytes = 0, i = 0; i < 20000; i++) {
        pass(5);
        resend = 1;
        n = ask(A, 0);
        bytes += n ? n - 1 : 0;
    }

    ok(bytes > 80 * RATE / 2 && bytes <= 100 * RATE + RESPONSE,
       "the rate with many requests");

    /* what was sent too much is not forgotten */

    gateway.rate.rate = 1;

    for (bytes = 0, i = 0; i < 100; i++) {
        pass(11000);
        resend = i % 10 != 0;
        n = ask(A, 0);

        if (n == 0 && !LIST_EMPTY(&gateway.poster.active)) {
            answer(RESPONSE);
            n = RESPONSE + 1;
        }

        bytes += n ? n - 1 : 0;
    }

    ok(bytes > 500 && bytes <= 1100 + RESPONSE, "a low rate");

    end();
}


static void
test_forged(void)
{
    begin(100000, 1 << 20, DEVICES);

    must(ask(A, 0) == 0);
    acknowledge();
    answer(RESPONSE);

    ok(sent_type == COAP_MESSAGE_NON,
       "a separate response to an address that is not verified");

    end();
}


static void
test_confirms(void)
{
    int     i, con;
    size_t  memory;

    begin(0, 1 << 20, DEVICES);

    for (con = 0, i = 0; i < 3 * GW_CONFIRMS; i++) {
        must(ask(A, 0) == 0);
        acknowledge();
        answer(RESPONSE);
        con += sent_type == COAP_MESSAGE_CON;
    }

    ok(con == GW_CONFIRMS, "Confirmable responses are limited");
    ok(gateway.limits.memory >= GW_CONFIRMS * RESPONSE, "and are in memory");

    must(ask(A, 0) == 0);
    answer(RESPONSE);
    ok(sent_type == COAP_MESSAGE_ACK, "others are acknowledgements");

    must(ask(B, 0) == 0);
    acknowledge();
    answer(RESPONSE);
    ok(sent_type == COAP_MESSAGE_CON, "another device");

    pass(93000);
    ok(gateway.limits.memory == 0, "after the last retransmission");

    must(ask(A, 0) == 0);
    acknowledge();
    answer(RESPONSE);
    ok(sent_type == COAP_MESSAGE_CON, "they are Confirmable again");

    /* of all devices */

    memory = gateway.limits.memory;
    gateway.limits.max_memory = memory + RESPONSE;
    must(ask(B, 0) == 0);
    acknowledge();
    answer(RESPONSE);
    ok(sent_type == COAP_MESSAGE_NON && gateway.limits.memory == memory,
       "memory is limited");

    end();
}


static int
kept(coap_session_t *device)
{
    gw_source_t  *source = coap_session_get_app_data(device);

    return source && source->kept;
}


static void
test_kept(void)
{
    begin(0, 1 << 20, 1);

    (void) gw_source_get(&gateway.sources, A);
    ok(!kept(A), "a source that is not verified is not kept");

    must(ask(A, 0) == 0);
    answer(0);
    ok(kept(A), "one that is verified");

    must(ask(B, 0) == 0);
    answer(0);
    ok(kept(B) && !kept(A), "the last ones");

    must(ask(A, 0) == 0);
    answer(0);
    ok(kept(A) && !kept(B), "also if they were forgotten");

    pass(299000);
    must(ask(A, 0) == 0);
    answer(0);
    pass(299000);
    ok(kept(A), "one that is used");

    pass(1000);
    ok(!kept(A) && gateway.sources.nkept == 0, "until they are idle");

    end();
}


static void
test_answers(void)
{
    begin(0, 1 << 20, DEVICES);

    must(ask(A, 0) == 0);
    answer(2000);
    must(ask(A, 1 << 4 | 6) == 2000 - 1024 + 1);

    must(ask(B, 0) == 0);
    answer(2000);
    must(gateway.limits.memory == 4000);

    pass(20000);
    ok(gateway.limits.memory == 4000, "responses are kept");

    gateway.limits.max_memory = 3000;
    pass(1000);
    ok(gateway.limits.memory == 2000,
       "if memory is short, only those that were not read");
    ok(ask(B, 1 << 4 | 6) == 2000 - 1024 + 1, "its last block");

    pass(9000);
    ok(ask(B, 1 << 4 | 6) == 2000 - 1024 + 1, "again");

    end();
}


static void
test_names(void)
{
    static const char  name[] = "named\0\0\0\0\0\0\0\0\0\0\0\0";

    const gw_services_t  *services = &gateway.services;

    ok(gw_service_named(services, name, 5) != NULL, "a name");
    ok(gw_service_named(services, name, 4) == NULL, "the beginning of a name");
    ok(gw_service_named(services, name, 6) == NULL
       && gw_service_named(services, name, 7) == NULL
       && gw_service_named(services, name, 16) == NULL,
       "a name with null bytes");
}


int
main(void)
{
    test_rate();
    test_forged();
    test_confirms();
    test_kept();
    test_answers();
    test_names();

    return tap_done();
}

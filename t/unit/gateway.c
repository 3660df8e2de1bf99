
/*
 * atls gateway without sockets: what an address gets that may be forged, what
 * is kept for a device and how long, what one address may have, names.
 */


#include "device.h"
#include "clienthello.h"


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
    must(ask(C, 0) == 0);
    acknowledge();
    answer(RESPONSE);
    ok(sent_type == COAP_MESSAGE_NON && gateway.limits.memory == memory,
       "memory is limited");

    end();
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
    size_t  memory;

    begin(0, 1 << 20, DEVICES);

    must(ask(A, 0) == 0);
    answer(2000);
    must(ask(A, 1 << 4 | 6) == 2000 - 1024 + 1);

    memory = gateway.limits.memory;
    must(memory > 2000);

    must(ask(B, 0) == 0);
    answer(2000);

    pass(20000);
    ok(gateway.limits.memory == 2 * memory, "responses are kept");

    gateway.limits.max_memory = 3 * memory;
    pass(1000);
    ok(gateway.limits.memory == memory,
       "if memory is short, only those that were not read");
    ok(ask(B, 1 << 4 | 6) == 2000 - 1024 + 1, "its last block");

    pass(9000);
    ok(ask(B, 1 << 4 | 6) == 2000 - 1024 + 1, "again");

    end();
}


/* A message ID that is used again before the response to the first request. */

static void
test_reused(void)
{
    int        i;
    uint16_t   first;
    gw_post_t  *older;

    begin(0, 1 << 20, DEVICES);

    must(ask(A, 0) == 0);
    older = LIST_FIRST(&gateway.poster.active);
    first = mid;

    for (i = 0; i < 256; i++) {
        must(ask(A, 0) == 0);
        answer(0);
    }

    pass(1000);
    mid = (uint16_t) (first - 1);
    must(ask(A, 0) == 0);
    answer(20);

    LIST_REMOVE(older, entry);
    LIST_INSERT_HEAD(&gateway.poster.active, older, entry);
    answer(10);

    mid = first;
    resend = 1;
    ok(ask(A, 0) == 20 + 1, "a message ID that is used again");

    end();
}


/* Requests may be forged, but not the return of what was sent. */

static void
test_verified(void)
{
    int  i;

    begin(0, 1 << 20, DEVICES);

    must(ask(A, 0) == 0);
    answer(0);

    for (silent = 1, i = 0; i < 14; i++) {
        pass(250000);
        must(ask(A, 0) == 0);
        answer(0);
    }

    ok(kept(A), "a source that is used stays verified");

    pass(100000);
    (void) ask(A, 0);
    ok(code == COAP_RESPONSE_CODE(401), "for an hour");

    silent = 0;
    must(ask(A, 0) == 0);
    answer(0);
    silent = 1;
    must(ask(A, 0) == 0);
    answer(0);
    silent = 0;

    ok(kept(A), "and again");

    end();
}


/* The session that a ClientHello begins, or belongs to. */

static gw_request_t *
forwarded(const unsigned char *bytes, size_t n)
{
    must(put(A, "default", 0, bytes, n) == 0);

    return LIST_FIRST(&gateway.poster.active)->data;
}


static void
test_session(void)
{
    size_t                n;
    gw_source_t          *source;
    gw_request_t         *request;
    const gw_service_t   *named;
    const unsigned char  *bytes;

    begin(0, 1 << 20, DEVICES);

    named = gw_service_named(&gateway.services, "named", 5);
    n = hello(DTLS_client_method(), "named", 1400, &bytes);

    request = forwarded(bytes, n);
    ok(request->service == named && request->relative == NULL,
       "DTLS: the service of a new session");
    answer(0);

    source = coap_session_get_app_data(A);
    gw_source_set(source, named, "abc");
    source->fresh = 0;

    request = forwarded(bytes, n);
    ok(request->relative && strcmp(request->relative, "abc") == 0,
       "a ClientHello that is sent again");
    answer(0);

    gw_source_set(source, gw_service_find(&gateway.services, NULL), "abc");
    request = forwarded(bytes, n);
    ok(request->service == named && request->relative == NULL,
       "one for another service");
    answer(0);
    free((void *) bytes);

    gw_source_set(source, named, "abc");
    source->fresh = 0;
    n = hello(TLS_client_method(), "named", 0, &bytes);
    request = forwarded(bytes, n);
    ok(request->service == named && request->relative == NULL,
       "TLS: a new session");
    answer(0);
    free((void *) bytes);

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


/* What a service may say is the path of its session. */

static int
written(const gw_service_t *service, const char *relative)
{
    int            rc;
    gw_message_t   message;

    memset(&message, 0, sizeof(gw_message_t));
    rc = gw_path_write(&message, &gateway.services, service, relative);
    gw_message_free(&message);

    return rc == 0;
}


static void
test_paths(void)
{
    const gw_service_t  *unnamed, *named;

    unnamed = gw_service_find(&gateway.services, NULL);
    named = gw_service_find(&gateway.services, "named");

    ok(written(unnamed, "abc/named") && written(named, "named/abc"), "a path");
    ok(!written(unnamed, "named/abc") && !written(unnamed, "n%61MED/abc"),
       "that of another service");
}


int
main(void)
{
    test_rate();
    test_forged();
    test_confirms();
    test_kept();
    test_answers();
    test_reused();
    test_verified();
    test_session();
    test_names();
    test_paths();

    return tap_done();
}


/*
 * atls gateway without sockets: what one address may have of each limit, with
 * one port or several, and one service of several.
 */


#include <arpa/inet.h>

#include "device.h"


/* Responses that are waited for are a part of the rate. */

static void
test_pending(void)
{
    int  i;

    begin(5 * RATE, 1 << 20, DEVICES);

    for (i = 0; i < 50; i++) {
        must(ask(A, 0) == 0);
    }

    ok(gateway.limits.posts == 5, "the rate is that of requests in progress");
    ok(gateway.counts.n[GW_LIMITED] == 45, "others get no response");

    while (!LIST_EMPTY(&gateway.poster.active)) {
        answer(0);
    }

    end();
}


/* With one service. */

static void
test_posts(void)
{
    int     i;
    size_t  services;

    begin(0, 1 << 20, DEVICES);
    gateway.limits.max_posts = 6;
    services = gateway.services.n;
    gateway.services.n = 1;

    for (i = 0; i < 3; i++) {
        must(put(i ? A : B, "default", 0, "x", 1) == 0);
    }

    ok(put(A, "default", 0, "x", 1) == BUSY, "an address has half of them");
    ok(put(B, "default", 0, "x", 1) == BUSY, "with all of its ports");
    ok(gateway.counts.n[GW_SHARED] == 2 && gateway.counts.n[GW_REFUSED] == 2,
       "the others are counted");
    ok(put(C, "default", 0, "x", 1) == 0, "another address");
    ok(put(C, "default", 0, "x", 1) == 0, "has a part of the rest");
    ok(put(C, "default", 0, "x", 1) == BUSY, "as well");

    while (!LIST_EMPTY(&gateway.poster.active)) {
        answer(0);
    }

    ok(put(A, "default", 0, "x", 1) == 0, "later");
    answer(0);
    gateway.services.n = services;

    end();
}


/* Two addresses, each of which may have more. */

static void
test_services(void)
{
    size_t  services;

    begin(0, 1 << 20, DEVICES);
    gateway.limits.max_posts = 8;
    services = gateway.services.n;

    must(put(A, "named", 0, "x", 1) == 0);
    must(put(A, "named", 0, "x", 1) == 0);
    must(put(C, "named", 0, "x", 1) == 0);
    must(put(C, "named", 0, "x", 1) == 0);

    ok(put(A, "named", 0, "x", 1) == BUSY, "a service has half of the POSTs");
    ok(put(A, "default", 0, "x", 1) == 0, "another one has a part of the rest");

    gateway.services.n = 1;
    ok(put(C, "default", 0, "x", 1) == 0, "the only one has all of them");
    gateway.services.n = services;

    while (!LIST_EMPTY(&gateway.poster.active)) {
        answer(0);
    }

    end();
}


/* Bodies that are not complete. */

static void
test_memory(void)
{
    int             i;
    static uint8_t  block[1024];

    begin(0, 16 * 1024, DEVICES);
    gateway.limits.max_body = 16 * 1024;

    for (i = 0; i < 7; i++) {
        must(put(A, "default", (unsigned) i << 4 | 8 | 6, block, 1024) == MORE);
    }

    must(put(B, "default", 8 | 6, block, 1024) == MORE);
    ok(put(B, "default", 1 << 4 | 8 | 6, block, 1024) == BUSY,
       "blocks: an address has half of the memory");
    ok(gateway.counts.n[GW_SHARED] == 1, "which is counted");
    ok(put(C, "default", 8 | 6, block, 1024) == MORE, "another address");

    end();
    begin(0, 16 * 1024, DEVICES);

    must(put(A, "default", 8, block, 16) == MORE);
    ok(gateway.limits.memory > 16 + sizeof(gw_upload_t),
       "what is kept for a block is counted");

    end();
}


static void
test_sources(void)
{
    begin(0, 1 << 20, 3);

    must(ask(C, 0) == 0);
    answer(0);
    must(ask(A, 0) == 0);
    answer(0);
    ok(kept(A) && kept(C), "two addresses");

    must(ask(B, 0) == 0);
    answer(0);
    ok(kept(B) && kept(C) && !kept(A), "sources of one replace each other");

    end();
}


/* An address of IPv6. */

static void
move(coap_session_t *device, const char *text)
{
    coap_address_t  *remote;

    remote = (coap_address_t *) coap_session_get_addr_remote(device);

    coap_address_init(remote);
    remote->size = sizeof(remote->addr.sin6);
    remote->addr.sin6.sin6_family = AF_INET6;
    must(inet_pton(AF_INET6, text, &remote->addr.sin6.sin6_addr) == 1);
}


static gw_share_t *
share(coap_session_t *device)
{
    return gw_source_get(&gateway.sources, device)->share;
}


/* The last test: the devices keep their addresses. */

static void
test_addresses(void)
{
    move(A, "2001:db8::1");
    move(B, "2001:db8::2:0:0:1");
    move(C, "2001:db8:0:1::1");

    begin(RATE, 1 << 20, DEVICES);

    ok(share(A) == share(B), "IPv6: addresses of a network are one");
    ok(share(A) != share(C), "but not those of another one");

    must(ask(A, 0) == 0);
    answer(2 * BURST);
    must(ask(B, 0) == 0);
    ok(gateway.counts.n[GW_LIMITED] == 1, "they have one rate");
    must(ask(C, 0) == 0);
    ok(gateway.limits.posts == 1, "another network has its own");
    answer(0);

    end();

    move(B, "::ffff:127.0.0.2");
    move(C, "::ffff:127.0.0.3");

    begin(0, 1 << 20, DEVICES);

    ok(share(B) != share(C), "addresses of IPv4 in IPv6 are not one");
    move(A, "::ffff:127.0.0.2");
    ok(share(A) == share(B), "the same one is");

    end();
}


int
main(void)
{
    test_pending();
    test_posts();
    test_services();
    test_memory();
    test_sources();
    test_addresses();

    return tap_done();
}

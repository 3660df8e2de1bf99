
/*
 * The name in a ClientHello, which atls gateway reads: of TLS and of DTLS, in
 * records and fragments that OpenSSL makes, in other ones, and in parts.
 */


#define _GNU_SOURCE

#include "../../src/client/lib/error.c"
#include "../../src/client/cmd/base/exitcode.c"
#include "../../src/client/cmd/base/util.c"
#include "../../src/client/gateway/hello.c"

#include "clienthello.h"


/* The body must not be read beyond its end, and a part of it has no name. */

static void
test_hello(const SSL_METHOD *method, unsigned mtu, gw_hello_e kind)
{
    int                   named;
    char                  name[GW_HELLO_NAME], got[GW_HELLO_NAME];
    size_t                n, i;
    unsigned char        *part;
    const unsigned char  *bytes;

    memset(name, 'n', sizeof(name));
    name[200] = '\0';

    n = hello(method, name, mtu, &bytes);

    ok(gw_hello_kind(bytes, n) == kind, "a ClientHello, MTU %u", mtu);
    ok(gw_hello_name(bytes, n, got) == 0 && strcmp(got, name) == 0,
       "its name");

    for (named = 0, i = 1; i < n; i++) {
        part = memcpy(malloc(i), bytes, i);
        named += gw_hello_name(part, i, got) == 0;
        free(part);
    }

    ok(named == 0, "a part of it");

    part = memcpy(malloc(n), bytes, n);
    part[kind == GW_HELLO_DTLS ? GW_DTLS_RECORD + 3 : GW_RECORD_HEADER + 3]++;
    ok(gw_hello_name(part, n, got) == -1, "one that is not complete");
    free(part);
    free((void *) bytes);

    n = hello(method, NULL, mtu, &bytes);
    ok(gw_hello_kind(bytes, n) == kind && gw_hello_name(bytes, n, got) == -1,
       "none without a name");
    free((void *) bytes);
}


/* Records of a ClientHello in fragments, in another order, or more of them. */

static void
test_fragments(void)
{
    char                  name[GW_HELLO_NAME], got[GW_HELLO_NAME];
    size_t                n, first;
    unsigned char        *body;
    const unsigned char  *bytes;

    memset(name, 'n', sizeof(name));
    name[200] = '\0';

    n = hello(DTLS_client_method(), name, 256, &bytes);
    first = GW_DTLS_RECORD + ((size_t) bytes[11] << 8 | bytes[12]);
    must(first < n);
    body = malloc(n + first);

    memcpy(body, bytes, first);
    memcpy(body + first, bytes, n);
    ok(gw_hello_name(body, n + first, got) == 0 && strcmp(got, name) == 0,
       "a fragment that comes twice");

    ok(gw_hello_name(bytes, first, got) == -1
       && gw_hello_kind(bytes, first) == GW_HELLO_DTLS,
       "the first one alone");

    memcpy(body, bytes + first, n - first);
    memcpy(body + n - first, bytes, first);
    ok(gw_hello_name(body, n, got) == -1
       && gw_hello_kind(body, n) == GW_HELLO_NONE, "in another order");

    memcpy(body, bytes, n);
    body[first + 4] = 1;
    ok(gw_hello_name(body, n, got) == -1, "of another epoch");

    memcpy(body, bytes, n);
    body[first + GW_DTLS_RECORD + 5]++;
    ok(gw_hello_name(body, n, got) == -1, "of another message");

    memcpy(body, bytes, n);
    body[first + GW_DTLS_RECORD + 3]++;
    ok(gw_hello_name(body, n, got) == -1, "of another length");

    memcpy(body, bytes, n);
    body[first + GW_DTLS_RECORD + 8]++;
    ok(gw_hello_name(body, n, got) == -1, "at another place");

    free(body);
    free((void *) bytes);
}


/* With a cookie, as after a HelloVerifyRequest. */

static void
test_cookie(void)
{
    char                  name[GW_HELLO_NAME];
    size_t                n, at;
    unsigned char        *body;
    const unsigned char  *bytes;

    n = hello(DTLS_client_method(), "named", 1400, &bytes);
    at = GW_DTLS_RECORD + GW_DTLS_MESSAGE + 2 + 32 + 1;
    must(bytes[at] == 0);

    body = calloc(1, n + 20);
    memcpy(body, bytes, at);
    memcpy(body + at + 20, bytes + at, n - at);

    body[at] = 20;
    body[at + 20] = 0;
    body[GW_DTLS_RECORD - 1] += 20;
    body[GW_DTLS_RECORD + 3] += 20;
    body[GW_DTLS_RECORD + 5] = 1;
    body[GW_DTLS_RECORD + 11] += 20;

    ok(gw_hello_name(body, n + 20, name) == 0 && strcmp(name, "named") == 0,
       "a cookie");

    free(body);
    free((void *) bytes);
}


int
main(void)
{
    test_hello(TLS_client_method(), 0, GW_HELLO_TLS);
    test_hello(DTLS_client_method(), 1400, GW_HELLO_DTLS);
    test_hello(DTLS_client_method(), 256, GW_HELLO_DTLS);
    test_fragments();
    test_cookie();

    return tap_done();
}

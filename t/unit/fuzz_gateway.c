
/*
 * atls gateway without sockets: devices that send datagrams, whole and mutated,
 * and services that send any response.  A device reaches nothing but sessions
 * of the services, a message is forwarded once, and only if the address was
 * verified; each forwarded request gets one response, and no memory is left.
 *
 * Input: a byte with limits, then operations, each with a byte, a length (two
 * bytes) and this many bytes, if available.
 *
 * Without FUZZ_ENGINE: main() with random input, a given number of times.
 */


#include "gateway.h"
#include "fuzz.h"


#define OPS         8
#define START       1000000             /* milliseconds */

/*
 * There is room for a request, but the memory for its response, and for keys
 * and options, is not reserved.
 */

#define BEYOND      (DEVICES * (GW_ANSWERS + GW_UPLOADS) * 2 * MAX_BODY)

typedef enum {
    HAS_SESSION = 1,
    HAS_NAME = 2,
    HAS_BLOCK1 = 4,
    HAS_BLOCK2 = 8,
    HAS_TAG = 16,
    HAS_ECHO = 32,
    IS_GET = 64,
    IS_NON = 128
} fuzz_request_e;


/* Responses: a byte for the kind, one for the header, and the body. */

static void
respond(const uint8_t *input, size_t size)
{
    unsigned    kind, header;
    gw_post_t  *post;
    char        text[128];

    static const int  statuses[] = { 200, 201, 400, 409, 410, 413, 415, 429,
                                     500, 503, 504, 0 };

    static const char *const  locations[] = {
        NULL, "/atls/abc", "/a/b/abc", "http://default/atls/abc/def",
        "/elsewhere/abc", "/atls/", "/atls/../abc", "/atls/a%2fb", "?abc"
    };

    post = LIST_FIRST(&gateway.poster.active);

    if (post == NULL || size < 2) {
        return;
    }

    kind = input[0] % (sizeof(statuses) / sizeof(statuses[0]));
    header = input[1] % (1 + sizeof(locations) / sizeof(locations[0]));
    input += 2;
    size -= 2;

    if (header == sizeof(locations) / sizeof(locations[0])) {
        snprintf(text, sizeof(text), "%.*s", (int) size, (const char *) input);
        location = text;

    } else {
        location = locations[header];
    }

    cookie = (header == 1) ? "atls=a" : NULL;

    post->reply.status = statuses[kind];
    post->reply.kind = (kind < 2 && header != 4) ? ATLS_REPLY_GOOD
                                                 : ATLS_REPLY_OTHER;
    post->reply.retry_after = (long) size;
    post->code = (kind == 11) ? CURLE_RECV_ERROR : CURLE_OK;
    post->large = (size == 1);
    post->answer.data = (unsigned char *) input;
    post->answer.len = size;

    sent = 0;
    post->posted(post->data, post);
    must(sent == 1);

    gateway_release(post);
}


/* requests */

static void
handle(coap_session_t *device, const coap_pdu_t *pdu)
{
    int                 type, mid, again;
    unsigned            code, before;
    coap_pdu_t         *response;
    gw_source_t        *source;
    coap_bin_const_t    token;

    type = coap_pdu_get_type(pdu);
    code = coap_pdu_get_code(pdu);
    mid = coap_pdu_get_mid(pdu);
    token = coap_pdu_get_token(pdu);

    /* others are handled by libcoap */

    if ((type != COAP_MESSAGE_CON && type != COAP_MESSAGE_NON)
        || (code != COAP_REQUEST_CODE_GET && code != COAP_REQUEST_CODE_POST))
    {
        return;
    }

    response = coap_pdu_init(type == COAP_MESSAGE_CON ? COAP_MESSAGE_ACK
                                                      : COAP_MESSAGE_NON,
                             0, mid, coap_session_max_pdu_size(device));
    must(response && coap_add_token(response, token.length, token.s));

    source = coap_session_get_app_data(device);
    again = source && gw_exchange_find(&source->exchanges, mid);
    before = started;

    gw_handle(&gateway, device, pdu, response);

    source = coap_session_get_app_data(device);

    must(started == before || (!again && started == before + 1));
    must(started == before || gw_exchange_find(&source->exchanges, mid));
    must(started == before || coap_pdu_get_code(response) == 0);

    if (coap_pdu_get_code(response)) {
        check_response(response);
    }

    must(gateway.limits.memory <= gateway.limits.max_memory + BEYOND);

    coap_delete_pdu(response);
}


static void
datagram(coap_session_t *device, const uint8_t *input, size_t size)
{
    coap_pdu_t  *pdu;

    if (size < 4) {
        return;
    }

    pdu = coap_pdu_init(0, 0, 0, size - 4);
    must(pdu);

    if (coap_pdu_parse(COAP_PROTO_UDP, input, size, pdu)) {
        handle(device, pdu);
    }

    coap_delete_pdu(pdu);
}


static void
add(coap_pdu_t *pdu, coap_option_num_t number, const void *value, size_t n)
{
    must(coap_add_option(pdu, number, n, value));
}


static void
add_block(coap_pdu_t *pdu, coap_option_num_t number, unsigned value)
{
    uint8_t  bytes[4];

    add(pdu, number, bytes, coap_encode_var_safe(bytes, sizeof(bytes), value));
}


/* A request that is well-formed: flags, message ID, two blocks, a body. */

static void
request(coap_session_t *device, const uint8_t *input, size_t size)
{
    unsigned       flags;
    uint8_t        echo[GW_ECHO_SIZE];
    coap_pdu_t    *pdu;
    gw_source_t   *source;

    if (size < 4) {
        return;
    }

    flags = input[0];
    source = gw_source_get(&gateway.sources, device);

    pdu = coap_pdu_init(flags & IS_NON ? COAP_MESSAGE_NON : COAP_MESSAGE_CON,
                        flags & IS_GET ? COAP_REQUEST_CODE_GET
                                       : COAP_REQUEST_CODE_POST,
                        input[1], 4096 + 64);
    must(pdu && coap_add_token(pdu, 2, input));

    add(pdu, COAP_OPTION_URI_PATH, ".well-known", 11);
    add(pdu, COAP_OPTION_URI_PATH, "atls", 4);

    if (flags & HAS_NAME) {
        add(pdu, COAP_OPTION_URI_PATH, "named", 5);
    }

    if (flags & HAS_SESSION) {
        add(pdu, COAP_OPTION_URI_PATH, "abc", 3);
    }

    if (flags & HAS_BLOCK2) {
        add_block(pdu, COAP_OPTION_BLOCK2, input[3]);
    }

    if (flags & HAS_BLOCK1) {
        add_block(pdu, COAP_OPTION_BLOCK1, input[2]);
    }

    if (flags & HAS_ECHO) {
        must(gw_echo_make(&gateway.echo, source->name, fuzz_time, echo) == 0);
        add(pdu, COAP_OPTION_ECHO, echo, sizeof(echo));
    }

    if (flags & HAS_TAG) {
        add(pdu, COAP_OPTION_RTAG, input, 1);
    }

    if (size > 4) {
        must(coap_add_data(pdu, size - 4, input + 4));
    }

    handle(device, pdu);
    coap_delete_pdu(pdu);
}


/* A ClientHello with a name, of TLS, or of DTLS in two fragments. */

static const uint8_t  tls_hello[] = {
    22, 3, 1, 0, 61, 1, 0, 0, 57, 3, 3,
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
    0, 0, 2, 19, 1, 1, 0, 0, 14,
    0, 0, 0, 10, 0, 8, 0, 0, 5, 'n', 'a', 'm', 'e', 'd'
};

static const uint8_t  dtls_hello[] = {
    22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 52,
    1, 0, 0, 58, 0, 0, 0, 0, 0, 0, 0, 40, 254, 253,
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
    0, 0, 0, 2, 19, 1,
    22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1, 0, 30,
    1, 0, 0, 58, 0, 0, 0, 0, 40, 0, 0, 18, 1, 0, 0, 14,
    0, 0, 0, 10, 0, 8, 0, 0, 5, 'n', 'a', 'm', 'e', 'd'
};


/*
 * With flags, a length, and bytes that replace others.  The body has no byte
 * more, so that one that is read beyond its end is noticed.
 */

static void
hello(coap_session_t *device, const uint8_t *input, size_t size)
{
    char      name[GW_HELLO_NAME];
    size_t    i, n;
    uint8_t  *body, bytes[4 + sizeof(dtls_hello)];

    if (size < 2) {
        return;
    }

    n = (input[0] & 1) ? sizeof(dtls_hello) : sizeof(tls_hello);

    memset(bytes, 0, 4);
    memcpy(bytes + 4, (input[0] & 1) ? dtls_hello : tls_hello, n);

    for (i = 2; i + 1 < size; i += 2) {
        bytes[4 + input[i] % n] = input[i + 1];
    }

    must(size > 2 || gw_hello_name(bytes + 4, n, name) == 0);

    if (input[0] & 2) {
        n = input[1] % n;
    }

    body = malloc(n);
    must(body || n == 0);

    if (n) {
        memcpy(body, bytes + 4, n);
    }

    if (gw_hello_name(body, n, name) == 0) {
        must(strlen(name) > 0 && gw_hello_kind(body, n) != GW_HELLO_NONE);
    }

    free(body);

    bytes[0] = HAS_ECHO;
    bytes[1] = input[1];
    request(device, bytes, 4 + n);
}


/* Time passes; as in gateway.c. */

static void
pass(const uint8_t *input, size_t size)
{
    gw_request_t  *waiting;

    fuzz_time += size ? input[0] * 2000 : 1000;
    gw_sources_expire(&gateway.sources, fuzz_time);

    while ((waiting = TAILQ_FIRST(&gateway.waiting))) {
        TAILQ_REMOVE(&gateway.waiting, waiting, entry);
        waiting->waiting = 0;
        gw_respond_later(waiting);
    }
}


/* libcoap ends a session that is not used. */

static void
gone(coap_session_t *device)
{
    if (LIST_EMPTY(&gateway.poster.active)) {
        gw_source_gone(device);
    }
}


static size_t
operation(const uint8_t *input, size_t size)
{
    size_t           len;
    const uint8_t   *p;
    coap_session_t  *device;

    if (size < 3) {
        return size;
    }

    device = devices[input[0] / OPS % DEVICES];
    len = (size_t) input[1] << 8 | input[2];
    p = input + 3;
    size -= 3;

    if (len > size) {
        len = size;
    }

    if (len > 4096) {
        len = 4096;
    }

    switch (input[0] % OPS) {

    case 0:
    case 1:
        datagram(device, p, len);
        break;

    case 2:
    case 3:
        request(device, p, len);
        break;

    case 4:
        hello(device, p, len);
        break;

    case 5:
        respond(p, len);
        break;

    case 6:
        pass(p, len);
        break;

    default:
        if (len) {
            gone(device);

        } else {
            refuse = 1;
        }
    }

    return 3 + len;
}


int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    size_t        n;
    gw_limits_t  *limits = &gateway.limits;

    static const uint8_t  end[2];

    if (size == 0) {
        return 0;
    }

    if (coap == NULL) {
        gateway_start();
    }

    fuzz_time = START;
    refuse = refused = 0;

    limits->max_memory = (input[0] & 1) ? 1 << 20 : 8192;
    limits->max_body = (input[0] & 2) ? MAX_BODY : 100;
    limits->max_posts = (input[0] & 4) ? 100 : 1;
    limits->max_sources = (input[0] & 4) ? DEVICES : 1;
    gateway.szx = input[0] >> 3 & 7;
    gateway.szx -= gateway.szx == 7;
    gateway.rate.rate = (input[0] & 64) ? 1000 : 0;
    gateway.stopping = (input[0] & 128) != 0;

    gw_sources_init(&gateway.sources, limits);
    TAILQ_INIT(&gateway.waiting);
    LIST_INIT(&gateway.poster.active);

    for (input++, size--; size; input += n, size -= n) {
        n = operation(input, size);
    }

    while (!LIST_EMPTY(&gateway.poster.active)) {
        respond(end, sizeof(end));
    }

    gw_sources_free(&gateway.sources);

    must(limits->memory == 0 && limits->posts == 0 && limits->sources == 0);
    must(gateway.sources.history.memory == 0);
    must(gateway.sources.shares.tree == NULL);
    must(TAILQ_EMPTY(&gateway.waiting));

    return 0;
}


#ifndef FUZZ_ENGINE

int
main(int argc, char **argv)
{
    fuzz_operations((argc > 1) ? atol(argv[1]) : 1);

    return 0;
}

#endif


/*
 * atls gateway without sockets: its sources are included, and instead of
 * libcoap's and libcurl's functions that send, there are those of this file.
 * They check what is sent.
 */


#ifndef _GATEWAY_H_INCLUDED_
#define _GATEWAY_H_INCLUDED_


#include <coap3/coap.h>

#define coap_send  fuzz_send

static coap_mid_t fuzz_send(coap_session_t *session, coap_pdu_t *pdu);

#include "../../src/client/lib/error.c"
#include "../../src/client/lib/location.c"
#include "../../src/client/cmd/base/exitcode.c"
#include "../../src/client/cmd/base/list.c"
#include "../../src/client/cmd/base/util.c"
#include "../../src/client/cmd/coap/block.c"
#include "../../src/client/gateway/answer.c"
#include "../../src/client/gateway/confirm.c"
#include "../../src/client/gateway/echo.c"
#include "../../src/client/gateway/exchange.c"
#include "../../src/client/gateway/forward.c"
#include "../../src/client/gateway/handle.c"
#include "../../src/client/gateway/hello.c"
#include "../../src/client/gateway/message.c"
#include "../../src/client/gateway/path.c"
#include "../../src/client/gateway/rate.c"
#include "../../src/client/gateway/request.c"
#include "../../src/client/gateway/respond.c"
#include "../../src/client/gateway/service.c"
#include "../../src/client/gateway/share.c"
#include "../../src/client/gateway/source.c"
#include "../../src/client/gateway/upload.c"

#include "tap.h"


#define DEVICES     3                   /* the first two have one address */
#define MAX_BODY    4096

#define ENDPOINT    "http://default/atls"
#define NAMED       "https://named:8443/a/b/"
#define NOT_IN_URL  " \"#<>?\\^`{|}"


static gw_t             gateway;
static cmd_options_t    options;
static coap_context_t  *coap;
static coap_session_t  *devices[DEVICES];

static int64_t          fuzz_time;
static unsigned         started;        /* POSTs */
static int              refuse;         /* the next one cannot be started */
static int              refused;
static const char      *location;       /* header of a response */
static const char      *cookie;
static unsigned         sent;           /* responses of its own messages */
static unsigned         sent_type;      /* of the last one */


int64_t
atls_clock(void)
{
    return fuzz_time;
}


/* what the gateway sends */

static void
check_response(const coap_pdu_t *pdu)
{
    size_t           n;
    unsigned         last;
    coap_opt_t      *option;
    const uint8_t   *data;

    coap_opt_iterator_t  iterator;

    switch (coap_pdu_get_code(pdu)) {

    case COAP_RESPONSE_CODE(201):
        option = coap_check_option(pdu, COAP_OPTION_LOCATION_PATH, &iterator);
        must(option);
        break;

    case COAP_RESPONSE_CODE(401):
        option = coap_check_option(pdu, COAP_OPTION_ECHO, &iterator);
        must(option && coap_opt_length(option) == GW_ECHO_SIZE);
        break;

    case COAP_RESPONSE_CODE(204):
    case COAP_RESPONSE_CODE(231):
    case COAP_RESPONSE_CODE(400):
    case COAP_RESPONSE_CODE(403):
    case COAP_RESPONSE_CODE(404):
    case COAP_RESPONSE_CODE(406):
    case COAP_RESPONSE_CODE(408):
    case COAP_RESPONSE_CODE(409):
    case COAP_RESPONSE_CODE(413):
    case COAP_RESPONSE_CODE(415):
    case COAP_RESPONSE_CODE(429):
    case COAP_RESPONSE_CODE(502):
    case COAP_RESPONSE_CODE(503):
    case COAP_RESPONSE_CODE(504):
        break;

    default:
        must(refused);                  /* 5.00 */
        break;
    }

    last = 0;

    if (coap_option_iterator_init(pdu, &iterator, COAP_OPT_ALL)) {
        while (coap_option_next(&iterator)) {
            must(iterator.number >= last);
            last = iterator.number;
        }
    }

    if (coap_get_data(pdu, &n, &data)) {
        must(n <= 1024);
    }
}


static coap_mid_t
fuzz_send(coap_session_t *session, coap_pdu_t *pdu)
{
    must(session == devices[0] || session == devices[1]
         || session == devices[2]);

    if (coap_pdu_get_code(pdu)) {
        check_response(pdu);
        sent++;
        sent_type = coap_pdu_get_type(pdu);

    } else {
        must(coap_pdu_get_type(pdu) == COAP_MESSAGE_ACK);
    }

    coap_delete_pdu(pdu);

    return 0;
}


/* POSTs, instead of post.c */

static int
is_session(const char *url, const char *endpoint)
{
    size_t  n;

    n = strlen(endpoint);

    return strncmp(url, endpoint, n) == 0
           && (url[n] == '\0'
               || ((url[n] == '/' || url[n - 1] == '/')
                   && strstr(url + n, "..") == NULL
                   && strcspn(url + n, NOT_IN_URL) == strlen(url + n)
                   && strstr(url + n, "%2F") == NULL
                   && strstr(url + n, "%2E") == NULL
                   && strstr(url + n, "%00") == NULL));
}


int
gw_post_start(gw_poster_t *poster, gw_share_t *share, const char *url,
    unsigned char *body, size_t n, gw_posted_pt posted, void *data)
{
    gw_post_t     *post;
    gw_request_t  *request = data;

    must(is_session(url, ENDPOINT) || is_session(url, NAMED));
    must(n <= gateway.limits.max_body);
    must(request->source->verified || gateway.rate.rate);
    must(gateway.limits.posts < gateway.limits.max_posts);

    if (refuse) {
        refuse = 0;
        refused = 1;
        free(body);
        return -1;
    }

    post = cmd_alloc(sizeof(gw_post_t));
    post->poster = poster;
    post->share = share;
    post->body = body;
    post->n = n;
    post->posted = posted;
    post->data = data;

    LIST_INSERT_HEAD(&poster->active, post, entry);

    gw_share_add(share, n);
    share->posts++;
    gateway.limits.posts++;
    started++;

    return 0;
}


static void
gateway_release(gw_post_t *post)
{
    LIST_REMOVE(post, entry);

    gw_share_sub(post->share, post->n);
    post->share->posts--;
    gateway.limits.posts--;

    free(post->body);
    free(post);
}


const char *
gw_post_header(const gw_post_t *post, const char *name)
{
    must(post->code == CURLE_OK);

    return strcmp(name, "Location") == 0 ? location : cookie;
}


/* Three devices, two services. */

static void
gateway_start(void)
{
    int             i;
    cmd_list_t      to;
    coap_address_t  address;

    static const char  *items[] = { ENDPOINT, "named=" NAMED };

    coap_startup();
    coap_set_log_level(LOG_EMERG);
    coap = coap_new_context(NULL);
    must(coap);

    coap_address_init(&address);
    address.size = sizeof(address.addr.sin);
    address.addr.sin.sin_family = AF_INET;

    for (i = 0; i < DEVICES; i++) {
        address.addr.sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (i == 2));
        address.addr.sin.sin_port = htons((uint16_t) (9 + i));
        devices[i] = coap_new_client_session(coap, NULL, &address,
                                             COAP_PROTO_UDP);
        must(devices[i]);
    }

    memset(&to, 0, sizeof(to));

    for (i = 0; i < 2; i++) {
        cmd_list_add(&to, items[i]);
    }

    must(gw_services_parse(&gateway.services, &to) == CMD_OK);
    cmd_list_free(&to);
    must(gw_echo_init(&gateway.echo) == 0);

    options.silent = 1;
    gateway.options = &options;
    gateway.format = 65000;
}


#endif /* _GATEWAY_H_INCLUDED_ */

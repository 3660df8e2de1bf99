
/*
 * POSTs to a gateway, see coap.h.
 */


#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <openssl/crypto.h>

#include "../../lib/reply.h"
#include "../base/util.h"
#include "channel.h"
#include "coap.h"
#include "library.h"
#include "blockwise.h"


typedef struct {
    const cmd_coap_conf_t   *conf;
    cmd_coap_uri_t           uri;
    int                      family;
    struct addrinfo         *found;
    struct addrinfo         *address;   /* of the channel */
    cmd_channel_conf_t       channel_conf;
    cmd_channel_t            channel;
    cmd_coap_response_t      response;
} cmd_coap_t;


static void *cmd_coap_create(const void *conf, const char *url,
    const atls_route_conf_t *route, atls_failure_t *failure);
static int cmd_coap_setup(cmd_coap_t *coap, const char *url,
    const atls_route_conf_t *route, atls_failure_t *failure);
static int cmd_coap_credentials(cmd_coap_t *coap, atls_failure_t *failure);
static void cmd_coap_free(void *handle);
static CURLcode cmd_coap_post(void *handle, atls_transport_post_t *post,
    char *error);
static CURLcode cmd_coap_post_all(cmd_coap_t *coap,
    atls_transport_post_t *post, char *error);
static CURLcode cmd_coap_open(cmd_coap_t *coap,
    const atls_transport_post_t *post, char *error);
static CURLcode cmd_coap_receive(cmd_coap_t *coap, cmd_blockwise_t *blockwise);
static CURLcode cmd_coap_header(const cmd_coap_t *coap,
    const atls_transport_post_t *post);
static int cmd_coap_status(int code, const atls_transport_post_t *post);
static void cmd_coap_error(const cmd_coap_t *coap, CURLcode code, char *error);


void
cmd_coap_transport(atls_transport_t *transport, const cmd_coap_conf_t *conf)
{
    transport->create = cmd_coap_create;
    transport->free = cmd_coap_free;
    transport->post = cmd_coap_post;
    transport->conf = conf;
}


static void *
cmd_coap_create(const void *conf, const char *url,
    const atls_route_conf_t *route, atls_failure_t *failure)
{
    cmd_coap_t  *coap;

    cmd_coap_start(0);

    coap = cmd_alloc(sizeof(cmd_coap_t));
    coap->conf = conf;

    if (cmd_coap_setup(coap, url, route, failure) == -1) {
        cmd_coap_free(coap);
        return NULL;
    }

    return coap;
}


static int
cmd_coap_setup(cmd_coap_t *coap, const char *url,
    const atls_route_conf_t *route, atls_failure_t *failure)
{
    unsigned char  ip[sizeof(struct in6_addr)];

    if (cmd_coap_uri_parse(&coap->uri, url) == -1 || coap->uri.query) {
        atls_fail(failure, ATLS_ERROR_USAGE, "the endpoint \"%s\" is not a "
                  "coap or coaps URI", url);
        return -1;
    }

    coap->family = route->ip_version == 4 ? AF_INET
                   : route->ip_version == 6 ? AF_INET6 : AF_UNSPEC;

    coap->channel_conf.uri = &coap->uri;
    coap->channel_conf.timeout = route->connect_timeout;

    /* RFC 7252, section 5.10.1; RFC 6066, section 3 */

    if (inet_pton(AF_INET, coap->uri.host, ip) != 1
        && inet_pton(AF_INET6, coap->uri.host, ip) != 1)
    {
        coap->channel_conf.name = coap->uri.host;
    }

    return cmd_coap_credentials(coap, failure);
}


static int
cmd_coap_credentials(cmd_coap_t *coap, atls_failure_t *failure)
{
    long                    n;
    const cmd_coap_conf_t  *conf = coap->conf;
    cmd_channel_conf_t     *channel = &coap->channel_conf;

    if (conf->identity) {
        channel->identity = conf->identity;
        channel->key.s = OPENSSL_hexstr2buf(conf->key, &n);

        if (channel->key.s == NULL || n == 0) {
            atls_fail(failure, ATLS_ERROR_USAGE,
                      "the key of --via-psk must be in hex");
            return -1;
        }

        channel->key.length = (size_t) n;
    }

    if (conf->cert_file) {
        channel->cert = conf->cert_file;
        channel->cert_key = conf->key_file ? conf->key_file : conf->cert_file;

        if (cmd_coap_check_cert(channel->cert, channel->cert_key) == -1) {
            atls_fail(failure, ATLS_ERROR_IDENTITY, "certificate %s, key %s",
                      channel->cert, channel->cert_key);
            return -1;
        }
    }

    return 0;
}


static void
cmd_coap_free(void *handle)
{
    cmd_coap_t  *coap = handle;

    cmd_channel_close(&coap->channel);
    cmd_coap_response_free(&coap->response);
    cmd_coap_uri_free(&coap->uri);

    if (coap->found) {
        freeaddrinfo(coap->found);
    }

    OPENSSL_clear_free((void *) coap->channel_conf.key.s,
                       coap->channel_conf.key.length);
    free(coap);
}


/* A connection is used again, unless there was an error. */

static CURLcode
cmd_coap_post(void *handle, atls_transport_post_t *post, char *error)
{
    CURLcode     code;
    cmd_coap_t  *coap = handle;

    code = cmd_coap_post_all(coap, post, error);

    if (code != CURLE_OK) {
        cmd_channel_close(&coap->channel);
        cmd_coap_error(coap, code, error);
    }

    return code;
}


/* As long as nothing listens there, other addresses are tried. */

static CURLcode
cmd_coap_post_all(cmd_coap_t *coap, atls_transport_post_t *post, char *error)
{
    CURLcode        code;
    cmd_blockwise_t  blockwise;

    blockwise.channel = &coap->channel;
    blockwise.post = post;
    blockwise.host = coap->channel_conf.name;
    blockwise.format = coap->conf->format;
    blockwise.szx = cmd_block_szx(coap->conf->block_size);
    blockwise.response = &coap->response;

    if (cmd_channel_is_open(&coap->channel)) {
        code = cmd_blockwise_send(&blockwise);
        return code == CURLE_OK ? cmd_coap_receive(coap, &blockwise) : code;
    }

    coap->address = NULL;

    do {
        code = cmd_coap_open(coap, post, error);

        if (code == CURLE_OK) {
            code = cmd_blockwise_send(&blockwise);
        }

    } while (code == CURLE_COULDNT_CONNECT && coap->address
             && coap->address->ai_next);

    return code == CURLE_OK ? cmd_coap_receive(coap, &blockwise) : code;
}


/* The next address, or the first one of another search. */

static CURLcode
cmd_coap_open(cmd_coap_t *coap, const atls_transport_post_t *post, char *error)
{
    int  rc;

    cmd_channel_close(&coap->channel);

    if (coap->address && coap->address->ai_next) {
        coap->address = coap->address->ai_next;

    } else {

        if (coap->found) {
            freeaddrinfo(coap->found);
        }

        coap->found = NULL;
        rc = cmd_coap_uri_resolve(&coap->uri, coap->family, &coap->found);

        coap->address = coap->found;

        if (rc != 0) {
            snprintf(error, CURL_ERROR_SIZE, "Could not resolve host: %s",
                     coap->uri.host);
            return CURLE_COULDNT_RESOLVE_HOST;
        }
    }

    return cmd_channel_open(&coap->channel, &coap->channel_conf, coap->address,
                            post);
}


static CURLcode
cmd_coap_receive(cmd_coap_t *coap, cmd_blockwise_t *blockwise)
{
    CURLcode                code;
    cmd_coap_response_t    *response = &coap->response;
    atls_transport_post_t  *post = blockwise->post;

    code = cmd_coap_header(coap, post);

    while (code == CURLE_OK) {

        if (post->read(post->data, response->payload.data,
                       response->payload.len)
            != 0)
        {
            return CURLE_WRITE_ERROR;
        }

        if (!response->has_block2 || !response->block2.more) {
            return CURLE_OK;
        }

        code = cmd_blockwise_next(blockwise);
    }

    return code;
}


/* RFC 8075, sections 6.2 and 7; the body ends with the response. */

static CURLcode
cmd_coap_header(const cmd_coap_t *coap, const atls_transport_post_t *post)
{
    int                         rc;
    atls_buf_t                  header;
    const cmd_coap_response_t  *response = &coap->response;

    memset(&header, 0, sizeof(atls_buf_t));

    rc = atls_buf_print(&header, "HTTP/1.1 %d \r\n",
                        cmd_coap_status(response->code, post));

    /* an empty payload has no format */

    if (response->format == coap->conf->format
        || (response->format == CMD_COAP_NO_FORMAT
            && response->code >> 5 == 2 && response->payload.len == 0))
    {
        rc |= atls_buf_text(&header, "Content-Type: " ATLS_MEDIA_TYPE "\r\n");

    } else if (response->format != CMD_COAP_NO_FORMAT) {
        rc |= atls_buf_print(&header, "Content-Type: application/coap-payload;"
                                      "cf=%u\r\n", response->format);
    }

    if (response->location.len) {
        rc |= atls_buf_text(&header, "Location: ");
        rc |= atls_buf_add(&header, response->location.data,
                           response->location.len);
        rc |= atls_buf_text(&header, "\r\n");
    }

    if (response->max_age && response->code >> 5 != 2) {
        rc |= atls_buf_print(&header, "Retry-After: %u\r\n", response->max_age);
    }

    rc |= atls_buf_text(&header, "\r\n");

    if (rc == 0) {
        rc = post->read(post->data, header.data, header.len);
    }

    atls_buf_free(&header);

    return rc == 0 ? CURLE_OK : CURLE_WRITE_ERROR;
}


/* Most codes of CoAP are those of HTTP; 4.04 is also that of a lost session. */

static int
cmd_coap_status(int code, const atls_transport_post_t *post)
{
    switch (code) {

    case COAP_RESPONSE_CODE(204):
        return 200;

    case COAP_RESPONSE_CODE(404):
        return post->first ? 404 : 410;

    default:
        return (code >> 5) * 100 + (code & 31);
    }
}


static void
cmd_coap_error(const cmd_coap_t *coap, CURLcode code, char *error)
{
    const char  *what;

    what = code == CURLE_COULDNT_CONNECT ? "nothing listens at"
           : code == CURLE_SSL_CONNECT_ERROR ? "the DTLS handshake failed with"
           : code == CURLE_OPERATION_TIMEDOUT ? "no response from"
           : code == CURLE_PARTIAL_FILE ? "incomplete response from"
           : code == CURLE_FILESIZE_EXCEEDED ? "the POST is too large for"
           : code == CURLE_WEIRD_SERVER_REPLY ? "invalid response from"
           : code == CURLE_RECV_ERROR ? "the connection was reset by"
           : NULL;

    if (what && *error == '\0') {
        snprintf(error, CURL_ERROR_SIZE, "%s %s, port %u", what,
                 coap->uri.host, coap->uri.port);
    }
}


/*
 * The CoAP side, see server.h.
 */


#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../cmd/base/exitcode.h"
#include "../cmd/coap/library.h"
#include "../cmd/coap/uri.h"
#include "handle.h"
#include "server.h"


#define GW_IDLE             300         /* seconds, of a source; longer than
                                           EXCHANGE_LIFETIME.  A device that has
                                           lost its DTLS session waits for it,
                                           if it uses the same port again */
/*
 * Sessions of libcoap without a reference, of each address to listen on.  It
 * looks at all of them for each datagram of an unknown address, which may be
 * forged.  A handshake of DTLS may be, too, until it has returned the cookie
 * (RFC 6347, section 4.2.1), but libcoap keeps it for 30 seconds, and has no
 * function that frees it before.
 */

#define GW_UNKNOWN          1000
#define GW_HANDSHAKES       1000

/*
 * A longer datagram is refused by libcoap, which reads COAP_RXBUFFER_SIZE bytes
 * and would process a truncated one.
 */

#define GW_MTU              (COAP_RXBUFFER_SIZE - 2)


static unsigned gw_server_unknown(const cmd_options_t *options);
static void gw_server_resources(gw_t *gateway);
static void gw_server_request(coap_resource_t *resource, coap_session_t *coap,
    const coap_pdu_t *pdu, const coap_string_t *query, coap_pdu_t *response);
static int gw_server_event(coap_session_t *coap, const coap_event_t event);
static int gw_server_psk(gw_t *gateway, const gw_psk_t *psk);
static const coap_bin_const_t *gw_server_key(coap_bin_const_t *identity,
    coap_session_t *coap, void *data);
static int gw_server_pki(gw_t *gateway);
static int gw_server_listen(gw_t *gateway, const char *text);
static int gw_server_usage(void);
static int gw_server_address(gw_t *gateway, const char *text,
    const cmd_coap_uri_t *uri);
static int gw_server_bind(gw_t *gateway, const struct addrinfo *address,
    coap_proto_t proto);
static int gw_server_bind_error(const struct addrinfo *address);


int
gw_server_open(gw_t *gateway, const gw_psk_t *psk)
{
    int               code;
    size_t            i;
    const cmd_list_t  *listens = &gateway->options->listens;

    cmd_coap_start(gateway->options->verbose);

    gateway->coap = coap_new_context(NULL);

    if (gateway->coap == NULL) {
        return cmd_fail(CMD_MEMORY, "cannot initialize libcoap");
    }

    coap_set_app_data(gateway->coap, gateway);
    coap_context_set_block_mode(gateway->coap, 0);
    coap_context_set_session_timeout(gateway->coap, GW_IDLE);
    coap_context_set_max_idle_sessions(gateway->coap,
                                       gw_server_unknown(gateway->options));
    coap_context_set_max_handshake_sessions(gateway->coap, GW_HANDSHAKES);
    coap_register_event_handler(gateway->coap, gw_server_event);

    gw_server_resources(gateway);

    code = psk->n ? gw_server_psk(gateway, psk) : CMD_OK;

    if (code == CMD_OK && gateway->options->cert_file) {
        code = gw_server_pki(gateway);
    }

    for (i = 0; code == CMD_OK && i < listens->n; i++) {
        code = gw_server_listen(gateway, listens->items[i]);
    }

    return code;
}


/* Without Echo, all that is kept of a source is in one of these. */

static unsigned
gw_server_unknown(const cmd_options_t *options)
{
    return options->source_rate || options->max_sources < GW_UNKNOWN
           ? options->max_sources : GW_UNKNOWN;
}


/* The resource for all other paths is that of sessions. */

static void
gw_server_resources(gw_t *gateway)
{
    size_t            i;
    coap_resource_t  *resources[2];

    static coap_str_const_t  path = { sizeof(GW_PATH) - 1,
                                      (const uint8_t *) GW_PATH };

    resources[0] = coap_resource_init(&path, 0);
    resources[1] = coap_resource_unknown_init(NULL);    /* no PUT */

    for (i = 0; i < 2; i++) {
        coap_register_request_handler(resources[i], COAP_REQUEST_POST,
                                      gw_server_request);
        coap_register_request_handler(resources[i], COAP_REQUEST_GET,
                                      gw_server_request);
        coap_resource_set_userdata(resources[i], gateway);
        coap_add_resource(gateway->coap, resources[i]);
    }
}


static void
gw_server_request(coap_resource_t *resource, coap_session_t *coap,
    const coap_pdu_t *pdu, const coap_string_t *query, coap_pdu_t *response)
{
    (void) query;

    gw_handle(coap_resource_get_userdata(resource), coap, pdu, response);
}


static int
gw_server_event(coap_session_t *coap, const coap_event_t event)
{
    gw_t         *gateway;
    gw_source_t  *source;

    if (event == COAP_EVENT_SERVER_SESSION_DEL) {
        gw_source_gone(coap);
    }

    /* libcoap ignores a new handshake until the session is freed */

    if (event == COAP_EVENT_DTLS_CLOSED) {
        source = coap_session_get_app_data(coap);

        if (source) {
            gw_source_closed(source);
        }
    }

    if (event == COAP_EVENT_DTLS_ERROR) {
        gateway = coap_get_app_data(coap_session_get_context(coap));
        source = gw_source_get(&gateway->sources, coap);
        gateway->counts.n[GW_DTLS_ERRORS]++;

        if (!gateway->options->silent) {
            printf("%s DTLS failed\n", source->name);
        }
    }

    return 0;
}


static int
gw_server_psk(gw_t *gateway, const gw_psk_t *psk)
{
    coap_dtls_spsk_t  setup;

    memset(&setup, 0, sizeof(setup));
    setup.version = COAP_DTLS_SPSK_SETUP_VERSION;
    setup.validate_id_call_back = gw_server_key;
    setup.id_call_back_arg = (void *) psk;

    /* libcoap requires a key; the callback chooses that of the identity */

    setup.psk_info.key = psk->items[0].key;

    return coap_context_set_psk2(gateway->coap, &setup)
           ? CMD_OK : cmd_fail(CMD_IDENTITY, "cannot use the keys of %s",
                               gateway->options->psk_file);
}


static const coap_bin_const_t *
gw_server_key(coap_bin_const_t *identity, coap_session_t *coap, void *data)
{
    (void) coap;

    return gw_psk_find(data, identity->s, identity->length);
}


/* With trusted certificates, devices need one of their own. */

static int
gw_server_pki(gw_t *gateway)
{
    const char           *key;
    coap_dtls_pki_t       setup;
    const cmd_options_t  *options = gateway->options;

    key = options->key_file ? options->key_file : options->cert_file;

    memset(&setup, 0, sizeof(setup));
    setup.version = COAP_DTLS_PKI_SETUP_VERSION;
    setup.verify_peer_cert = options->ca_file != NULL;
    setup.check_common_ca = 0;
    setup.allow_no_crl = 1;
    setup.pki_key.key_type = COAP_PKI_KEY_PEM;
    setup.pki_key.key.pem.public_cert = options->cert_file;
    setup.pki_key.key.pem.private_key = key;
    setup.pki_key.key.pem.ca_file = options->ca_file;

    if (cmd_coap_check_cert(options->cert_file, key) == -1
        || coap_context_set_pki(gateway->coap, &setup) == 0)
    {
        return cmd_fail(CMD_IDENTITY, "cannot use the certificate %s with the "
                                      "key %s", options->cert_file, key);
    }

    return options->ca_file == NULL
           || coap_context_set_pki_root_cas(gateway->coap, options->ca_file,
                                            NULL)
           ? CMD_OK : cmd_fail(CMD_TRUST, "cannot use the certificates %s",
                               options->ca_file);
}


static int
gw_server_listen(gw_t *gateway, const char *text)
{
    int             code;
    cmd_coap_uri_t  uri;

    if (cmd_coap_uri_parse(&uri, text) == -1) {
        return gw_server_usage();
    }

    code = uri.bare ? gw_server_address(gateway, text, &uri)
                    : gw_server_usage();

    cmd_coap_uri_free(&uri);

    return code;
}


static int
gw_server_usage(void)
{
    return cmd_fail(CMD_USAGE, "--listen must be coap://ADDRESS[:PORT] or "
                               "coaps://ADDRESS[:PORT]");
}


static int
gw_server_address(gw_t *gateway, const char *text, const cmd_coap_uri_t *uri)
{
    int               rc, bound;
    struct addrinfo  *found, *address;

    rc = cmd_coap_uri_resolve(uri, AF_UNSPEC, &found);

    if (rc) {
        return cmd_fail(CMD_RESOLVE, "cannot resolve %s: %s", text,
                        gai_strerror(rc));
    }

    bound = 0;

    for (address = found; address; address = address->ai_next) {
        bound += gw_server_bind(gateway, address, uri->proto) == 0;
    }

    freeaddrinfo(found);

    if (bound == 0) {
        return cmd_fail(CMD_CONNECT, "cannot listen on %s: %s", text,
                        errno ? strerror(errno) : "not supported");
    }

    if (!gateway->options->silent) {
        fprintf(stderr, "atls: listening on %s\n", text);
    }

    return CMD_OK;
}


static int
gw_server_bind(gw_t *gateway, const struct addrinfo *address,
    coap_proto_t proto)
{
    coap_address_t    bound;
    coap_endpoint_t  *endpoint;

    cmd_coap_address(&bound, address);

    endpoint = coap_new_endpoint(gateway->coap, &bound, proto);

    if (endpoint == NULL) {
        errno = gw_server_bind_error(address);
        return -1;
    }

    coap_endpoint_set_default_mtu(endpoint, proto == COAP_PROTO_DTLS
                                            ? CMD_COAP_MTU : GW_MTU);

    return 0;
}


/* libcoap 4.3.5 changes errno after bind(), which is called again here. */

static int
gw_server_bind_error(const struct addrinfo *address)
{
    int  fd, on, error;

    fd = socket(address->ai_family, address->ai_socktype, 0);

    if (fd == -1) {
        return errno;
    }

    on = 1;

    error = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1
            || bind(fd, address->ai_addr, address->ai_addrlen) == -1
            ? errno : 0;

    (void) close(fd);

    return error;
}


void
gw_server_close(gw_t *gateway)
{
    gw_sources_free(&gateway->sources);

    if (gateway->coap) {
        coap_free_context(gateway->coap);
    }

    coap_cleanup();
}

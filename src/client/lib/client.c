
/*
 * Clients: creation, options and information, see atls.h.
 */


#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "cert.h"
#include "client.h"
#include "clock.h"
#include "http.h"


#define ATLS_DEFAULT_CONNECT_TIMEOUT    30000
#define ATLS_DEFAULT_IDLE_TIMEOUT       300000
#define ATLS_DEFAULT_POST_SIZE          (1024 * 1024)
#define ATLS_DEFAULT_HEADER_SIZE        (64 * 1024)

#define ATLS_MIN_POST_SIZE              1024
#define ATLS_MAX_POST_SIZE              (1024 * 1024 * 1024)


static atls_error_e atls_client_changeable(atls_client_t *client);
static void atls_client_copy(char **to, const char *from);
static int atls_client_is_header(const char *header);
static atls_error_e atls_client_prepare_tls(atls_client_t *client);
static atls_error_e atls_client_prepare_key(atls_client_t *client);
static void atls_client_ticket(void *data, const atls_resume_t *resume);
static atls_error_e atls_client_prepare_outer(atls_client_t *client);
static const char *const *atls_client_list(const atls_client_t *client,
    atls_list_e list);


const char *
atls_version(void)
{
    return ATLS_VERSION;
}


atls_error_e
atls_client_create(atls_client_t **result, const char *target)
{
    atls_error_e    rc;
    atls_client_t  *client;

    *result = NULL;

    client = calloc(1, sizeof(atls_client_t));
    if (client == NULL) {
        return ATLS_ERROR_MEMORY;
    }

    client->numbers[ATLS_CONNECT_TIMEOUT] = ATLS_DEFAULT_CONNECT_TIMEOUT;
    client->numbers[ATLS_IDLE_TIMEOUT] = ATLS_DEFAULT_IDLE_TIMEOUT;
    client->numbers[ATLS_POST_SIZE] = ATLS_DEFAULT_POST_SIZE;
    client->numbers[ATLS_HEADER_SIZE] = ATLS_DEFAULT_HEADER_SIZE;
    client->numbers[ATLS_RETRIES] = ATLS_DEFAULT_RETRIES;

    pthread_mutex_init(&client->lock, NULL);
    atls_clock_cond(&client->answered);

    rc = atls_target_parse(&client->target, target, &client->failure);

    if (rc != ATLS_OK) {
        atls_client_free(client);
        return rc;
    }

    *result = client;

    return ATLS_OK;
}


void
atls_client_free(atls_client_t *client)
{
    size_t           i, j;
    atls_strings_t  *list;

    if (client == NULL) {
        return;
    }

    atls_outer_free(client->outer);
    atls_retry_free(&client->retry);
    atls_tls_done(&client->tls);
    X509_STORE_free(client->trust);

    atls_message_close(&client->message);
    atls_response_free(&client->response);
    atls_buf_free(&client->out);
    atls_certificate_clear(&client->certificate);
    atls_target_free(&client->target);

    for (i = 0; i < ATLS_STRINGS; i++) {
        atls_client_copy(&client->strings[i], NULL);
    }

    for (i = 0; i < ATLS_LISTS; i++) {
        list = &client->lists[i];

        for (j = 0; j < list->n; j++) {
            atls_client_copy(&list->items[j], NULL);
        }

        free(list->items);
    }

    pthread_cond_destroy(&client->answered);
    pthread_mutex_destroy(&client->lock);
    free(client);
}


const char *
atls_error_text(const atls_client_t *client)
{
    return client->failure.text;
}


/* options */

static atls_error_e
atls_client_changeable(atls_client_t *client)
{
    atls_failure_clear(&client->failure);

    return client->ready ? atls_fail(&client->failure, ATLS_ERROR_USAGE,
                                     "options cannot be changed after the "
                                     "first request")
                         : ATLS_OK;
}


/* Frees the previous value and wipes it: it may be a secret. */

static void
atls_client_copy(char **to, const char *from)
{
    if (*to) {
        OPENSSL_cleanse(*to, strlen(*to));
        free(*to);
    }

    *to = from ? strdup(from) : NULL;
}


atls_error_e
atls_set_string(atls_client_t *client, atls_string_e option, const char *value)
{
    atls_error_e  rc;

    rc = atls_client_changeable(client);
    if (rc != ATLS_OK) {
        return rc;
    }

    if ((unsigned) option >= ATLS_STRINGS) {
        return atls_fail(&client->failure, ATLS_ERROR_USAGE,
                         "unknown option");
    }

    atls_client_copy(&client->strings[option], value);

    return value == NULL || client->strings[option]
           ? ATLS_OK : atls_fail_memory(&client->failure);
}


atls_error_e
atls_set_number(atls_client_t *client, atls_number_e option, int64_t value)
{
    int64_t       min, max;
    atls_error_e  rc;

    rc = atls_client_changeable(client);
    if (rc != ATLS_OK) {
        return rc;
    }

    min = 0;
    max = INT_MAX;

    switch (option) {

    case ATLS_CONNECT_TIMEOUT:
    case ATLS_TIMEOUT:
    case ATLS_IDLE_TIMEOUT:
    case ATLS_RETRIES:
        break;

    case ATLS_POST_SIZE:
        min = ATLS_MIN_POST_SIZE;
        max = ATLS_MAX_POST_SIZE;
        break;

    case ATLS_HEADER_SIZE:
        min = 1;
        max = ATLS_MAX_POST_SIZE;
        break;

    case ATLS_EARLY_DATA:
    case ATLS_EXPORTED_KEYS:
    case ATLS_DTLS:
        max = 1;
        break;

    case ATLS_IP_VERSION:
        max = value == 4 || value == 6 ? value : 0;
        break;

    case ATLS_RATE:
        max = INT64_MAX;
        break;

    default:
        min = 1;
        max = 0;
    }

    if (value < min || value > max) {
        return atls_fail(&client->failure, ATLS_ERROR_USAGE,
                         "unknown option or invalid value");
    }

    client->numbers[option] = value;

    return ATLS_OK;
}


atls_error_e
atls_add_string(atls_client_t *client, atls_list_e list, const char *value)
{
    char            **items;
    atls_error_e      rc;
    atls_strings_t   *strings;

    rc = atls_client_changeable(client);
    if (rc != ATLS_OK) {
        return rc;
    }

    if ((unsigned) list >= ATLS_LISTS) {
        return atls_fail(&client->failure, ATLS_ERROR_USAGE,
                         "unknown option");
    }

    if ((list == ATLS_OUTER_HEADER || list == ATLS_PROXY_HEADER)
        && !atls_client_is_header(value))
    {
        return atls_fail(&client->failure, ATLS_ERROR_USAGE,
                         "invalid %s header \"%s\"",
                         list == ATLS_OUTER_HEADER ? "outer" : "proxy", value);
    }

    strings = &client->lists[list];

    items = realloc(strings->items, (strings->n + 2) * sizeof(char *));
    if (items == NULL) {
        return atls_fail_memory(&client->failure);
    }

    strings->items = items;
    items[strings->n] = strdup(value);

    if (items[strings->n] == NULL) {
        return atls_fail_memory(&client->failure);
    }

    items[++strings->n] = NULL;

    return ATLS_OK;
}


static int
atls_client_is_header(const char *header)
{
    const char  *colon;

    colon = strchr(header, ':');

    return colon && atls_http_is_token(header, (size_t) (colon - header))
           && atls_http_is_value(colon, strlen(colon));
}


atls_error_e
atls_add_outer_header(atls_client_t *client, const char *header)
{
    return atls_add_string(client, ATLS_OUTER_HEADER, header);
}


atls_error_e
atls_set_debug(atls_client_t *client, atls_debug_pt debug, void *data)
{
    atls_error_e  rc;

    rc = atls_client_changeable(client);

    if (rc == ATLS_OK) {
        client->debug.handler = debug;
        client->debug.data = data;
    }

    return rc;
}


void
atls_client_set_transport(atls_client_t *client,
    const atls_transport_t *transport)
{
    client->transport = *transport;
}


atls_error_e
atls_set_store(atls_client_t *client, const atls_store_t *store)
{
    atls_error_e  rc;

    rc = atls_client_changeable(client);

    if (rc != ATLS_OK) {
        return rc;
    }

    if (store) {
        client->store = *store;

    } else {
        memset(&client->store, 0, sizeof(atls_store_t));
    }

    return ATLS_OK;
}


atls_error_e
atls_client_prepare(atls_client_t *client)
{
    atls_error_e  rc;

    if (client->ready) {
        return ATLS_OK;
    }

    /* objects of an earlier call that failed are created again */

    atls_tls_done(&client->tls);
    memset(&client->tls, 0, sizeof(atls_tls_t));
    X509_STORE_free(client->trust);

    client->trust = atls_trust_create(client->strings[ATLS_CA_FILE],
                                      client->strings[ATLS_CA_DIR],
                                      &client->failure);
    if (client->trust == NULL) {
        return client->failure.error;
    }

    rc = atls_client_prepare_tls(client);

    if (rc == ATLS_OK) {
        rc = atls_client_prepare_outer(client);
    }

    client->ready = rc == ATLS_OK;

    return rc;
}


static atls_error_e
atls_client_prepare_tls(atls_client_t *client)
{
    char             **strings = client->strings;
    atls_tls_conf_t    conf;
    atls_error_e       rc;

    conf.peer = client->target.peer;
    conf.cert_file = strings[ATLS_CERT_FILE];
    conf.key_file = strings[ATLS_KEY_FILE];
    conf.passphrase = strings[ATLS_KEY_PASSPHRASE];
    conf.psk_identity = strings[ATLS_PSK_IDENTITY];
    conf.psk_key = strings[ATLS_PSK_KEY];
    conf.min_protocol = strings[ATLS_MIN_PROTOCOL];
    conf.max_protocol = strings[ATLS_MAX_PROTOCOL];
    conf.ciphers = strings[ATLS_CIPHERS];
    conf.ciphersuites = strings[ATLS_CIPHERSUITES];
    conf.groups = strings[ATLS_GROUPS];
    conf.alpn = strings[ATLS_ALPN];
    conf.pinned_key = strings[ATLS_PINNED_KEY];
    conf.datagram = client->numbers[ATLS_DTLS] != 0;

    if (conf.datagram && client->numbers[ATLS_EXPORTED_KEYS]) {
        return atls_fail(&client->failure, ATLS_ERROR_USAGE,
                         "DTLS and exported keys are mutually exclusive");
    }

    client->tls.ticket = atls_client_ticket;
    client->tls.data = client;

    rc = atls_tls_init(&client->tls, &conf, client->trust, &client->debug,
                       &client->failure);

    return rc == ATLS_OK && (client->store.take || client->store.put)
           ? atls_client_prepare_key(client) : rc;
}


/*
 * The key contains all options that a session depends on, so that a client only
 * resumes sessions that it could have established itself.  For files, their
 * content is used instead of their names.
 */

static atls_error_e
atls_client_prepare_key(atls_client_t *client)
{
    char             **strings = client->strings;
    char               trust[ATLS_TRUST_DIGEST], cert[ATLS_TRUST_DIGEST];

    const char *const  identity[] = {
        client->target.origin,
        strings[ATLS_ENDPOINT] ? strings[ATLS_ENDPOINT]
                               : client->target.endpoint,
        trust,
        strings[ATLS_CA_DIR],
        cert,
        strings[ATLS_PSK_IDENTITY],
        strings[ATLS_PSK_KEY],
        strings[ATLS_MIN_PROTOCOL],
        strings[ATLS_MAX_PROTOCOL],
        strings[ATLS_CIPHERS],
        strings[ATLS_CIPHERSUITES],
        strings[ATLS_GROUPS],
        strings[ATLS_ALPN],
        client->numbers[ATLS_DTLS] ? "DTLS" : NULL,
    };

    if (atls_trust_digest(client->trust, trust) == -1
        || atls_certificate_digest(SSL_CTX_get0_certificate(client->tls.ctx),
                                   cert)
           == -1
        || atls_resume_key(client->key, identity,
                           sizeof(identity) / sizeof(identity[0]))
           == -1)
    {
        return atls_fail_memory(&client->failure);
    }

    return ATLS_OK;
}


static void
atls_client_ticket(void *data, const atls_resume_t *resume)
{
    atls_client_t  *client = data;

    atls_debug(&client->debug, ATLS_DEBUG_INNER,
               "inner TLS: session ticket received%s",
               client->store.put ? ", stored" : "");

    atls_resume_put(&client->store, client->key, resume);
}


static atls_error_e
atls_client_prepare_outer(atls_client_t *client)
{
    char               **strings = client->strings;
    atls_outer_conf_t    conf;
    atls_route_conf_t   *route;

    memset(&conf, 0, sizeof(atls_outer_conf_t));

    conf.url = strings[ATLS_ENDPOINT] ? strings[ATLS_ENDPOINT]
                                      : client->target.endpoint;
    conf.user = strings[ATLS_OUTER_USER];
    conf.http = strings[ATLS_OUTER_HTTP];
    conf.user_agent = strings[ATLS_USER_AGENT];
    conf.headers = atls_client_list(client, ATLS_OUTER_HEADER);
    conf.idle_timeout = client->numbers[ATLS_IDLE_TIMEOUT];

    route = &conf.route;
    route->proxy = strings[ATLS_PROXY];
    route->proxy_user = strings[ATLS_PROXY_USER];
    route->proxy_auth = strings[ATLS_PROXY_AUTH];
    route->proxy_ca_file = strings[ATLS_PROXY_CA_FILE];
    route->no_proxy = strings[ATLS_NO_PROXY];
    route->proxy_headers = atls_client_list(client, ATLS_PROXY_HEADER);
    route->resolve = atls_client_list(client, ATLS_RESOLVE);
    route->connect_to = atls_client_list(client, ATLS_CONNECT_TO);
    route->ip_version = (int) client->numbers[ATLS_IP_VERSION];
    route->rate = client->numbers[ATLS_RATE];
    route->connect_timeout = client->numbers[ATLS_CONNECT_TIMEOUT];

    conf.transport = client->transport;
    conf.trust = client->trust;
    conf.debug = client->debug;

    client->outer = atls_outer_create(&conf, &client->failure);

    if (client->outer == NULL) {
        return client->failure.error;
    }

    atls_retry_init(&client->retry, client->outer, &client->failure,
                    &client->debug, (unsigned) client->numbers[ATLS_RETRIES]);

    return ATLS_OK;
}


static const char *const *
atls_client_list(const atls_client_t *client, atls_list_e list)
{
    return (const char *const *) client->lists[list].items;
}


/* information */

atls_fault_e
atls_fault(const atls_client_t *client)
{
    return client->failure.fault;
}


int
atls_request_sent(const atls_client_t *client)
{
    return client->posted;
}


int
atls_status(const atls_client_t *client)
{
    return client->response.status;
}


atls_error_e
atls_get_session(atls_client_t *client, atls_session_info_t *info)
{
    unsigned              n;
    X509                 *x509;
    const unsigned char  *alpn;

    atls_failure_clear(&client->failure);
    memset(info, 0, sizeof(atls_session_info_t));

    if (client->tls.ssl == NULL) {
        return atls_fail(&client->failure, ATLS_ERROR_USAGE,
                         "no session yet");
    }

    SSL_get0_alpn_selected(client->tls.ssl, &alpn, &n);
    snprintf(client->alpn, sizeof(client->alpn), "%.*s", (int) n,
             n ? (const char *) alpn : "");

    info->open = client->open;
    info->protocol = SSL_get_version(client->tls.ssl);
    info->cipher = SSL_get_cipher_name(client->tls.ssl);
    info->alpn = client->alpn;
    info->resumed = client->tls.resumed;
    info->psk = client->tls.psk_used;
    info->early_data = !client->tls.early ? ATLS_EARLY_DATA_NONE
                       : atls_tls_early_accepted(&client->tls)
                         ? ATLS_EARLY_DATA_ACCEPTED : ATLS_EARLY_DATA_REJECTED;
    info->verify_result = -1;
    info->verify_text = "";

    x509 = atls_tls_certificate(&client->tls);

    if (x509) {
        atls_certificate_clear(&client->certificate);

        if (atls_certificate_fill(&client->certificate, x509) == -1) {
            return atls_fail_memory(&client->failure);
        }

        info->certificate = &client->certificate;
        info->verify_result = SSL_get_verify_result(client->tls.ssl);
        info->verify_text = X509_verify_cert_error_string(info->verify_result);
    }

    return ATLS_OK;
}


atls_error_e
atls_get_outer(atls_client_t *client, atls_outer_info_t *info)
{
    atls_failure_clear(&client->failure);
    memset(info, 0, sizeof(atls_outer_info_t));

    if (client->outer) {
        atls_outer_info(client->outer, info);

    } else {
        info->http = "";
        info->verify_result = -1;
        info->verify_text = "";
    }

    return ATLS_OK;
}


atls_error_e
atls_get_transfer(atls_client_t *client, atls_transfer_info_t *info)
{
    atls_failure_clear(&client->failure);
    memset(info, 0, sizeof(atls_transfer_info_t));

    if (client->outer) {
        atls_outer_transfer(client->outer, info, client->began);
    }

    info->handshake = client->tls.opened ? client->tls.opened - client->began
                                             : 0;
    info->header_size = client->header_size;

    return ATLS_OK;
}


atls_error_e
atls_exporter(atls_client_t *client, const char *label, const void *context,
    size_t context_size, void *out, size_t size)
{
    atls_failure_clear(&client->failure);

    if (!client->open) {
        return atls_fail(&client->failure, ATLS_ERROR_USAGE,
                         "no open session");
    }

    ERR_clear_error();

    if (SSL_export_keying_material(client->tls.ssl, out, size, label,
                                   strlen(label), context, context_size,
                                   context != NULL)
        != 1)
    {
        return atls_fail_openssl(&client->failure, ATLS_ERROR_USAGE,
                                 "cannot export keying material");
    }

    return ATLS_OK;
}


/*
 * Creation of libatls clients, see client.h.
 */


#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "../../lib/client.h"
#include "../../lib/store.h"
#include "../base/exitcode.h"
#include "../base/util.h"
#include "../base/verbose.h"
#include "client.h"
#include "via.h"


static int cmd_client_via(atls_client_t *client, const cmd_options_t *options);
static atls_error_e cmd_client_strings(atls_client_t *client,
    const cmd_options_t *options);
static atls_error_e cmd_client_lists(atls_client_t *client,
    const cmd_options_t *options);
static atls_error_e cmd_client_numbers(atls_client_t *client,
    const cmd_options_t *options);
static int cmd_client_code_last(atls_client_t *client, atls_error_e error,
    int answered);
static int cmd_client_code_usage(atls_client_t *client);
static int cmd_client_code_outer(atls_client_t *client, atls_error_e error,
    int answered);


int
cmd_client_create(atls_client_t **client, const char *origin,
    const cmd_options_t *options, const atls_store_t *store, char *tag)
{
    int           code;
    atls_error_e  rc;

    rc = atls_client_create(client, origin);

    if (rc != ATLS_OK) {
        return rc == ATLS_ERROR_MEMORY
               ? cmd_fail(CMD_MEMORY, "out of memory")
               : cmd_fail(CMD_URL, "no host in \"%s\"", origin);
    }

    rc = cmd_client_strings(*client, options);

    if (rc == ATLS_OK) {
        rc = cmd_client_lists(*client, options);
    }

    if (rc == ATLS_OK) {
        rc = cmd_client_numbers(*client, options);
    }

    if (rc == ATLS_OK && options->verbose) {
        rc = atls_set_debug(*client, cmd_verbose, tag);
    }

    if (rc == ATLS_OK && store) {
        rc = atls_set_store(*client, store);
    }

    code = cmd_client_fail(*client, rc, 0);

    if (code == CMD_OK && options->via) {
        code = cmd_client_via(*client, options);
    }

    if (code != CMD_OK) {
        atls_client_free(*client);
        *client = NULL;
    }

    return code;
}


static int
cmd_client_via(atls_client_t *client, const cmd_options_t *options)
{
    atls_failure_t    failure;
    atls_transport_t  transport;

    atls_failure_clear(&failure);

    if (cmd_via(&transport, options->via, options, &failure) == -1) {
        return cmd_fail(CMD_USAGE, "%s", failure.text);
    }

    atls_client_set_transport(client, &transport);

    return CMD_OK;
}


static atls_error_e
cmd_client_strings(atls_client_t *client, const cmd_options_t *options)
{
    size_t        i;
    atls_error_e  rc;

    const struct {
        atls_string_e  option;
        const char    *value;
    } strings[] = {
        { ATLS_ENDPOINT,        options->via },
        { ATLS_CA_FILE,         options->ca_file },
        { ATLS_CA_DIR,          options->ca_dir },
        { ATLS_CERT_FILE,       options->cert_file },
        { ATLS_KEY_FILE,        options->key_file },
        { ATLS_KEY_PASSPHRASE,  options->passphrase },
        { ATLS_PSK_IDENTITY,    options->psk_identity },
        { ATLS_PSK_KEY,         options->psk_key },
        { ATLS_MIN_PROTOCOL,    options->min_protocol },
        { ATLS_MAX_PROTOCOL,    options->max_protocol },
        { ATLS_PINNED_KEY,      options->pinned_key },
        { ATLS_CIPHERS,         options->ciphers },
        { ATLS_CIPHERSUITES,    options->ciphersuites },
        { ATLS_OUTER_USER,      options->via_user },
        { ATLS_PROXY,           options->proxy },
        { ATLS_PROXY_USER,      options->proxy_user },
        { ATLS_PROXY_AUTH,      options->proxy_auth },
        { ATLS_NO_PROXY,        options->no_proxy },
    };

    rc = ATLS_OK;

    for (i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        if (rc == ATLS_OK && strings[i].value) {
            rc = atls_set_string(client, strings[i].option, strings[i].value);
        }
    }

    return rc;
}


static atls_error_e
cmd_client_lists(atls_client_t *client, const cmd_options_t *options)
{
    size_t        i, j;
    atls_error_e  rc;

    const struct {
        atls_list_e        option;
        const cmd_list_t  *values;
    } lists[] = {
        { ATLS_OUTER_HEADER,    &options->via_headers },
        { ATLS_PROXY_HEADER,    &options->proxy_headers },
        { ATLS_RESOLVE,         &options->resolve },
        { ATLS_CONNECT_TO,      &options->connect_to },
    };

    rc = ATLS_OK;

    for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        for (j = 0; rc == ATLS_OK && j < lists[i].values->n; j++) {
            rc = atls_add_string(client, lists[i].option,
                                 lists[i].values->items[j]);
        }
    }

    return rc;
}


static atls_error_e
cmd_client_numbers(atls_client_t *client, const cmd_options_t *options)
{
    size_t        i;
    atls_error_e  rc;

    const struct {
        atls_number_e  option;
        int64_t        value;               /* -1: default */
    } numbers[] = {
        { ATLS_TIMEOUT,         options->max_time },
        { ATLS_CONNECT_TIMEOUT, options->connect_timeout },
        { ATLS_POST_SIZE,       options->post_size },
        { ATLS_EARLY_DATA,      options->early_data },
        { ATLS_EXPORTED_KEYS,   options->exported_keys },
        { ATLS_DTLS,            options->dtls },
        { ATLS_IP_VERSION,      options->ip_version },
        { ATLS_RATE,            options->rate },
        { ATLS_RETRIES,         options->retry == CMD_RETRY_UNSET
                                ? -1 : (int64_t) options->retry },
    };

    rc = ATLS_OK;

    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (rc == ATLS_OK && numbers[i].value != -1) {
            rc = atls_set_number(client, numbers[i].option, numbers[i].value);
        }
    }

    return rc;
}


int
cmd_client_store(atls_store_t **store, const char *path)
{
    atls_failure_t  failure;

    failure.error = ATLS_ERROR_MEMORY;
    *store = path ? atls_store_open(path, &failure) : atls_store_memory();

    if (*store) {
        return CMD_OK;
    }

    return failure.error == ATLS_ERROR_MEMORY
           ? cmd_fail(CMD_MEMORY, "out of memory")
           : cmd_fail(CMD_USAGE, "%s", failure.text);
}


int
cmd_client_fail(atls_client_t *client, atls_error_e error, int answered)
{
    int            code, doubt;
    char          *text;
    const char    *advice;

    if (error == ATLS_OK) {
        return CMD_OK;
    }

    /* further calls clear the text and the fault */

    text = cmd_format("%s", atls_error_text(client));
    advice = atls_fault_advice(atls_fault(client));

    code = cmd_client_code_last(client, error, answered);
    doubt = cmd_client_may_be_processed(client, error, code);

    if (doubt) {
        code = CMD_RECEIVE;
    }

    cmd_fail(code, "%s%s%s%s", atls_strerror(error), *text ? ": " : "", text,
             doubt ? CMD_DOUBT : "");

    if (*advice) {
        cmd_warn("%s  \"atls doctor\" tests the path.", advice);
    }

    free(text);

    return code;
}


/* Returns the exit code for an error of the last call. */

static int
cmd_client_code_last(atls_client_t *client, atls_error_e error, int answered)
{
    switch (error) {

    case ATLS_ERROR_USAGE:
        return cmd_client_code_usage(client);

    case ATLS_ERROR_TRUNCATED:
        return answered ? CMD_PARTIAL : CMD_EMPTY;

    case ATLS_ERROR_PROXY:
    case ATLS_ERROR_NETWORK:
        return cmd_client_code_outer(client, error, answered);

    default:
        return cmd_client_code(error);
    }
}


int
cmd_client_code(atls_error_e error)
{
    switch (error) {

    case ATLS_OK:
        return CMD_OK;

    case ATLS_ERROR_USAGE:
        return CMD_USAGE;

    case ATLS_ERROR_MEMORY:
        return CMD_MEMORY;

    case ATLS_ERROR_READ:
        return CMD_READ;

    case ATLS_ERROR_RESOLVE:
        return CMD_RESOLVE;

    case ATLS_ERROR_CONNECT:
        return CMD_CONNECT;

    case ATLS_ERROR_TIMEOUT:
        return CMD_TIMEOUT;

    case ATLS_ERROR_OUTER_STATUS:
    case ATLS_ERROR_REDIRECT:
    case ATLS_ERROR_MEDIA_TYPE:
    case ATLS_ERROR_HTTP:
        return CMD_REPLY;

    case ATLS_ERROR_OUTER_TLS:
    case ATLS_ERROR_TLS:
        return CMD_TLS;

    case ATLS_ERROR_CERTIFICATE:
        return CMD_CERTIFICATE;

    case ATLS_ERROR_PIN:
        return CMD_PIN;

    case ATLS_ERROR_TRUST:
        return CMD_TRUST;

    case ATLS_ERROR_IDENTITY:
        return CMD_IDENTITY;

    case ATLS_ERROR_CIPHERS:
        return CMD_CIPHERS;

    case ATLS_ERROR_TRUNCATED:
        return CMD_EMPTY;

    case ATLS_ERROR_PROXY:
        return CMD_PROXY;

    default:
        return CMD_RECEIVE;
    }
}


/* libcurl parses --resolve and --connect-to when it uses them. */

static int
cmd_client_code_usage(atls_client_t *client)
{
    atls_outer_info_t  info;

    return atls_get_outer(client, &info) == ATLS_OK
           && info.curl_error == CURLE_SETOPT_OPTION_SYNTAX
           ? CMD_SYNTAX : CMD_USAGE;
}


/* Uses libcurl's error code, which is more specific. */

static int
cmd_client_code_outer(atls_client_t *client, atls_error_e error, int answered)
{
    atls_outer_info_t  info;

    if (atls_get_outer(client, &info) != ATLS_OK) {
        return CMD_MEMORY;
    }

    if (error == ATLS_ERROR_NETWORK) {

        /* the response to a POST may be a part of a handshake only */

        return info.curl_error == 0
               || (info.curl_error == CURLE_PARTIAL_FILE && !answered)
               ? CMD_RECEIVE : info.curl_error;
    }

    switch (info.curl_error) {

    case CURLE_COULDNT_RESOLVE_PROXY:
        return CMD_RESOLVE_PROXY;

    case CURLE_COULDNT_CONNECT:
        return CMD_CONNECT;

    default:
        return CMD_PROXY;
    }
}


/*
 * A middlebox may forge any failure.  An invalid response of the service shows
 * that it has processed the request.
 */

int
cmd_client_may_be_processed(const atls_client_t *client, atls_error_e error,
    int code)
{
    return atls_request_sent(client) && error != ATLS_ERROR_HTTP
           && cmd_code_is_certain(code);
}

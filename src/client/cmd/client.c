
/*
 * A client as the command line wants it, see client.h.
 */


#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "exitcode.h"
#include "util.h"
#include "verbose.h"


static atls_error_e cmd_client_strings(atls_client_t *client,
    const cmd_options_t *options);
static atls_error_e cmd_client_numbers(atls_client_t *client,
    const cmd_options_t *options);


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
               : cmd_fail(CMD_URL, "\"%s\" has no host to ask for", origin);
    }

    rc = cmd_client_strings(*client, options);

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

    if (code != CMD_OK) {
        atls_client_free(*client);
        *client = NULL;
    }

    return code;
}


static atls_error_e
cmd_client_strings(atls_client_t *client, const cmd_options_t *options)
{
    size_t             i;
    atls_error_e       rc;

    const char *const  protocol = options->tls12 ? "TLSv1.2" : NULL;

    const struct {
        atls_string_e  option;
        const char    *value;
    } strings[] = {
        { ATLS_ENDPOINT,        options->via },
        { ATLS_CA_FILE,         options->ca_file },
        { ATLS_CERT_FILE,       options->cert_file },
        { ATLS_KEY_FILE,        options->key_file },
        { ATLS_KEY_PASSPHRASE,  options->passphrase },
        { ATLS_PSK_IDENTITY,    options->psk_identity },
        { ATLS_PSK_KEY,         options->psk_key },
        { ATLS_MIN_PROTOCOL,    protocol },
        { ATLS_MAX_PROTOCOL,    protocol },
        { ATLS_CIPHERS,         options->ciphers },
        { ATLS_CIPHERSUITES,    options->ciphersuites },
        { ATLS_PROXY,           options->proxy },
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
cmd_client_numbers(atls_client_t *client, const cmd_options_t *options)
{
    atls_error_e  rc;

    rc = atls_set_number(client, ATLS_TIMEOUT, options->max_time);

    if (rc == ATLS_OK && options->connect_timeout != -1) {
        rc = atls_set_number(client, ATLS_CONNECT_TIMEOUT,
                             options->connect_timeout);
    }

    if (rc == ATLS_OK && options->early_data) {
        rc = atls_set_number(client, ATLS_EARLY_DATA, 1);
    }

    return rc;
}


int
cmd_client_fail(atls_client_t *client, atls_error_e error, int answered)
{
    int    code;
    char  *text;

    if (error == ATLS_OK) {
        return CMD_OK;
    }

    /* asking for the code loses the text */

    text = cmd_format("%s", atls_error_text(client));
    code = cmd_code(client, error, answered);

    cmd_fail(code, "%s%s%s", atls_strerror(error), *text ? ": " : "", text);
    free(text);

    return code;
}


/*
 * Handlers of options for the inner TLS, see option_tls.h.
 */


#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "../base/exitcode.h"
#include "../base/file.h"
#include "../base/util.h"
#include "option_set.h"
#include "option_tls.h"


#define CMD_MAX_EXPORT      8160            /* RFC 5869: 255 times the size of
                                               SHA-256 */


static int cmd_tls_psk(char **identity, char **key, const cmd_option_t *option,
    char *value);
static const char *cmd_tls_protocol(const char *version);
static void cmd_tls_append(char **list, const char *item, size_t n);


int
cmd_set_psk(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    return cmd_tls_psk(&options->psk_identity, &options->psk_key, option,
                       value);
}


int
cmd_set_via_psk(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    return cmd_tls_psk(&options->coap.identity, &options->coap.key, option,
                       value);
}


/* The key follows the last colon, as in the server's files. */

static int
cmd_tls_psk(char **identity, char **key, const cmd_option_t *option,
    char *value)
{
    int          code;
    char        *text;
    size_t       n;
    const char  *colon;

    if (*value == '@') {
        code = cmd_file_read_text(value + 1, &text, &n);
        if (code != CMD_OK) {
            return code;
        }

        text[strcspn(text, "\r\n")] = '\0';

    } else {
        n = strlen(value);
        text = cmd_copy(value, n);
        cmd_set_hide(value);
    }

    colon = strrchr(text, ':');

    if (colon) {
        cmd_wipe(*identity);
        cmd_wipe(*key);

        *identity = cmd_copy(text, (size_t) (colon - text));
        *key = cmd_copy(colon + 1, strlen(colon + 1));
    }

    OPENSSL_cleanse(text, n);
    free(text);

    return colon ? CMD_OK : cmd_fail(CMD_USAGE, "--%s must be IDENTITY:KEY, "
                                                "with the key in hex",
                                     option->name);
}


int
cmd_set_cert(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    char  *p, *to;

    (void) option;

    free(options->cert_file);
    options->cert_file = to = cmd_copy(value, strlen(value));

    for (p = value; *p && *p != ':'; p++) {

        if (*p == '\\' && (p[1] == ':' || p[1] == '\\')) {
            p++;
        }

        *to++ = *p;
    }

    OPENSSL_cleanse(to, strlen(to));

    if (*p == ':' && p[1]) {
        cmd_wipe(options->passphrase);
        options->passphrase = cmd_copy(p + 1, strlen(p + 1));
        cmd_set_hide(p + 1);
    }

    return CMD_OK;
}


int
cmd_set_min_protocol(cmd_options_t *options, const cmd_option_t *option,
    char *value)
{
    (void) value;

    options->min_protocol = cmd_tls_protocol(option->name
                                             + sizeof("tlsv") - 1);

    return CMD_OK;
}


int
cmd_set_max_protocol(cmd_options_t *options, const cmd_option_t *option,
    char *value)
{
    (void) option;

    options->max_protocol = cmd_tls_protocol(value);

    return options->max_protocol || strcmp(value, "default") == 0
           ? CMD_OK : cmd_fail(CMD_USAGE, "invalid TLS version \"%s\", must be "
                                          "1.2, 1.3 or default", value);
}


static const char *
cmd_tls_protocol(const char *version)
{
    return strcmp(version, "1.2") == 0 ? "TLSv1.2"
           : strcmp(version, "1.3") == 0 ? "TLSv1.3"
           : NULL;
}


/* Cipher suites of TLS 1.3 have a separate list in OpenSSL. */

int
cmd_set_ciphers(cmd_options_t *options, const cmd_option_t *option,
    char *value)
{
    size_t  n;

    (void) option;

    free(options->ciphers);
    free(options->ciphersuites);
    options->ciphers = NULL;
    options->ciphersuites = NULL;

    for ( /* void */ ; *value; value += n + (value[n] != '\0')) {
        n = strcspn(value, ":, ");

        if (n) {
            cmd_tls_append(strncmp(value, "TLS_", 4) == 0
                             ? &options->ciphersuites : &options->ciphers,
                             value, n);
        }
    }

    return options->ciphers || options->ciphersuites
           ? CMD_OK : cmd_fail(CMD_USAGE, "the list of ciphers is empty");
}


static void
cmd_tls_append(char **list, const char *item, size_t n)
{
    char  *old = *list;

    *list = cmd_format("%s%s%.*s", old ? old : "", old ? ":" : "", (int) n,
                       item);
    free(old);
}


/* The label may contain colons. */

int
cmd_set_export(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    long   size;
    char  *end, *colon;

    (void) option;

    colon = strrchr(value, ':');
    end = NULL;
    size = colon ? strtol(colon + 1, &end, 10) : 0;

    if (colon == NULL || colon == value || *end != '\0' || size < 1
        || size > CMD_MAX_EXPORT)
    {
        return cmd_fail(CMD_USAGE, "--export must be LABEL:LENGTH, with a "
                                   "length from 1 to %d", CMD_MAX_EXPORT);
    }

    free(options->export_label);
    options->export_label = cmd_copy(value, (size_t) (colon - value));
    options->export_size = (size_t) size;

    return CMD_OK;
}

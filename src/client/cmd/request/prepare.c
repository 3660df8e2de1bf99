
/*
 * atls prepare, see prepare.h.
 */


#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

#include "../../lib/hex.h"
#include "../../lib/store.h"
#include "../base/exitcode.h"
#include "../base/util.h"
#include "../base/verbose.h"
#include "../options/client.h"
#include "../options/options.h"
#include "../options/url.h"
#include "association.h"
#include "prepare.h"


#define CMD_PREPARE_PATH    "/.well-known/atls-association"
#define CMD_PREPARE_LABEL   "application-layer-tls-association"
#define CMD_PREPARE_CONTEXT 16                  /* bytes of the server */
#define CMD_PREPARE_TEXT    "ABCDEFGHIJKLMNOPQRSTUVWXYZ" \
                            "abcdefghijklmnopqrstuvwxyz0123456789-_"
#define CMD_PREPARE_SIZE    (2 * CMD_ASSOCIATION_IDENTITY)
#define CMD_PREPARE_HINT    ": is atls_association set at the endpoint?"


typedef struct {
    cmd_options_t        options;
    cmd_url_t            url;
    atls_client_t       *client;
    atls_store_t        *store;                 /* NULL: print it */
    char                 body[CMD_PREPARE_SIZE];
    size_t               size;
    cmd_association_t    association;
} cmd_prepare_t;


static int cmd_prepare_run(cmd_prepare_t *prepare);
static int cmd_prepare_open(cmd_prepare_t *prepare, int create);
static int cmd_prepare_request(cmd_prepare_t *prepare);
static int cmd_prepare_body(void *data, const void *bytes, size_t n);
static int cmd_prepare_parse(cmd_prepare_t *prepare);
static int cmd_prepare_read(cmd_prepare_t *prepare, const cJSON *json);
static int cmd_prepare_key(cmd_prepare_t *prepare, const char *context);
static void cmd_prepare_print(const cmd_association_t *association);


int
cmd_prepare(int argc, char **argv)
{
    int             code;
    cmd_prepare_t  *prepare;

    prepare = cmd_alloc(sizeof(cmd_prepare_t));
    memset(prepare, 0, sizeof(cmd_prepare_t));

    code = cmd_options_parse(&prepare->options, CMD_PREPARE, argc, argv);

    if (code == CMD_OK && !prepare->options.done) {
        code = cmd_prepare_run(prepare);
    }

    atls_close(prepare->client);
    atls_client_free(prepare->client);
    atls_store_close(prepare->store);
    cmd_association_free(&prepare->association);
    cmd_url_free(&prepare->url);
    cmd_options_free(&prepare->options);
    free(prepare);

    return code;
}


static int
cmd_prepare_run(cmd_prepare_t *prepare)
{
    int                   code, error;
    const cmd_options_t  *options = &prepare->options;

    code = cmd_url_parse(&prepare->url, options->urls.items[0], NULL, options);

    if (code == CMD_OK) {
        code = cmd_prepare_open(prepare, 0);
    }

    if (code == CMD_OK) {
        code = cmd_client_create(&prepare->client, prepare->url.origin, options,
                                 NULL, NULL);
    }

    if (code == CMD_OK) {
        code = cmd_prepare_request(prepare);
    }

    if (code == CMD_OK) {
        code = cmd_prepare_open(prepare, 1);
    }

    if (code != CMD_OK) {
        return code;
    }

    if (prepare->store) {
        cmd_association_put(prepare->store, prepare->url.origin,
                            &prepare->association);

        error = atls_store_error(prepare->store);

        if (error) {
            return cmd_fail(CMD_WRITE, "cannot write to \"%s\": %s",
                            options->association, strerror(error));
        }

    } else {
        cmd_prepare_print(&prepare->association);
    }

    if (options->verbose) {
        cmd_verbose_print("association of %s, expires in %" PRId64 " seconds",
                          prepare->url.origin, prepare->association.expires
                                               - (int64_t) time(NULL));
    }

    return CMD_OK;
}


/*
 * An existing file is checked before the request.  A new one is created after
 * it, so that a request that fails leaves no empty file behind.
 */

static int
cmd_prepare_open(cmd_prepare_t *prepare, int create)
{
    const char  *path = prepare->options.association;

    if (prepare->store || strcmp(path, "-") == 0
        || (!create && access(path, F_OK) == -1 && errno == ENOENT))
    {
        return CMD_OK;
    }

    return cmd_client_store(&prepare->store, path);
}


static int
cmd_prepare_request(cmd_prepare_t *prepare)
{
    int             status;
    atls_error_e    rc;
    atls_request_t  request;

    memset(&request, 0, sizeof(atls_request_t));

    request.method = "POST";
    request.path = CMD_PREPARE_PATH;
    request.on_body = cmd_prepare_body;
    request.data = prepare;

    rc = atls_perform(prepare->client, &request);

    if (rc != ATLS_OK) {
        return cmd_client_fail(prepare->client, rc, 0);
    }

    status = atls_status(prepare->client);

    if (status != 200) {
        return cmd_fail(CMD_STATUS, "no association, status %d%s", status,
                        status == 404 || status == 405
                        ? CMD_PREPARE_HINT : "");
    }

    return cmd_prepare_parse(prepare);
}


static int
cmd_prepare_body(void *data, const void *bytes, size_t n)
{
    cmd_prepare_t  *prepare = data;

    if (n >= CMD_PREPARE_SIZE - prepare->size) {
        return -1;
    }

    memcpy(prepare->body + prepare->size, bytes, n);
    prepare->size += n;

    return 0;
}


/* The server is authenticated, but may be another kind of server. */

static int
cmd_prepare_parse(cmd_prepare_t *prepare)
{
    int     code;
    cJSON  *json;

    json = strpbrk(prepare->body, "{[") == prepare->body
           ? cJSON_Parse(prepare->body) : NULL;

    code = cmd_prepare_read(prepare, json);

    cJSON_Delete(json);

    return code;
}


static int
cmd_prepare_read(cmd_prepare_t *prepare, const cJSON *json)
{
    size_t              n;
    const char         *identity, *context;
    const cJSON        *expires;
    cmd_association_t  *association = &prepare->association;

    identity = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json,
                                                              "identity"));
    context = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json,
                                                              "context"));
    expires = cJSON_GetObjectItemCaseSensitive(json, "expires");
    n = identity ? strlen(identity) : 0;

    if (context == NULL || !cJSON_IsNumber(expires)
        || n == 0 || n > CMD_ASSOCIATION_IDENTITY
        || strspn(identity, CMD_PREPARE_TEXT) != n)
    {
        return cmd_fail(CMD_REPLY, "the response is no association"
                                   CMD_PREPARE_HINT);
    }

    association->identity = cmd_copy(identity, n);
    association->expires = (int64_t) cJSON_GetNumberValue(expires);
    association->reusable
        = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "reusable"));

    return cmd_prepare_key(prepare, context);
}


/* The context is that of the server, and the version of TLS: 1.3. */

static int
cmd_prepare_key(cmd_prepare_t *prepare, const char *context)
{
    size_t         n;
    atls_error_e   rc;
    unsigned char  bytes[CMD_PREPARE_CONTEXT + 2];

    if (OPENSSL_hexstr2buf_ex(bytes, CMD_PREPARE_CONTEXT, &n, context, '\0')
        != 1
        || n != CMD_PREPARE_CONTEXT)
    {
        ERR_clear_error();
        return cmd_fail(CMD_REPLY, "the response is no association");
    }

    bytes[CMD_PREPARE_CONTEXT] = 0x03;
    bytes[CMD_PREPARE_CONTEXT + 1] = 0x04;

    rc = atls_exporter(prepare->client, CMD_PREPARE_LABEL, bytes, sizeof(bytes),
                       prepare->association.key, CMD_ASSOCIATION_KEY);

    return cmd_client_fail(prepare->client, rc, 1);
}


static void
cmd_prepare_print(const cmd_association_t *association)
{
    char  key[2 * CMD_ASSOCIATION_KEY + 1];

    atls_hex(key, association->key, CMD_ASSOCIATION_KEY);

    printf("{\"identity\":\"%s\",\"key\":\"%s\",\"expires\":%" PRId64
           ",\"reusable\":%s}\n", association->identity, key,
           association->expires, association->reusable ? "true" : "false");

    OPENSSL_cleanse(key, sizeof(key));
}

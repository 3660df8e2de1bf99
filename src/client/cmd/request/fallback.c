
/*
 * Plain HTTPS, see fallback.h.
 *
 * libcurl verifies the certificate as a part of the TLS handshake.  The request
 * is created and sent after that.
 */


#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "../../lib/cert.h"
#include "../../lib/debug.h"
#include "../../lib/http.h"
#include "../../lib/seen.h"
#include "../../lib/store.h"
#include "../base/exitcode.h"
#include "../base/util.h"
#include "../base/verbose.h"
#include "../options/client.h"
#include "../options/route.h"
#include "association.h"
#include "fallback.h"
#include "receive.h"


#define CMD_MISDIRECTED     421


typedef struct {
    cmd_fallback_t      *fallback;
    cmd_transfer_t      *transfer;
    CURL                *curl;
    struct curl_slist   *headers;
    atls_route_t         route;
    atls_peer_t          peer;
    int                  status;            /* status of the current header */
    int                  ended;             /* the final header is complete */
    int                  refused;           /* the server did not process it */
    int                  sent;              /* a part of the request is */
    int                  none;              /* no association in the file */
    const char          *unused;            /* why it is not; may be NULL */
    char                 error[CURL_ERROR_SIZE];
} cmd_https_t;


static int cmd_https_route(cmd_https_t *https);
static void cmd_https_setup(cmd_https_t *https);
static void cmd_https_direct(CURL *curl, const cmd_options_t *options);
static void cmd_https_tls(CURL *curl, const cmd_options_t *options);
static void cmd_https_version(CURL *curl, const cmd_options_t *options);
static void cmd_https_suites(CURL *curl, const cmd_options_t *options);
static CURLcode cmd_https_ctx(CURL *curl, void *ctx, void *data);
static int cmd_https_is_proxy(SSL_CTX *ctx);
static int cmd_https_verify(X509_STORE_CTX *ctx, void *data);
static void cmd_https_body(CURL *curl, cmd_transfer_t *transfer);
static void cmd_https_headers(cmd_https_t *https);
static void cmd_https_header_add(cmd_https_t *https, const char *name,
    const char *value);
static void cmd_https_info(cmd_https_t *https);
static int cmd_https_result(cmd_https_t *https, CURLcode rc);
static int cmd_https_again(cmd_https_t *https);
static int cmd_https_ready(void *data, char *address, char *local_address,
    int port, int local_port);
static const char *cmd_https_unused(CURL *curl);
static size_t cmd_https_header(char *bytes, size_t size, size_t n,
    void *data);
static int cmd_https_header_line(cmd_https_t *https, char *line);
static int cmd_https_wrong(cmd_https_t *https, const char *what);
static size_t cmd_https_write(char *bytes, size_t size, size_t n, void *data);
static size_t cmd_https_read(char *bytes, size_t size, size_t n, void *data);
static int cmd_https_seek(void *data, curl_off_t offset, int origin);
static int cmd_https_progress(void *data, curl_off_t dltotal,
    curl_off_t dlnow, curl_off_t ultotal, curl_off_t ulnow);
static int cmd_https_debug(CURL *curl, curl_infotype type, char *text,
    size_t n, void *data);


/* A file that does not exist is not created: there is nothing to write. */

int
cmd_fallback_init(cmd_fallback_t *fallback, const cmd_options_t *options)
{
    const char  *path = options->association;

    if (path == NULL) {
        return CMD_OK;
    }

    if (access(path, F_OK) == -1 && errno == ENOENT) {
        path = NULL;
    }

    return cmd_client_store(&fallback->store, path);
}


int
cmd_fallback_perform(cmd_fallback_t *fallback, cmd_transfer_t *transfer)
{
    int          code;
    cmd_https_t  https;

    /* otherwise, names cannot be verified as strictly as with ATLS */

    if (!atls_seen_same_openssl()) {
        return CMD_FALLBACK_UNTRUSTED;
    }

    if (fallback->curl == NULL) {
        fallback->curl = curl_easy_init();
    }

    if (fallback->curl == NULL) {
        return cmd_fail(CMD_MEMORY, "out of memory");
    }

    memset(&https, 0, sizeof(cmd_https_t));
    https.fallback = fallback;
    https.transfer = transfer;
    https.curl = fallback->curl;

    atls_peer_parse(&https.peer, transfer->url.origin);

    if (https.peer.host == NULL) {
        return cmd_fail(CMD_MEMORY, "out of memory");
    }

    code = cmd_https_route(&https);

    if (code == CMD_OK) {
        cmd_https_setup(&https);
        code = cmd_https_result(&https, curl_easy_perform(https.curl));
    }

    if (code != CMD_FALLBACK_UNTRUSTED) {
        cmd_https_info(&https);
    }

    curl_easy_reset(https.curl);
    curl_slist_free_all(https.headers);
    atls_route_free(&https.route);
    atls_peer_free(&https.peer);

    return code;
}


static int
cmd_https_route(cmd_https_t *https)
{
    atls_failure_t     failure;
    atls_route_conf_t  conf;

    cmd_route(&conf, https->transfer->options);

    if (atls_route_set(&https->route, https->curl, &conf, &failure) == 0) {
        return CMD_OK;
    }

    return cmd_fail(failure.error == ATLS_ERROR_MEMORY ? CMD_MEMORY
                                                       : CMD_USAGE,
                    "%s", failure.text);
}


static void
cmd_https_setup(cmd_https_t *https)
{
    char                 *url;
    CURL                 *curl = https->curl;
    cmd_transfer_t       *transfer = https->transfer;
    const cmd_options_t  *options = transfer->options;

    url = cmd_format("%s%s", transfer->url.origin, transfer->url.path);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    free(url);

    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, https->error);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long) options->max_time);

    if (options->verbose) {
        curl_easy_setopt(curl, CURLOPT_VERBOSE, 1L);
        curl_easy_setopt(curl, CURLOPT_DEBUGFUNCTION, cmd_https_debug);
    }

    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, cmd_https_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, https);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, cmd_https_write);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, cmd_https_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);

    curl_easy_setopt(curl, CURLOPT_SSL_CTX_FUNCTION, cmd_https_ctx);
    curl_easy_setopt(curl, CURLOPT_SSL_CTX_DATA, https);
    curl_easy_setopt(curl, CURLOPT_PREREQFUNCTION, cmd_https_ready);
    curl_easy_setopt(curl, CURLOPT_PREREQDATA, https);

    /* libcurl repeats any request if an existing connection was closed */

    curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT,
                     (long) !atls_http_is_idempotent(transfer->request.method));

    if (https->fallback->store) {
        cmd_https_direct(curl, options);

    } else {
        cmd_https_tls(curl, options);
    }

    cmd_https_body(curl, transfer);
    cmd_https_headers(https);
}


/*
 * The server is verified by cmd_association_use() and cmd_https_unused(), a
 * proxy by libcurl.
 */

static void
cmd_https_direct(CURL *curl, const cmd_options_t *options)
{
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_SESSIONID_CACHE, 0L);

    /* see cmd_https_is_proxy() */

    curl_easy_setopt(curl, CURLOPT_PROXY_SSLVERSION,
                     (long) CURL_SSLVERSION_MAX_DEFAULT);

    cmd_https_version(curl, options);
    cmd_https_suites(curl, options);
}


/* Sets the same trusted CAs as for ATLS, where OpenSSL uses these variables. */

static void
cmd_https_tls(CURL *curl, const cmd_options_t *options)
{
    const char  *file, *dir;

    file = options->ca_file;
    dir = options->ca_dir;

    if (file == NULL && dir == NULL) {
        file = getenv("SSL_CERT_FILE");
        dir = getenv("SSL_CERT_DIR");
    }

    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);

    /* unlike in curl, one of the options replaces both defaults */

    if (file || options->ca_dir) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, file);
    }

    if (dir || options->ca_file) {
        curl_easy_setopt(curl, CURLOPT_CAPATH, dir);
    }

    curl_easy_setopt(curl, CURLOPT_PINNEDPUBLICKEY, options->pinned_key);
    curl_easy_setopt(curl, CURLOPT_SSLCERT, options->cert_file);
    curl_easy_setopt(curl, CURLOPT_SSLKEY, options->key_file);
    curl_easy_setopt(curl, CURLOPT_KEYPASSWD, options->passphrase);

    cmd_https_version(curl, options);
    cmd_https_suites(curl, options);
}


static void
cmd_https_version(CURL *curl, const cmd_options_t *options)
{
    long  version;

    version = options->min_protocol
              && strcmp(options->min_protocol, "TLSv1.3") == 0
              ? CURL_SSLVERSION_TLSv1_3 : CURL_SSLVERSION_TLSv1_2;

    version |= options->max_protocol
               && strcmp(options->max_protocol, "TLSv1.2") == 0
               ? CURL_SSLVERSION_MAX_TLSv1_2 : CURL_SSLVERSION_MAX_TLSv1_3;

    curl_easy_setopt(curl, CURLOPT_SSLVERSION, version);
}


static void
cmd_https_suites(CURL *curl, const cmd_options_t *options)
{
    if (options->ciphers) {
        curl_easy_setopt(curl, CURLOPT_SSL_CIPHER_LIST, options->ciphers);
    }

    if (options->ciphersuites) {
        curl_easy_setopt(curl, CURLOPT_TLS13_CIPHERS, options->ciphersuites);
    }
}


/*
 * Called for each TLS connection.  One to a service needs an association of its
 * own; a proxy gets none.  Otherwise, prevents libcurl from accepting the CN of
 * a subject.
 */

static CURLcode
cmd_https_ctx(CURL *curl, void *ctx, void *data)
{
    cmd_https_t  *https = data;

    cmd_fallback_t  *fallback = https->fallback;

    (void) curl;

    if (fallback->store && cmd_https_is_proxy(ctx)) {
        return CURLE_OK;
    }

    if (fallback->store) {
        cmd_association_free(&fallback->association);

        https->none = cmd_association_take(fallback->store,
                                           https->transfer->url.origin,
                                           &fallback->association)
                      == -1;

        return !https->none
               && cmd_association_use(ctx, &fallback->association,
                                      https->transfer->options->ciphers != NULL)
                  == 0
               ? CURLE_OK : CURLE_SSL_CERTPROBLEM;
    }

    SSL_CTX_set_cert_verify_callback(ctx, cmd_https_verify, data);

    return CURLE_OK;
}


/*
 * libcurl calls the function for both, and does not tell it for which one.  But
 * the maximum version is set for services, and not for proxies.
 */

static int
cmd_https_is_proxy(SSL_CTX *ctx)
{
    return SSL_CTX_get_max_proto_version(ctx) == 0;
}


static int
cmd_https_verify(X509_STORE_CTX *ctx, void *data)
{
    cmd_https_t  *https = data;

    X509_VERIFY_PARAM  *param;

    param = X509_STORE_CTX_get0_param(ctx);

    if (atls_peer_matches(&https->peer, ctx)
        && atls_peer_set_param(&https->peer, param) == -1)
    {
        X509_STORE_CTX_set_error(ctx, X509_V_ERR_OUT_OF_MEM);
        return 0;
    }

    return X509_verify_cert(ctx);
}


static void
cmd_https_body(CURL *curl, cmd_transfer_t *transfer)
{
    const char  *method = transfer->request.method;

    if (transfer->body) {
        transfer->upload.flush = 0;

        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, cmd_https_read);
        curl_easy_setopt(curl, CURLOPT_READDATA, transfer);
        curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, cmd_https_seek);
        curl_easy_setopt(curl, CURLOPT_SEEKDATA, transfer);
        curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE,
                         (curl_off_t) transfer->upload.length);

    } else if (strcmp(method, "HEAD") == 0) {
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    }

    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
}


/* Sets the same headers as for ATLS, and removes libcurl's default headers. */

static void
cmd_https_headers(cmd_https_t *https)
{
    size_t          i;
    cmd_request_t  *request = &https->transfer->request;

    static const char *const  fields[] = { "Accept", "Content-Type", "Expect" };

    for (i = 0; i < request->nheaders; i++) {
        cmd_https_header_add(https, request->headers[i].name,
                             request->headers[i].value);
    }

    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (!cmd_request_has(request, fields[i])) {
            cmd_https_header_add(https, fields[i], NULL);
        }
    }

    curl_easy_setopt(https->curl, CURLOPT_HTTPHEADER, https->headers);
}


/* Adds a header in libcurl's syntax, which differs for empty values. */

static void
cmd_https_header_add(cmd_https_t *https, const char *name, const char *value)
{
    char               *line;
    struct curl_slist  *list;

    line = cmd_format("%s%s%s", name, value && *value == '\0' ? ";" : ": ",
                      value ? value : "");

    list = curl_slist_append(https->headers, line);
    free(line);

    if (list == NULL) {
        exit(cmd_fail(CMD_MEMORY, "out of memory"));
    }

    https->headers = list;
}


static void
cmd_https_info(cmd_https_t *https)
{
    long                   connects, size;
    CURL                  *curl = https->curl;
    curl_off_t             lookup, connect, handshake;
    atls_transfer_info_t  *info = &https->transfer->info;

    connects = size = 0;
    lookup = connect = handshake = 0;

    curl_easy_getinfo(curl, CURLINFO_NUM_CONNECTS, &connects);
    curl_easy_getinfo(curl, CURLINFO_REQUEST_SIZE, &size);
    curl_easy_getinfo(curl, CURLINFO_NAMELOOKUP_TIME_T, &lookup);
    curl_easy_getinfo(curl, CURLINFO_CONNECT_TIME_T, &connect);
    curl_easy_getinfo(curl, CURLINFO_APPCONNECT_TIME_T, &handshake);

    atls_route_info(curl, info);

    info->connections = (unsigned) connects;
    info->header_size = (size_t) size;
    info->name_lookup = lookup;
    info->connect = connect;
    info->handshake = handshake;

    cmd_transfer_count(https->transfer);
}


/* The exit codes of curl are CURLcodes. */

static int
cmd_https_result(cmd_https_t *https, CURLcode rc)
{
    const char      *text;
    cmd_transfer_t  *transfer = https->transfer;

    text = https->unused ? https->unused
           : https->error[0] ? https->error
           : curl_easy_strerror(rc);

    if (https->fallback->store && rc != CURLE_OK
        && (https->refused || !https->sent) && transfer->code == CMD_OK)
    {
        if (transfer->options->verbose && https->none) {
            cmd_verbose_print("direct: using ATLS, %s has no association of %s",
                              transfer->options->association,
                              transfer->url.origin);

        } else if (transfer->options->verbose) {
            cmd_verbose_print("direct: using ATLS, no connection to %s with an"
                              " association: %s", transfer->url.origin, text);
        }

        return cmd_https_again(https);
    }

    if (rc == CURLE_PEER_FAILED_VERIFICATION && transfer->status == 0) {

        if (transfer->options->verbose) {
            cmd_verbose_print("fallback: using ATLS, certificate of %s"
                              " is not valid: %s", transfer->url.origin, text);
        }

        return CMD_FALLBACK_UNTRUSTED;
    }

    if (transfer->options->verbose && rc == CURLE_OK) {
        cmd_verbose_print(https->fallback->store
                          ? "direct: using the association of %s"
                          : "fallback: using plain HTTPS, certificate of %s"
                            " is valid", transfer->url.origin);
    }

    if (rc == CURLE_OK || transfer->code != CMD_OK) {
        return transfer->code;
    }

    return https->sent && cmd_code_is_certain((int) rc)
           ? cmd_fail(CMD_RECEIVE, "%s" CMD_DOUBT, text)
           : cmd_fail((int) rc, "%s", text);
}


/* The request was not sent, or was refused without being processed. */

static int
cmd_https_again(cmd_https_t *https)
{
    cmd_transfer_t  *transfer = https->transfer;

    if (https->sent && transfer->body && cmd_transfer_rewind(transfer) == -1) {
        return cmd_fail(CMD_REWIND, "the association was already used, and the "
                                    "request body cannot be read again");
    }

    return CMD_FALLBACK_UNTRUSTED;
}


/* Called before a request is sent, or sent again. */

static int
cmd_https_ready(void *data, char *address, char *local_address, int port,
    int local_port)
{
    cmd_https_t  *https = data;

    (void) address;
    (void) local_address;
    (void) port;
    (void) local_port;

    if (https->fallback->store) {
        https->unused = cmd_https_unused(https->curl);

        if (https->unused) {
            return CURL_PREREQFUNC_ABORT;
        }
    }

    https->sent = 1;

    return CURL_PREREQFUNC_OK;
}


static const char *
cmd_https_unused(CURL *curl)
{
    struct curl_tlssessioninfo  *info;

    info = NULL;

    return curl_easy_getinfo(curl, CURLINFO_TLS_SSL_PTR, &info) == CURLE_OK
           && info->backend == CURLSSLBACKEND_OPENSSL && info->internals
           ? cmd_association_unused(info->internals)
           : "the TLS connection cannot be examined";
}


static size_t
cmd_https_header(char *bytes, size_t size, size_t n, void *data)
{
    cmd_https_t  *https = data;

    int    failed;
    char  *line;

    n *= size;

    line = cmd_copy(bytes, n);
    line[strcspn(line, "\r\n")] = '\0';

    failed = https->ended ? 0 : cmd_https_header_line(https, line);
    free(line);

    return failed ? 0 : n;
}


static int
cmd_https_header_line(cmd_https_t *https, char *line)
{
    unsigned     minor;
    const char  *reason, *value;

    if (strncmp(line, "HTTP/", 5) == 0) {
        reason = atls_http_status(line, &minor, &https->status);

        if (reason == NULL) {
            return cmd_https_wrong(https, "invalid status line");
        }

        if (https->fallback->store && https->status == CMD_MISDIRECTED) {
            https->refused = 1;
            return -1;
        }

        return https->status < 200
               ? 0 : cmd_receive_status(https->transfer, https->status,
                                        reason);
    }

    if (https->status < 200) {
        return 0;
    }

    if (*line == '\0') {
        https->ended = 1;                   /* trailers may follow */
        return 0;
    }

    value = atls_http_field(line);

    if (value == NULL) {
        return cmd_https_wrong(https, "invalid header line");
    }

    return cmd_receive_header(https->transfer, line, value);
}


/* The message is the same as for ATLS. */

static int
cmd_https_wrong(cmd_https_t *https, const char *what)
{
    https->transfer->code = cmd_fail(CMD_REPLY,
                                     "invalid HTTP response: %s", what);
    return -1;
}


static size_t
cmd_https_write(char *bytes, size_t size, size_t n, void *data)
{
    return cmd_receive_body(data, bytes, size * n) == 0 ? size * n : 0;
}


static size_t
cmd_https_read(char *bytes, size_t size, size_t n, void *data)
{
    long  got;

    got = cmd_transfer_read(data, bytes, size * n);

    return got < 0 ? CURL_READFUNC_ABORT : (size_t) got;
}


static int
cmd_https_seek(void *data, curl_off_t offset, int origin)
{
    return offset == 0 && origin == SEEK_SET && cmd_transfer_rewind(data) == 0
           ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_CANTSEEK;
}


static int
cmd_https_progress(void *data, curl_off_t dltotal, curl_off_t dlnow,
    curl_off_t ultotal, curl_off_t ulnow)
{
    (void) dltotal;
    (void) dlnow;
    (void) ultotal;
    (void) ulnow;

    return cmd_transfer_wait(data);
}


static int
cmd_https_debug(CURL *curl, curl_infotype type, char *text, size_t n,
    void *data)
{
    static const atls_debug_t  debug = { cmd_verbose, NULL, NULL };
    static const atls_debug_e  kinds[] = { ATLS_DEBUG_INNER,
                                           ATLS_DEBUG_INNER_RECEIVED,
                                           ATLS_DEBUG_INNER_SENT };

    (void) curl;
    (void) data;

    if (type <= CURLINFO_HEADER_OUT) {
        atls_debug_lines(&debug, kinds[type], text, n);
    }

    return 0;
}


void
cmd_fallback_done(cmd_fallback_t *fallback)
{
    curl_easy_cleanup(fallback->curl);
    atls_store_close(fallback->store);
    cmd_association_free(&fallback->association);
}

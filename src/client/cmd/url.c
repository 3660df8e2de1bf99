
/*
 * URLs of the command line, see url.h.
 */


#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "../lib/peer.h"
#include "exitcode.h"
#include "url.h"
#include "util.h"


static int cmd_url_scheme(CURLU *parsed, const char *text);
static int cmd_url_query(CURLU *parsed, const cmd_options_t *options);
static void cmd_url_user(cmd_url_t *url, CURLU *parsed);
static void cmd_url_path(cmd_url_t *url, CURLU *parsed, const char *upload);
static int cmd_url_origin(cmd_url_t *url, CURLU *parsed);
static char *cmd_url_part(CURLU *parsed, CURLUPart part, unsigned flags);


int
cmd_url_parse(cmd_url_t *url, const char *text, const cmd_options_t *options)
{
    int     code;
    CURLU  *parsed;

    memset(url, 0, sizeof(cmd_url_t));

    parsed = curl_url();
    if (parsed == NULL) {
        return cmd_fail(CMD_MEMORY, "out of memory");
    }

    if (curl_url_set(parsed, CURLUPART_URL, text,
                     CURLU_DEFAULT_SCHEME | CURLU_NON_SUPPORT_SCHEME)
        != CURLUE_OK)
    {
        curl_url_cleanup(parsed);
        return cmd_fail(CMD_URL, "invalid URL \"%s\"", text);
    }

    code = cmd_url_scheme(parsed, text);

    if (code == CMD_OK && options && cmd_url_query(parsed, options) == -1) {
        code = cmd_fail(CMD_USAGE, "the data cannot be used in a URL");
    }

    if (code == CMD_OK) {
        cmd_url_user(url, parsed);
        cmd_url_path(url, parsed, options ? options->upload : NULL);

        if (cmd_url_origin(url, parsed) == -1) {
            code = cmd_fail(CMD_URL, "invalid URL \"%s\"", text);
        }
    }

    curl_url_cleanup(parsed);

    return code;
}


static int
cmd_url_scheme(CURLU *parsed, const char *text)
{
    int    https;
    char  *scheme;

    scheme = cmd_url_part(parsed, CURLUPART_SCHEME, 0);
    https = scheme && strcmp(scheme, "https") == 0;
    free(scheme);

    return https ? CMD_OK
                 : cmd_fail(CMD_SCHEME, "\"%s\" must begin with https://, use "
                                        "--via for the endpoint", text);
}


static int
cmd_url_query(CURLU *parsed, const cmd_options_t *options)
{
    if (!options->get || options->data == NULL) {
        return 0;
    }

    return strlen(options->data) == options->data_size
           && curl_url_set(parsed, CURLUPART_QUERY, options->data,
                           CURLU_APPENDQUERY)
              == CURLUE_OK ? 0 : -1;
}


static void
cmd_url_user(cmd_url_t *url, CURLU *parsed)
{
    char  *user, *password;

    user = cmd_url_part(parsed, CURLUPART_USER, CURLU_URLDECODE);
    password = cmd_url_part(parsed, CURLUPART_PASSWORD, CURLU_URLDECODE);

    if (user) {
        url->user = cmd_format("%s:%s", user, password ? password : "");
    }

    free(user);
    free(password);
}


static void
cmd_url_path(cmd_url_t *url, CURLU *parsed, const char *upload)
{
    char  *path, *query, *escaped;

    path = cmd_url_part(parsed, CURLUPART_PATH, 0);
    query = cmd_url_part(parsed, CURLUPART_QUERY, 0);
    escaped = NULL;

    if (path == NULL) {
        path = cmd_copy("/", 1);
    }

    url->name = cmd_format("%s", strrchr(path, '/') + 1);

    if (upload && strcmp(upload, "-") && *url->name == '\0' && query == NULL) {
        escaped = curl_easy_escape(NULL, basename(upload), 0);
    }

    url->path = cmd_format("%s%s%s%s", path, escaped ? escaped : "",
                           query ? "?" : "", query ? query : "");
    curl_free(escaped);
    free(path);
    free(query);
}


/* Removes all parts of the URL except for the scheme, host and port. */

static int
cmd_url_origin(cmd_url_t *url, CURLU *parsed)
{
    char         *host;
    size_t        i;
    atls_peer_t   peer;

    static const CURLUPart  rest[] = { CURLUPART_USER, CURLUPART_PASSWORD,
                                       CURLUPART_OPTIONS, CURLUPART_PATH,
                                       CURLUPART_QUERY, CURLUPART_FRAGMENT };

    for (i = 0; i < sizeof(rest) / sizeof(rest[0]); i++) {
        curl_url_set(parsed, rest[i], NULL, 0);
    }

    url->origin = cmd_url_part(parsed, CURLUPART_URL, CURLU_NO_DEFAULT_PORT);

    if (url->origin == NULL) {
        return -1;
    }

    host = url->origin + sizeof("https://") - 1;
    host[strcspn(host, "/")] = '\0';

    /* libcurl accepts hosts that cannot be verified */

    atls_peer_parse(&peer, url->origin);

    if (peer.host == NULL) {
        return -1;
    }

    atls_peer_free(&peer);

    return 0;
}


static char *
cmd_url_part(CURLU *parsed, CURLUPart part, unsigned flags)
{
    char  *text, *copy;

    text = NULL;

    if (curl_url_get(parsed, part, &text, flags) != CURLUE_OK) {
        return NULL;
    }

    copy = cmd_copy(text, strlen(text));
    curl_free(text);

    return copy;
}


void
cmd_url_free(cmd_url_t *url)
{
    free(url->origin);
    free(url->path);
    free(url->name);
    free(url->user);
}

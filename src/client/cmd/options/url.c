
/*
 * URLs of the command line, see url.h.
 */


#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "../../lib/peer.h"
#include "../base/exitcode.h"
#include "../base/util.h"
#include "url.h"


static CURLUcode cmd_url_resolve(CURLU *parsed, const cmd_url_t *base,
    const char *location);
static CURLU *cmd_url_new(cmd_url_t *url);
static int cmd_url_parts(cmd_url_t *url, CURLU *parsed);
static int cmd_url_scheme(CURLU *parsed, const char *text, const char *advice);
static int cmd_url_query(cmd_url_t *url, CURLU *parsed,
    const cmd_options_t *options);
static void cmd_url_upload(cmd_url_t *url, CURLU *parsed, const char *upload);
static void cmd_url_user(cmd_url_t *url, CURLU *parsed);
static void cmd_url_path(cmd_url_t *url, CURLU *parsed);
static int cmd_url_origin(cmd_url_t *url, CURLU *parsed);
static char *cmd_url_part(CURLU *parsed, CURLUPart part, unsigned flags);


int
cmd_url_parse(cmd_url_t *url, const char *text, const char *file,
    const cmd_options_t *options)
{
    int     code;
    CURLU  *parsed;

    parsed = cmd_url_new(url);

    if (curl_url_set(parsed, CURLUPART_URL, text,
                     CURLU_DEFAULT_SCHEME | CURLU_NON_SUPPORT_SCHEME)
        != CURLUE_OK)
    {
        curl_url_cleanup(parsed);
        return cmd_fail(CMD_URL, "invalid URL \"%s\"", text);
    }

    code = cmd_url_scheme(parsed, text, "use --via for the endpoint");

    if (code == CMD_OK && options
        && cmd_url_query(url, parsed, options) == -1)
    {
        code = cmd_fail(CMD_USAGE, "the data cannot be used in a URL");
    }

    if (code == CMD_OK && file) {
        cmd_url_upload(url, parsed, file);
    }

    if (code == CMD_OK) {
        code = cmd_url_parts(url, parsed);
    }

    curl_url_cleanup(parsed);

    return code;
}


int
cmd_url_follow(cmd_url_t *url, const cmd_url_t *base, const char *location)
{
    int     code;
    CURLU  *parsed;

    parsed = cmd_url_new(url);

    if (cmd_url_resolve(parsed, base, location) != CURLUE_OK) {
        curl_url_cleanup(parsed);
        return cmd_fail(CMD_URL, "redirect to an invalid URL \"%s\"", location);
    }

    code = cmd_url_scheme(parsed, location, "the redirect is not followed");

    if (code == CMD_OK) {
        code = cmd_url_parts(url, parsed);
    }

    if (code == CMD_OK && url->user == NULL && base->user) {
        url->user = cmd_copy(base->user, strlen(base->user));
    }

    curl_url_cleanup(parsed);

    return code;
}


char *
cmd_url_absolute(const cmd_url_t *base, const char *location)
{
    char       *text;
    CURLU      *parsed;
    cmd_url_t   url;

    parsed = cmd_url_new(&url);
    text = NULL;

    if (location && *location
        && cmd_url_resolve(parsed, base, location) == CURLUE_OK)
    {
        text = cmd_url_part(parsed, CURLUPART_URL, 0);
    }

    curl_url_cleanup(parsed);

    return text;
}


static CURLUcode
cmd_url_resolve(CURLU *parsed, const cmd_url_t *base, const char *location)
{
    CURLUcode  rc;

    rc = curl_url_set(parsed, CURLUPART_URL, base->text, 0);

    return rc == CURLUE_OK
           ? curl_url_set(parsed, CURLUPART_URL, location,
                          CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE)
           : rc;
}


static CURLU *
cmd_url_new(cmd_url_t *url)
{
    CURLU  *parsed;

    memset(url, 0, sizeof(cmd_url_t));

    parsed = curl_url();

    if (parsed == NULL) {
        exit(cmd_fail(CMD_MEMORY, "out of memory"));
    }

    return parsed;
}


static int
cmd_url_parts(cmd_url_t *url, CURLU *parsed)
{
    cmd_url_user(url, parsed);
    cmd_url_path(url, parsed);

    url->text = cmd_url_part(parsed, CURLUPART_URL, 0);

    return url->text && cmd_url_origin(url, parsed) == 0
           ? CMD_OK : cmd_fail(CMD_URL, "invalid URL \"%s\"",
                               url->text ? url->text : "");
}


static int
cmd_url_scheme(CURLU *parsed, const char *text, const char *advice)
{
    int    https;
    char  *scheme;

    scheme = cmd_url_part(parsed, CURLUPART_SCHEME, 0);
    https = scheme && strcmp(scheme, "https") == 0;
    free(scheme);

    return https ? CMD_OK
                 : cmd_fail(CMD_SCHEME, "\"%s\" must begin with https://, %s",
                            text, advice);
}


static int
cmd_url_query(cmd_url_t *url, CURLU *parsed, const cmd_options_t *options)
{
    if (!options->get || options->data == NULL) {
        return 0;
    }

    url->changed = 1;

    return strlen(options->data) == options->data_size
           && curl_url_set(parsed, CURLUPART_QUERY, options->data,
                           CURLU_APPENDQUERY)
              == CURLUE_OK ? 0 : -1;
}


/* Appends the name of a file to a path that ends with a slash. */

static void
cmd_url_upload(cmd_url_t *url, CURLU *parsed, const char *upload)
{
    char  *path, *query, *escaped, *longer;

    path = cmd_url_part(parsed, CURLUPART_PATH, 0);
    query = cmd_url_part(parsed, CURLUPART_QUERY, 0);
    escaped = curl_easy_escape(NULL, basename(upload), 0);

    if (strcmp(upload, "-") && query == NULL && escaped
        && (path == NULL || path[strlen(path) - 1] == '/'))
    {
        longer = cmd_format("%s%s", path ? path : "/", escaped);
        curl_url_set(parsed, CURLUPART_PATH, longer, 0);
        free(longer);

        url->changed = 1;
    }

    curl_free(escaped);
    free(path);
    free(query);
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
cmd_url_path(cmd_url_t *url, CURLU *parsed)
{
    char  *path, *query;

    path = cmd_url_part(parsed, CURLUPART_PATH, 0);
    query = cmd_url_part(parsed, CURLUPART_QUERY, 0);

    if (path == NULL) {
        path = cmd_copy("/", 1);
    }

    url->name = cmd_format("%s", strrchr(path, '/') + 1);
    url->path = cmd_format("%s%s%s", path, query ? "?" : "",
                           query ? query : "");
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
    free(url->text);
    free(url->origin);
    free(url->path);
    free(url->name);
    cmd_wipe(url->user);
}

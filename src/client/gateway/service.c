
/*
 * The services, see service.h.
 */


#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../cmd/base/exitcode.h"
#include "../cmd/base/util.h"
#include "../lib/location.h"
#include "service.h"


#define GW_NAME_CHARS   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"                           \
                        "abcdefghijklmnopqrstuvwxyz0123456789.-_"


static int gw_service_parse(gw_service_t *service, const char *text);
static int gw_service_is_url(const char *text);
static int gw_service_path(gw_service_t *service);


int
gw_services_parse(gw_services_t *services, const cmd_list_t *list)
{
    int            code;
    size_t         i;
    gw_service_t  *service, *other;

    services->items = cmd_alloc(list->n * sizeof(gw_service_t) + 1);

    for (services->n = 0; services->n < list->n; services->n++) {

        service = &services->items[services->n];
        code = gw_service_parse(service, list->items[services->n]);

        for (i = 0; code == CMD_OK && i < services->n; i++) {
            other = &services->items[i];

            if (service->name && other->name
                ? strcasecmp(service->name, other->name) == 0
                : service->name == other->name)
            {
                code = cmd_fail(CMD_USAGE, service->name
                                           ? "--to has the same name twice"
                                           : "more than one --to has no name");
            }
        }

        if (code != CMD_OK) {
            services->n++;
            return code;
        }
    }

    return CMD_OK;
}


static int
gw_service_parse(gw_service_t *service, const char *text)
{
    size_t  n;

    if (!gw_service_is_url(text)) {
        n = strspn(text, GW_NAME_CHARS);

        if (n == 0 || n > 255 || text[n] != '=') {
            return cmd_fail(CMD_USAGE, "--to must be URL or NAME=URL");
        }

        service->name = cmd_copy(text, n);
        text += n + 1;
    }

    service->text = cmd_copy(text, strlen(text));
    service->posts = cmd_alloc(sizeof(unsigned));
    service->url = curl_url();

    if (service->url == NULL) {
        return cmd_fail(CMD_MEMORY, "out of memory");
    }

    return !gw_service_is_url(text)
           || curl_url_set(service->url, CURLUPART_URL, text, 0) != CURLUE_OK
           || gw_service_path(service) == -1
           ? cmd_fail(CMD_URL, "\"%s\" is not an http or https URL of an "
                               "endpoint", text)
           : CMD_OK;
}


static int
gw_service_is_url(const char *text)
{
    return strncasecmp(text, "http://", 7) == 0
           || strncasecmp(text, "https://", 8) == 0;
}


/* The URI of a session would be behind a query. */

static int
gw_service_path(gw_service_t *service)
{
    int     rc;
    char   *path, *query;
    size_t  n;

    path = query = NULL;

    curl_url_get(service->url, CURLUPART_QUERY, &query, 0);

    rc = curl_url_get(service->url, CURLUPART_PATH, &path, 0) == CURLUE_OK
         && query == NULL && strchr(service->text, '#') == NULL
         ? 0 : -1;

    if (rc == 0) {
        n = strlen(path);
        service->path = cmd_copy(path, path[n - 1] == '/' ? n - 1 : n);
    }

    curl_free(path);
    curl_free(query);

    return rc;
}


void
gw_services_free(gw_services_t *services)
{
    size_t  i;

    for (i = 0; i < services->n; i++) {
        free(services->items[i].name);
        free(services->items[i].text);
        free(services->items[i].path);
        free(services->items[i].posts);
        curl_url_cleanup(services->items[i].url);
    }

    free(services->items);
}


const gw_service_t *
gw_service_find(const gw_services_t *services, const char *name)
{
    size_t               i;
    const gw_service_t  *service;

    service = name ? gw_service_named(services, name, strlen(name)) : NULL;

    for (i = 0; service == NULL && i < services->n; i++) {
        if (services->items[i].name == NULL) {
            service = &services->items[i];
        }
    }

    return service;
}


const gw_service_t *
gw_service_named(const gw_services_t *services, const char *name, size_t n)
{
    size_t       i;
    const char  *other;

    for (i = 0; i < services->n; i++) {
        other = services->items[i].name;

        /* the name may have null bytes */

        if (other && strlen(other) == n && strncasecmp(other, name, n) == 0) {
            return &services->items[i];
        }
    }

    return NULL;
}


char *
gw_service_url(const gw_service_t *service, const char *relative)
{
    size_t  n;

    if (relative == NULL) {
        return cmd_copy(service->text, strlen(service->text));
    }

    n = strlen(service->text);

    return cmd_format("%s%s%s", service->text,
                      service->text[n - 1] == '/' ? "" : "/", relative);
}


char *
gw_service_relative(const gw_service_t *service, const char *location)
{
    char             *path, *query, *relative;
    size_t            n;
    atls_failure_t    failure;
    atls_location_t   followed;

    memset(&followed, 0, sizeof(atls_location_t));
    atls_failure_clear(&failure);

    path = query = relative = NULL;

    if (atls_location_follow(&followed, service->url, location, &failure)
           == ATLS_OK
        && followed.url
        && curl_url_get(followed.url, CURLUPART_PATH, &path, 0) == CURLUE_OK
        && curl_url_get(followed.url, CURLUPART_QUERY, &query, 0) != CURLUE_OK)
    {
        n = strlen(service->path);

        if (strncmp(path, service->path, n) == 0 && path[n] == '/'
            && path[n + 1])
        {
            relative = cmd_copy(path + n + 1, strlen(path + n + 1));
        }
    }

    curl_free(path);
    curl_free(query);
    atls_location_clear(&followed);

    return relative;
}

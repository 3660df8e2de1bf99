
/*
 * The services that devices may reach: those of --to.  A device never chooses a
 * URL: it chooses a service, and the URI of a session below its endpoint.
 */


#ifndef ATLS_GATEWAY_SERVICE_H_INCLUDED
#define ATLS_GATEWAY_SERVICE_H_INCLUDED


#include <curl/curl.h>

#include "../cmd/base/list.h"


typedef struct {
    char            *name;              /* NULL: the default one */
    CURLU           *url;               /* of the endpoint */
    char            *text;              /* the same, as text */
    char            *path;              /* its path, without a slash at its
                                           end */
    unsigned        *posts;             /* in progress */
} gw_service_t;

typedef struct {
    gw_service_t    *items;
    size_t           n;
} gw_services_t;


/*
 * Parses "[NAME=]URL" items.  Must be freed in any case.  Returns an exit code.
 */

int gw_services_parse(gw_services_t *services, const cmd_list_t *list);

void gw_services_free(gw_services_t *services);

/* The name may be NULL.  If there is none with the name: the default, NULL. */

const gw_service_t *gw_service_find(const gw_services_t *services,
    const char *name);

/* The one with exactly this name of n bytes, or NULL. */

const gw_service_t *gw_service_named(const gw_services_t *services,
    const char *name, size_t n);

/*
 * The URL of a session, by its path below the endpoint; NULL: the URL of the
 * endpoint.  Must be freed.
 */

char *gw_service_url(const gw_service_t *service, const char *relative);

/*
 * The path of a session below the endpoint, from the Location header of a 201
 * response to a POST.  Must be freed.  NULL: it is elsewhere.
 */

char *gw_service_relative(const gw_service_t *service, const char *location);


#endif /* ATLS_GATEWAY_SERVICE_H_INCLUDED */

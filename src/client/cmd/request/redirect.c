
/*
 * -L: redirects, see redirect.h.
 */


#include <strings.h>

#include "../base/exitcode.h"
#include "redirect.h"


#define CMD_MAX_REDIRECTS   50          /* as curl's default */


static int cmd_redirect_url(cmd_transfer_t *transfer, const char *location);
static int cmd_redirect_drops_body(const cmd_transfer_t *transfer);


int
cmd_redirect(cmd_transfer_t *transfer)
{
    int  code;

    if (transfer->redirects++ >= CMD_MAX_REDIRECTS) {
        return cmd_fail(CMD_REDIRECTS, "more than %d redirects",
                        CMD_MAX_REDIRECTS);
    }

    code = cmd_redirect_url(transfer, cmd_headers_get(&transfer->headers,
                                                      "Location"));

    if (code != CMD_OK || !transfer->body) {
        return code;
    }

    if (cmd_redirect_drops_body(transfer)) {
        transfer->body = CMD_UPLOAD_NONE;
        return CMD_OK;
    }

    return cmd_upload_rewind(&transfer->upload) == 0
           ? CMD_OK : cmd_fail(CMD_REWIND, "cannot read the request body "
                                           "again for a redirect");
}


static int
cmd_redirect_url(cmd_transfer_t *transfer, const char *location)
{
    int        code;
    cmd_url_t  next;

    code = cmd_url_follow(&next, &transfer->url, location);

    /* the certificate was verified for this host, and the endpoint is its */

    if (code == CMD_OK && strcasecmp(next.origin, transfer->url.origin) != 0) {
        code = cmd_fail(CMD_REDIRECTS, "redirect to another host or port not "
                                       "followed: %s", next.text);
    }

    /* other codes say that no request was sent */

    if (code != CMD_OK) {
        cmd_url_free(&next);
        return CMD_REDIRECTS;
    }

    cmd_url_free(&transfer->url);
    transfer->url = next;

    return CMD_OK;
}


/* As in curl. */

static int
cmd_redirect_drops_body(const cmd_transfer_t *transfer)
{
    switch (transfer->status) {

    case 301:
    case 302:
        return transfer->body != CMD_UPLOAD_FILE;

    case 303:
        return 1;

    default:
        return 0;
    }
}

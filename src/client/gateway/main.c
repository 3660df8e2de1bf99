
/*
 * atls-gateway: the program that "atls gateway" runs.
 */


#include <signal.h>

#include <curl/curl.h>

#include "../cmd/base/exitcode.h"
#include "../cmd/base/file.h"
#include "../cmd/options/options.h"
#include "gateway.h"


int
main(int argc, char **argv)
{
    int            code;
    cmd_options_t  options;

    /* OpenSSL writes to connections that may be closed */

    signal(SIGPIPE, SIG_IGN);

    if (cmd_file_reserve_stdio() == -1) {
        return cmd_fail(CMD_MEMORY, "cannot open /dev/null");
    }

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return cmd_fail(CMD_MEMORY, "cannot initialize libcurl");
    }

    code = cmd_options_parse(&options, CMD_GATEWAY, argc, argv);

    if (code == CMD_OK && !options.done) {
        code = gw_gateway(&options);
    }

    cmd_options_free(&options);
    curl_global_cleanup();

    return code;
}

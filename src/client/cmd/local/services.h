
/*
 * The file of --services: on each line, the options and the URL of a service.
 */


#ifndef ATLS_CMD_SERVICES_H_INCLUDED
#define ATLS_CMD_SERVICES_H_INCLUDED


#include "../options/options.h"


/*
 * Arguments of a command line, which parsing changes: it hides secrets and
 * moves options.  The lists must be freed with cmd_services_free().
 */

void cmd_services_keep(cmd_list_t *args, int argc, char **argv);

/*
 * Reads the file.  The options of a service are those of the command line, and
 * those of its line.  The result is an array of n items; the array and each
 * item must be freed in any case.  Returns an exit code.
 */

int cmd_services_read(const char *file, const cmd_list_t *args,
    cmd_options_t **services, size_t *n);

void cmd_services_free(cmd_list_t *args);


#endif /* ATLS_CMD_SERVICES_H_INCLUDED */

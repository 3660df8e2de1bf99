
/* Files with values of options. */


#ifndef ATLS_CMD_FILE_H_INCLUDED
#define ATLS_CMD_FILE_H_INCLUDED


#include <stddef.h>


/*
 * Reads a whole file, or stdin if the name is "-".  The content is followed by
 * a null character, which is not counted, and must be freed.  Returns an exit
 * code.
 */

int cmd_file_read(const char *name, char **content, size_t *size);


#endif /* ATLS_CMD_FILE_H_INCLUDED */

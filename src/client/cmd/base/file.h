
/* Files with values of options; stdin, stdout and stderr. */


#ifndef ATLS_CMD_FILE_H_INCLUDED
#define ATLS_CMD_FILE_H_INCLUDED


#include <stddef.h>


/*
 * Reads a whole file, or stdin if the name is "-".  The content is followed by
 * a null character, which is not counted, and must be freed.  Returns an exit
 * code.
 */

int cmd_file_read(const char *name, char **content, size_t *size);

/* The same for a text, which has no null characters. */

int cmd_file_read_text(const char *name, char **content, size_t *size);


/* Removes line ends and null characters.  Returns the new size. */

size_t cmd_file_strip(char *text, size_t n);

/*
 * If one of the first three descriptors is closed, another file would get its
 * number: the log would be sent on a connection.  Opens files for them, which
 * cannot be used, either, and are closed in programs of atls run.  Returns 0 or
 * -1.
 */

int cmd_file_reserve_stdio(void);

/* Raises the limit of open files, for servers: each connection needs some. */

void cmd_file_raise_limit(void);


#endif /* ATLS_CMD_FILE_H_INCLUDED */

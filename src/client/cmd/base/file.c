
/*
 * Files with values of options, see file.h.
 */


#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "exitcode.h"
#include "file.h"
#include "util.h"


#define CMD_FILE_ROOM   16384


static char *cmd_file_read_all(FILE *file, size_t *size);


int
cmd_file_read(const char *name, char **content, size_t *size)
{
    int    failed;
    FILE  *file;

    file = strcmp(name, "-") == 0 ? stdin : fopen(name, "rb");

    if (file == NULL) {
        return cmd_fail(CMD_READ, "cannot open \"%s\": %s", name,
                        strerror(errno));
    }

    *content = cmd_file_read_all(file, size);

    failed = ferror(file) ? errno : 0;

    if (file != stdin) {
        fclose(file);
    }

    if (failed) {
        free(*content);
        return cmd_fail(CMD_READ, "cannot read \"%s\": %s", name,
                        strerror(failed));
    }

    return CMD_OK;
}


/* Otherwise, what follows a null character would be ignored. */

int
cmd_file_read_text(const char *name, char **content, size_t *size)
{
    int  code;

    code = cmd_file_read(name, content, size);

    if (code == CMD_OK && strlen(*content) != *size) {
        OPENSSL_cleanse(*content, *size);
        free(*content);

        code = cmd_fail(CMD_USAGE, "null character in \"%s\"", name);
    }

    return code;
}


static char *
cmd_file_read_all(FILE *file, size_t *size)
{
    char    *bytes;
    size_t   n, room;

    room = CMD_FILE_ROOM;
    n = 0;
    bytes = cmd_realloc(NULL, room + 1);

    while (!feof(file) && !ferror(file)) {

        if (n == room) {
            room *= 2;
            bytes = cmd_realloc(bytes, room + 1);
        }

        n += fread(bytes + n, 1, room - n, file);
    }

    bytes[n] = '\0';
    *size = n;

    return bytes;
}


size_t
cmd_file_strip(char *text, size_t n)
{
    size_t  i, j;

    for (i = 0, j = 0; i < n; i++) {
        if (text[i] != '\r' && text[i] != '\n' && text[i] != '\0') {
            text[j++] = text[i];
        }
    }

    return j;
}


int
cmd_file_reserve_stdio(void)
{
    int  fd;

    for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {

        if (fcntl(fd, F_GETFD) == -1
            && open("/dev/null", O_CLOEXEC | (fd == STDIN_FILENO ? O_WRONLY
                                                                 : O_RDONLY))
               == -1)
        {
            return -1;
        }
    }

    return 0;
}


void
cmd_file_raise_limit(void)
{
    struct rlimit  limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &limit);
    }
}

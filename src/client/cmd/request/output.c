
/*
 * Output of responses, see output.h.
 */


#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../lib/error.h"
#include "../base/exitcode.h"
#include "../base/util.h"
#include "output.h"


static int cmd_output_open(cmd_output_t *output);
static int cmd_output_failed(cmd_output_t *output);


void
cmd_output_init(cmd_output_t *output, const char *path, int append)
{
    output->append = append;
    output->start = -1;
    output->path = path && strcmp(path, "-") == 0 ? NULL : path;
    output->fd = -1;
    output->failed = 0;
}


int
cmd_output_restart(cmd_output_t *output)
{
    return output->start != -1
           && (ftruncate(output->fd, output->start) == -1
               || lseek(output->fd, output->start, SEEK_SET) == -1)
           ? cmd_output_failed(output) : CMD_OK;
}


static int
cmd_output_open(cmd_output_t *output)
{
    struct stat  st;

    if (output->fd != -1) {
        return CMD_OK;
    }

    if (output->path == NULL) {
        output->fd = STDOUT_FILENO;
        return CMD_OK;
    }

    output->fd = open(output->path, O_WRONLY | O_CREAT | O_CLOEXEC
                                    | (output->append ? O_APPEND : O_TRUNC),
                      0666);

    if (output->fd == -1 || fstat(output->fd, &st) == -1) {
        return cmd_output_failed(output);
    }

    if (S_ISREG(st.st_mode)) {
        output->start = st.st_size;
    }

    return CMD_OK;
}


int
cmd_output_write(cmd_output_t *output, const void *bytes, size_t n)
{
    ssize_t        written;
    const char    *p = bytes;
    struct pollfd  pfd;

    if (cmd_output_open(output) != CMD_OK) {
        return CMD_WRITE;
    }

    while (n) {
        written = write(output->fd, p, n);

        if (written >= 0) {
            p += written;
            n -= (size_t) written;

        } else if (errno == EAGAIN) {

            /* another process set O_NONBLOCK on a shared terminal or pipe */

            pfd.fd = output->fd;
            pfd.events = POLLOUT;
            poll(&pfd, 1, -1);

        } else if (errno != EINTR) {
            return cmd_output_failed(output);
        }
    }

    return CMD_OK;
}


int
cmd_output_line(cmd_output_t *output, const char *format, ...)
{
    int       code;
    char     *text, *line;
    va_list   args;

    va_start(args, format);

    if (vasprintf(&text, format, args) == -1) {
        exit(cmd_fail(CMD_MEMORY, "out of memory"));
    }

    va_end(args);

    code = cmd_output_open(output);

    if (code == CMD_OK && isatty(output->fd)) {
        atls_printable(text);
    }

    line = cmd_format("%s\r\n", text);
    free(text);

    if (code == CMD_OK) {
        code = cmd_output_write(output, line, strlen(line));
    }

    free(line);

    return code;
}


static int
cmd_output_failed(cmd_output_t *output)
{
    if (!output->failed && errno != EPIPE) {
        cmd_fail(CMD_WRITE, "cannot write to %s%s%s: %s",
                 output->path ? "\"" : "", output->path ? output->path
                                                        : "stdout",
                 output->path ? "\"" : "", strerror(errno));
    }

    output->failed = 1;

    return CMD_WRITE;
}


int
cmd_output_finish(cmd_output_t *output)
{
    int  fd;

    if (cmd_output_open(output) != CMD_OK) {
        return CMD_WRITE;
    }

    fd = output->fd;
    output->fd = -1;

    /* do not close stdout */

    return output->path && close(fd) == -1 ? cmd_output_failed(output)
                                           : CMD_OK;
}


void
cmd_output_close(cmd_output_t *output)
{
    if (output->path && output->fd != -1) {
        close(output->fd);
    }

    output->fd = -1;
}

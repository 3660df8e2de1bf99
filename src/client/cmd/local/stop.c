
/*
 * Signals that stop the servers, see stop.h.
 */


#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "../base/exitcode.h"
#include "stop.h"


static void cmd_stop_signal(int signo);


static int  cmd_stop_pipe[2] = { -1, -1 };
static int  cmd_stop_received;          /* atomic */


int
cmd_stop_init(void)
{
    int               code;
    struct sigaction  sa;

    code = cmd_stop_create();

    if (code != CMD_OK) {
        return code;
    }

    memset(&sa, 0, sizeof(sa));
    sa.sa_handler = cmd_stop_signal;

    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);

    return CMD_OK;
}


static void
cmd_stop_signal(int signo)
{
    int  saved = errno;

    (void) signo;

    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);

    cmd_stop();

    errno = saved;
}


int
cmd_stop_create(void)
{
    return pipe2(cmd_stop_pipe, O_CLOEXEC | O_NONBLOCK) == 0
           ? CMD_OK : cmd_fail(CMD_MEMORY, "cannot create a pipe: %s",
                               strerror(errno));
}


void
cmd_stop(void)
{
    __atomic_store_n(&cmd_stop_received, 1, __ATOMIC_RELEASE);
    (void) !write(cmd_stop_pipe[1], "", 1);
}


int
cmd_stopping(void)
{
    return __atomic_load_n(&cmd_stop_received, __ATOMIC_ACQUIRE);
}


int
cmd_stop_fd(void)
{
    return cmd_stop_pipe[0];
}

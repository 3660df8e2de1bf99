
/*
 * A program that is run in place of this process, see child.h.
 */


#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/exitcode.h"
#include "child.h"
#include "stop.h"


/*
 * Seconds to wait for connections to be closed when the program has ended.
 * Processes that it has left may have some, too.
 */

#define CMD_CHILD_LINGER    3

#define CMD_CHILD_SIGNALS   (sizeof(cmd_child_signals)                        \
                             / sizeof(cmd_child_signals[0]))


static void cmd_child_handle(struct sigaction *old);
static void cmd_child_signal(int signo, siginfo_t *info, void *context);
static void cmd_child_exec(char **program, const char *proxy,
    const struct sigaction *old, const sigset_t *mask, int fd);
static int cmd_child_environment(const char *proxy);
static int cmd_child_started(const char *name, int fd);
static void cmd_child_reap(void);
static void cmd_child_leave(void);


static const int  cmd_child_signals[] = { SIGCHLD, SIGALRM, SIGHUP, SIGINT,
                                          SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2 };

static struct sigaction        cmd_child_pipe;      /* of SIGPIPE, inherited */
static volatile pid_t          cmd_child_pid;       /* 0: none */
static volatile int            cmd_child_status;    /* as by waitpid() */
static volatile sig_atomic_t   cmd_child_ended;


void
cmd_child_init(void)
{
    struct sigaction  sa;

    memset(&sa, 0, sizeof(sa));
    sa.sa_handler = SIG_IGN;

    sigaction(SIGPIPE, &sa, &cmd_child_pipe);
}


int
cmd_child_start(char **program, const char *proxy)
{
    int               code, error, fds[2];
    pid_t             pid;
    sigset_t          all, mask;
    struct sigaction  old[CMD_CHILD_SIGNALS];

    if (pipe2(fds, O_CLOEXEC) == -1) {
        cmd_fail(CMD_RUN_FAILED, "cannot create a pipe: %s", strerror(errno));
        return CMD_RUN_FAILED;
    }

    /* signals wait until the pid is known */

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &mask);

    cmd_child_handle(old);

    pid = fork();
    error = errno;

    if (pid == 0) {
        cmd_child_exec(program, proxy, old, &mask, fds[1]);
    }

    close(fds[1]);

    if (pid == -1) {
        code = cmd_fail(CMD_RUN_FAILED, "cannot start a process: %s",
                        strerror(error));

    } else {
        cmd_child_pid = pid;
        code = cmd_child_started(program[0], fds[0]);
    }

    close(fds[0]);

    /* the program may have ended already */

    sigdelset(&mask, SIGCHLD);
    sigdelset(&mask, SIGALRM);
    sigprocmask(SIG_SETMASK, &mask, NULL);

    return code;
}


/* A signal that was ignored stays ignored, as with nohup. */

static void
cmd_child_handle(struct sigaction *old)
{
    size_t            i;
    struct sigaction  sa;

    memset(&sa, 0, sizeof(sa));
    sa.sa_sigaction = cmd_child_signal;
    sa.sa_flags = SA_SIGINFO | SA_RESTART | SA_NOCLDSTOP;
    sigfillset(&sa.sa_mask);

    for (i = 0; i < CMD_CHILD_SIGNALS; i++) {
        sigaction(cmd_child_signals[i], NULL, &old[i]);

        if (old[i].sa_handler != SIG_IGN || cmd_child_signals[i] == SIGCHLD
            || cmd_child_signals[i] == SIGALRM)
        {
            sigaction(cmd_child_signals[i], &sa, NULL);
        }
    }
}


/*
 * The kernel sends signals of the terminal to the whole process group, which
 * includes the program.
 */

static void
cmd_child_signal(int signo, siginfo_t *info, void *context)
{
    int  saved = errno;

    (void) context;

    if (signo == SIGCHLD) {
        cmd_child_reap();

    } else if (cmd_child_ended) {
        cmd_child_leave();

    } else if (info->si_code != SI_KERNEL && cmd_child_pid) {
        (void) kill(cmd_child_pid, signo);
    }

    errno = saved;
}


/* Called in the new process, with all signals blocked. */

static void
cmd_child_exec(char **program, const char *proxy, const struct sigaction *old,
    const sigset_t *mask, int fd)
{
    int     error;
    size_t  i;

    for (i = 0; i < CMD_CHILD_SIGNALS; i++) {
        sigaction(cmd_child_signals[i], &old[i], NULL);
    }

    sigaction(SIGPIPE, &cmd_child_pipe, NULL);
    sigprocmask(SIG_SETMASK, mask, NULL);

    if (cmd_child_environment(proxy) == 0) {
        execvp(program[0], program);
    }

    error = errno;
    (void) !write(fd, &error, sizeof(error));

    _exit(CMD_RUN_FAILED);
}


/*
 * The exceptions of the environment are for the outer connection: the program
 * must not connect to these hosts without ATLS.  For Chromium, all_proxy and
 * auto_proxy take precedence over https_proxy.
 */

static int
cmd_child_environment(const char *proxy)
{
    size_t       i;
    const char  *all;

    static const char *const  removed[] = { "no_proxy", "NO_PROXY", "all_proxy",
                                            "ALL_PROXY", "auto_proxy",
                                            "AUTO_PROXY" };

    all = getenv("all_proxy");
    all = all ? all : getenv("ALL_PROXY");

    if (all && getenv("http_proxy") == NULL && getenv("HTTP_PROXY") == NULL
        && setenv("http_proxy", all, 1) == -1)
    {
        return -1;
    }

    for (i = 0; i < sizeof(removed) / sizeof(removed[0]); i++) {
        if (unsetenv(removed[i]) == -1) {
            return -1;
        }
    }

    return setenv("https_proxy", proxy, 1) == 0
           && setenv("HTTPS_PROXY", proxy, 1) == 0 ? 0 : -1;
}


static int
cmd_child_started(const char *name, int fd)
{
    int      error, code;
    ssize_t  n;

    do {
        n = read(fd, &error, sizeof(error));
    } while (n == -1 && errno == EINTR);

    if (n != (ssize_t) sizeof(error)) {
        return CMD_OK;                      /* the pipe was closed by exec */
    }

    code = error == ENOENT ? CMD_RUN_MISSING : CMD_RUN_REFUSED;

    return cmd_fail(code, "cannot run \"%s\": %s", name, strerror(error));
}


/* Other child processes may have been inherited. */

static void
cmd_child_reap(void)
{
    int  status;

    if (cmd_child_pid && waitpid(cmd_child_pid, &status, WNOHANG) > 0) {
        cmd_child_pid = 0;
        cmd_child_status = status;
        cmd_child_ended = 1;

        alarm(CMD_CHILD_LINGER);
        cmd_stop();
    }
}


void
cmd_child_wait(void)
{
    sigset_t  all, mask;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &mask);

    while (!cmd_child_ended) {
        sigsuspend(&mask);
    }

    sigprocmask(SIG_SETMASK, &mask, NULL);
}


int
cmd_child_end(void)
{
    if (WIFSIGNALED(cmd_child_status)) {
        cmd_child_leave();
    }

    return WEXITSTATUS(cmd_child_status);
}


/*
 * Ends as the program did, without a second core file.  May be called in a
 * signal handler.
 */

static void
cmd_child_leave(void)
{
    int            signo;
    sigset_t       set;
    struct rlimit  none;

    if (WIFSIGNALED(cmd_child_status)) {
        signo = WTERMSIG(cmd_child_status);

        memset(&none, 0, sizeof(none));
        (void) setrlimit(RLIMIT_CORE, &none);

        signal(signo, SIG_DFL);
        (void) raise(signo);

        sigemptyset(&set);
        sigaddset(&set, signo);
        sigprocmask(SIG_UNBLOCK, &set, NULL);
    }

    _exit(WEXITSTATUS(cmd_child_status));
}

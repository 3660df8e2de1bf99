
/*
 * Kills a process between two instructions.
 *
 *     kill_at PID LOCK UNLOCK N
 *
 * LOCK and UNLOCK are the addresses of two functions.  From each call of the
 * first one until the last lock is released and the second one returns, the
 * process executes single steps; after N of them, it is killed.  The address
 * of each step is written to stdout, after a line "ready".
 *
 * Requires Linux on x86-64.
 */


#define _GNU_SOURCE

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/user.h>
#include <sys/wait.h>


static void die(const char *what);
static long peek(unsigned long addr);
static void poke(unsigned long addr, long word);
static unsigned long ip(void);
static int wait_stop(void);
static void steps(unsigned long lock, unsigned long unlock, long *left);


static pid_t  pid;


int
main(int argc, char **argv)
{
    int            sig;
    long           left, saved;
    unsigned long  lock, unlock;

    if (argc != 5) {
        die("usage: kill_at PID LOCK UNLOCK N");
    }

    pid = atoi(argv[1]);
    lock = strtoul(argv[2], NULL, 0);
    unlock = strtoul(argv[3], NULL, 0);
    left = atol(argv[4]);

    if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) == -1) {
        die("PTRACE_ATTACH");
    }

    while (wait_stop() != SIGSTOP) {
        ptrace(PTRACE_CONT, pid, NULL, NULL);
    }

    saved = peek(lock);
    poke(lock, (saved & ~0xffL) | 0xcc);        /* int3 */

    printf("ready\n");
    fflush(stdout);

    for (sig = 0; ; sig = (sig == SIGTRAP) ? 0 : sig) {

        if (ptrace(PTRACE_CONT, pid, NULL, (void *) (long) sig) == -1) {
            die("PTRACE_CONT");
        }

        sig = wait_stop();

        if (sig != SIGTRAP || ip() != lock + 1) {
            continue;
        }

        poke(lock, saved);

        if (ptrace(PTRACE_POKEUSER, pid,
                   (void *) offsetof(struct user_regs_struct, rip),
                   (void *) lock)
            == -1)
        {
            die("PTRACE_POKEUSER");
        }

        steps(lock, unlock, &left);

        poke(lock, (saved & ~0xffL) | 0xcc);
    }
}


/* Until no lock is held. */

static void
steps(unsigned long lock, unsigned long unlock, long *left)
{
    int            sig, locks;
    unsigned long  at, back, sp;

    locks = 0;
    back = 0;
    sig = 0;

    for ( ;; ) {

        at = ip();
        printf("%lx\n", at);

        if ((*left)-- == 0) {
            kill(pid, SIGKILL);
        }

        if (at == lock) {
            locks++;
        }

        if (at == unlock && --locks == 0) {
            sp = ptrace(PTRACE_PEEKUSER, pid,
                        (void *) offsetof(struct user_regs_struct, rsp), NULL);
            back = peek(sp);
        }

        if (back && at == back) {
            return;
        }

        if (ptrace(PTRACE_SINGLESTEP, pid, NULL, (void *) (long) sig) == -1
            && errno != ESRCH)
        {
            die("PTRACE_SINGLESTEP");
        }

        sig = wait_stop();

        if (sig == SIGTRAP) {
            sig = 0;
        }
    }
}


/*
 * Returns the signal that has stopped the process; exits if the process ends.
 */

static int
wait_stop(void)
{
    int  status;

    if (waitpid(pid, &status, 0) == -1) {
        die("waitpid");
    }

    if (!WIFSTOPPED(status)) {
        exit(0);
    }

    return WSTOPSIG(status);
}


static unsigned long
ip(void)
{
    return ptrace(PTRACE_PEEKUSER, pid,
                  (void *) offsetof(struct user_regs_struct, rip), NULL);
}


static long
peek(unsigned long addr)
{
    return ptrace(PTRACE_PEEKTEXT, pid, (void *) addr, NULL);
}


static void
poke(unsigned long addr, long word)
{
    if (ptrace(PTRACE_POKETEXT, pid, (void *) addr, (void *) word) == -1) {
        die("PTRACE_POKETEXT");
    }
}


static void
die(const char *what)
{
    fprintf(stderr, "kill_at: %s: %s\n", what, strerror(errno));
    exit(1);
}


/*
 * The file of sessions, see sessions.h.
 *
 * It has a line of its own, and then one for each session, the newest at the
 * end: the session in hex, a space, and the key of atls_store_t.  The file is
 * locked while it is changed, so that no session is taken twice.
 *
 * A session that somebody else has put there would be one whose secrets
 * somebody else has.  So the file must be the user's own, and its directory
 * nobody else's to change; that is asked of what was opened, not of names.
 */


#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "../lib/hex.h"
#include "exitcode.h"
#include "sessions.h"
#include "util.h"


#define CMD_SESSIONS_FIRST      "# sessions of atls: a secret\n"
#define CMD_SESSIONS_KEEP       4       /* of a key */
#define CMD_SESSIONS_MAX        64
#define CMD_SESSIONS_SIZE       (4 * 1024 * 1024)


struct cmd_sessions_s {
    atls_store_t     store;
    int              fd;
};


static int cmd_sessions_file(const char *path, int *fd);
static int cmd_sessions_refuse_directory(const char *directory, int fd);
static int cmd_sessions_refuse(const char *path, int fd);
static int cmd_sessions_refuse_content(const char *path, int fd);
static void cmd_sessions_put(void *data, const char *key, const void *session,
    size_t size);
static size_t cmd_sessions_take(void *data, const char *key, void *buf,
    size_t size);
static char *cmd_sessions_read(cmd_sessions_t *sessions);
static void cmd_sessions_write(cmd_sessions_t *sessions, char *text);
static void cmd_sessions_drop(char *text, const char *key);
static void cmd_sessions_cut(char *line);
static char *cmd_sessions_begin(char *text);
static char *cmd_sessions_next(char *line);
static int cmd_sessions_is(const char *line, const char *key);
static size_t cmd_sessions_decode(char *line, unsigned char *buf, size_t size);


int
cmd_sessions_open(cmd_sessions_t **result, const char *path)
{
    int              fd, code;
    cmd_sessions_t  *sessions;

    code = cmd_sessions_file(path, &fd);

    if (code == CMD_OK) {
        code = cmd_sessions_refuse(path, fd);
    }

    if (code != CMD_OK) {
        if (fd != -1) {
            close(fd);
        }

        return code;
    }

    sessions = cmd_alloc(sizeof(cmd_sessions_t));
    sessions->fd = fd;
    sessions->store.put = cmd_sessions_put;
    sessions->store.take = cmd_sessions_take;
    sessions->store.data = sessions;

    *result = sessions;

    return CMD_OK;
}


/* The last part of the path must not be a symbolic link. */

static int
cmd_sessions_file(const char *path, int *fd)
{
    int          dir, code;
    char        *directory;
    const char  *name;

    name = strrchr(path, '/');
    name = name ? name + 1 : path;

    directory = name == path ? cmd_copy(".", 1)
                             : cmd_copy(path, (size_t) (name - path));
    *fd = -1;
    dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);

    code = dir == -1 ? CMD_OK : cmd_sessions_refuse_directory(directory, dir);

    if (dir != -1 && code == CMD_OK) {
        *fd = openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK
                                | O_CLOEXEC, 0600);
    }

    if (code == CMD_OK && *fd == -1) {
        code = cmd_fail(CMD_USAGE, "cannot open the session file \"%s\": %s",
                        path, errno == ELOOP ? "it is a symbolic link"
                                             : strerror(errno));
    }

    if (dir != -1) {
        close(dir);
    }

    free(directory);

    return code;
}


/* In one with the sticky bit, others can't touch what is not theirs. */

static int
cmd_sessions_refuse_directory(const char *directory, int fd)
{
    struct stat  st;

    if (fstat(fd, &st) == -1) {
        return cmd_fail(CMD_USAGE, "cannot look at the directory \"%s\": %s",
                        directory, strerror(errno));
    }

    if (st.st_uid != geteuid() && st.st_uid != 0) {
        return cmd_fail(CMD_USAGE, "sessions are a secret, but the directory"
                        " \"%s\" belongs to another user", directory);
    }

    if ((st.st_mode & (S_IWGRP | S_IWOTH)) && !(st.st_mode & S_ISVTX)) {
        return cmd_fail(CMD_USAGE, "sessions are a secret, but others can"
                        " write to the directory \"%s\": chmod go-w",
                        directory);
    }

    return CMD_OK;
}


static int
cmd_sessions_refuse(const char *path, int fd)
{
    struct stat  st;

    if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
        return cmd_fail(CMD_USAGE, "\"%s\" is not a file", path);
    }

    if (st.st_uid != geteuid()) {
        return cmd_fail(CMD_USAGE, "sessions are a secret, but \"%s\" belongs"
                        " to another user", path);
    }

    if (st.st_nlink != 1) {
        return cmd_fail(CMD_USAGE, "sessions are a secret, but \"%s\" has"
                        " another name, too", path);
    }

    if (st.st_mode & (S_IRWXG | S_IRWXO)) {
        return cmd_fail(CMD_USAGE, "sessions are a secret, but others can read"
                        " or write \"%s\": chmod 600", path);
    }

    return cmd_sessions_refuse_content(path, fd);
}


static int
cmd_sessions_refuse_content(const char *path, int fd)
{
    char     first[sizeof(CMD_SESSIONS_FIRST) - 1];
    ssize_t  n;

    n = pread(fd, first, sizeof(first), 0);

    if (n != 0
        && (n != sizeof(first) || memcmp(first, CMD_SESSIONS_FIRST,
                                         sizeof(first)) != 0))
    {
        return cmd_fail(CMD_USAGE, "\"%s\" has no sessions in it, but"
                        " something else", path);
    }

    return CMD_OK;
}


void
cmd_sessions_close(cmd_sessions_t *sessions)
{
    if (sessions) {
        close(sessions->fd);
        free(sessions);
    }
}


const atls_store_t *
cmd_sessions_store(const cmd_sessions_t *sessions)
{
    return &sessions->store;
}


static void
cmd_sessions_put(void *data, const char *key, const void *session,
    size_t size)
{
    cmd_sessions_t  *sessions = data;

    char    *text, *p;
    size_t   used;

    text = cmd_sessions_read(sessions);

    if (text == NULL) {
        return;
    }

    cmd_sessions_drop(text, key);

    used = strlen(text);
    text = cmd_realloc(text, used + 2 * size + strlen(key) + 3);

    atls_hex(text + used, session, size);

    p = stpcpy(text + used + 2 * size, " ");
    p = stpcpy(p, key);
    stpcpy(p, "\n");

    cmd_sessions_write(sessions, text);
}


static size_t
cmd_sessions_take(void *data, const char *key, void *buf, size_t size)
{
    cmd_sessions_t  *sessions = data;

    char    *text, *line, *newest;
    size_t   n;

    text = cmd_sessions_read(sessions);

    if (text == NULL) {
        return 0;
    }

    newest = NULL;

    for (line = cmd_sessions_begin(text); *line;
         line = cmd_sessions_next(line))
    {
        if (cmd_sessions_is(line, key)) {
            newest = line;
        }
    }

    n = 0;

    if (newest) {
        n = cmd_sessions_decode(newest, buf, size);
        cmd_sessions_cut(newest);
    }

    cmd_sessions_write(sessions, text);

    return n;
}


/* Locks the file; NULL: it can't be used. */

static char *
cmd_sessions_read(cmd_sessions_t *sessions)
{
    char     *text;
    size_t    used;
    ssize_t   n;

    while (flock(sessions->fd, LOCK_EX) == -1) {
        if (errno != EINTR) {
            return NULL;
        }
    }

    text = cmd_alloc(CMD_SESSIONS_SIZE + 1);
    used = 0;

    do {
        n = pread(sessions->fd, text + used, CMD_SESSIONS_SIZE - used,
                  (off_t) used);
        used += n > 0 ? (size_t) n : 0;
    } while (n > 0);

    text[used] = '\0';

    if (used == 0) {
        stpcpy(text, CMD_SESSIONS_FIRST);
    }

    return text;
}


/* And unlocks it.  Who fails here goes without sessions the next time. */

static void
cmd_sessions_write(cmd_sessions_t *sessions, char *text)
{
    size_t  n;

    n = strlen(text);

    if (pwrite(sessions->fd, text, n, 0) != (ssize_t) n
        || ftruncate(sessions->fd, (off_t) n) == -1)
    {
        (void) !ftruncate(sessions->fd, 0);
    }

    flock(sessions->fd, LOCK_UN);

    OPENSSL_cleanse(text, n);
    free(text);
}


/* Makes room for one more of a key, the oldest go first. */

static void
cmd_sessions_drop(char *text, const char *key)
{
    char    *line, *oldest;
    size_t   n, all;

    do {
        n = 0;
        all = 0;
        oldest = NULL;

        for (line = cmd_sessions_begin(text); *line;
             line = cmd_sessions_next(line))
        {
            all++;

            if (cmd_sessions_is(line, key)) {
                n++;
                oldest = oldest ? oldest : line;
            }
        }

        if (n >= CMD_SESSIONS_KEEP) {
            cmd_sessions_cut(oldest);

        } else if (all >= CMD_SESSIONS_MAX) {
            cmd_sessions_cut(cmd_sessions_begin(text));
        }

    } while (n >= CMD_SESSIONS_KEEP || all >= CMD_SESSIONS_MAX);
}


static void
cmd_sessions_cut(char *line)
{
    char  *next;

    next = cmd_sessions_next(line);
    memmove(line, next, strlen(next) + 1);
}


static char *
cmd_sessions_begin(char *text)
{
    return cmd_sessions_next(text);
}


static char *
cmd_sessions_next(char *line)
{
    line += strcspn(line, "\n");

    return *line ? line + 1 : line;
}


static int
cmd_sessions_is(const char *line, const char *key)
{
    size_t  n;

    n = strlen(key);
    line += strspn(line, "0123456789abcdef");

    return *line == ' ' && strncmp(line + 1, key, n) == 0
           && line[1 + n] == '\n';
}


static size_t
cmd_sessions_decode(char *line, unsigned char *buf, size_t size)
{
    char    *end;
    size_t   n;

    end = strchr(line, ' ');
    *end = '\0';

    if (OPENSSL_hexstr2buf_ex(buf, size, &n, line, '\0') != 1) {
        ERR_clear_error();
        n = 0;
    }

    *end = ' ';

    return n;
}

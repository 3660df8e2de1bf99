
/*
 * Stores of sessions, see store.h and atls_store_file().
 *
 * A store is a text.  After the first line, there is a line for each session,
 * the newest at the end: the session in hex, a space, and the key of
 * atls_store_t.  A file is opened and locked for each change, so that a session
 * is taken once.
 *
 * If other users could add a session, they would know its secrets.  Therefore,
 * the file must belong to the user, and the directory must not be writable by
 * others.  To prevent races, open descriptors are checked instead of names.
 */


#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "hex.h"
#include "store.h"


#define ATLS_STORE_FIRST    "# sessions of atls: a secret\n"
#define ATLS_STORE_NAME     "sessions"      /* file name in a directory */
#define ATLS_STORE_PER_KEY  4               /* sessions of a key in a file */
#define ATLS_STORE_MAX      64
#define ATLS_STORE_SIZE     (4 * 1024 * 1024)


typedef struct {
    atls_store_t     store;
    pthread_mutex_t  lock;
    size_t           per_key;               /* limit of sessions of a key */
    int              private;               /* atls_store_file() */
    int              dir;                   /* -1: a store in memory */
    char            *name;                  /* file name */
    char            *text;                  /* NULL: empty */
    int              error;                 /* of the last change */
} atls_sessions_t;


static atls_sessions_t *atls_store_create(const char *name, size_t per_key);
static int atls_store_reject(int dir);
static atls_error_e atls_store_check_directory(int dir, const char *directory,
    atls_failure_t *failure);
static int atls_store_lock(const atls_sessions_t *sessions, const char *path,
    atls_failure_t *failure);
static atls_error_e atls_store_check(int fd, const char *path,
    atls_failure_t *failure);
static atls_error_e atls_store_check_content(int fd, const char *path,
    atls_failure_t *failure);
static void atls_store_put(void *data, const char *key, const void *session,
    size_t size);
static size_t atls_store_take(void *data, const char *key, void *buf,
    size_t size);
static char *atls_store_load(atls_sessions_t *sessions, size_t room, int *fd);
static int atls_store_lock_again(const atls_sessions_t *sessions);
static void atls_store_read(int fd, char *text, size_t size);
static void atls_store_save(atls_sessions_t *sessions, char *text, int fd);
static int atls_store_write(int fd, const char *text);
static void atls_store_clear(char *text);
static void atls_store_drop(const atls_sessions_t *sessions, char *text,
    const char *key);
static void atls_store_cut(char *line);
static char *atls_store_next(char *line);
static int atls_store_is(const char *line, const char *key);
static size_t atls_store_decode(char *line, unsigned char *buf, size_t size);


atls_store_t *
atls_store_file(const char *directory)
{
    atls_sessions_t  *sessions;

    if (mkdir(directory, 0700) == -1 && errno != EEXIST) {
        return NULL;
    }

    sessions = atls_store_create(ATLS_STORE_NAME, ATLS_STORE_PER_KEY);
    if (sessions == NULL) {
        return NULL;
    }

    sessions->private = 1;
    sessions->dir = open(directory,
                         O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (sessions->dir == -1 || atls_store_reject(sessions->dir)) {
        atls_store_close(&sessions->store);
        return NULL;
    }

    return &sessions->store;
}


void
atls_store_file_free(atls_store_t *store)
{
    atls_store_close(store);
}


atls_store_t *
atls_store_memory(void)
{
    atls_sessions_t  *sessions;

    sessions = atls_store_create("", ATLS_STORE_MAX);

    return sessions ? &sessions->store : NULL;
}


atls_store_t *
atls_store_open(const char *path, atls_failure_t *failure)
{
    int               fd;
    char             *directory;
    const char       *name;
    atls_error_e      rc;
    atls_sessions_t  *sessions;

    name = strrchr(path, '/');
    name = name ? name + 1 : path;

    directory = name == path ? strdup(".")
                             : strndup(path, (size_t) (name - path));
    sessions = atls_store_create(name, ATLS_STORE_PER_KEY);

    if (directory == NULL || sessions == NULL) {
        rc = atls_fail_memory(failure);
        goto done;
    }

    sessions->dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (sessions->dir == -1) {
        rc = atls_fail(failure, ATLS_ERROR_USAGE,
                       "cannot open the session file \"%s\": %s", path,
                       strerror(errno));
        goto done;
    }

    rc = atls_store_check_directory(sessions->dir, directory, failure);

    if (rc == ATLS_OK) {
        fd = atls_store_lock(sessions, path, failure);

        if (fd == -1) {
            rc = failure->error;

        } else {
            close(fd);
        }
    }

done:

    free(directory);

    if (rc != ATLS_OK) {
        atls_store_close(sessions ? &sessions->store : NULL);
        return NULL;
    }

    return &sessions->store;
}


static atls_sessions_t *
atls_store_create(const char *name, size_t per_key)
{
    atls_sessions_t  *sessions;

    sessions = calloc(1, sizeof(atls_sessions_t));
    if (sessions == NULL) {
        return NULL;
    }

    sessions->name = strdup(name);

    if (sessions->name == NULL) {
        free(sessions);
        return NULL;
    }

    sessions->store.put = atls_store_put;
    sessions->store.take = atls_store_take;
    sessions->store.data = sessions;
    sessions->per_key = per_key;
    sessions->dir = -1;

    pthread_mutex_init(&sessions->lock, NULL);

    return sessions;
}


/* Preserves errno. */

void
atls_store_close(atls_store_t *store)
{
    int               saved;
    atls_sessions_t  *sessions;

    if (store) {
        saved = errno;
        sessions = store->data;

        if (sessions->dir != -1) {
            close(sessions->dir);
        }

        atls_store_clear(sessions->text);
        pthread_mutex_destroy(&sessions->lock);
        free(sessions->name);
        free(sessions);
        errno = saved;
    }
}


int
atls_store_error(const atls_store_t *store)
{
    const atls_sessions_t  *sessions = store->data;

    return sessions->error;
}


static int
atls_store_reject(int dir)
{
    struct stat  st;

    if (fstat(dir, &st) == -1) {
        return 1;
    }

    if (st.st_uid != geteuid()) {
        errno = EPERM;
        return 1;
    }

    if (st.st_mode & (S_IWGRP | S_IWOTH)) {
        errno = EACCES;
        return 1;
    }

    return 0;
}


/* In a directory with the sticky bit, others cannot change the user's files. */

static atls_error_e
atls_store_check_directory(int dir, const char *directory,
    atls_failure_t *failure)
{
    struct stat  st;

    if (fstat(dir, &st) == -1) {
        return atls_fail(failure, ATLS_ERROR_USAGE,
                         "cannot stat the directory \"%s\": %s", directory,
                         strerror(errno));
    }

    if (st.st_uid != geteuid() && st.st_uid != 0) {
        return atls_fail(failure, ATLS_ERROR_USAGE,
                         "the session file's directory \"%s\" belongs to "
                         "another user", directory);
    }

    if ((st.st_mode & (S_IWGRP | S_IWOTH)) && !(st.st_mode & S_ISVTX)) {
        return atls_fail(failure, ATLS_ERROR_USAGE,
                         "the session file's directory \"%s\" is writable by "
                         "others: chmod go-w", directory);
    }

    return ATLS_OK;
}


/*
 * Opens and locks the file, which must not be a symbolic link.  The path is for
 * error messages.  Sets errno to EPERM if the file is rejected.
 */

static int
atls_store_lock(const atls_sessions_t *sessions, const char *path,
    atls_failure_t *failure)
{
    int  fd;

    fd = openat(sessions->dir, sessions->name,
                O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);

    if (fd == -1) {
        atls_fail(failure, ATLS_ERROR_USAGE,
                  "cannot open the session file \"%s\": %s", path,
                  errno == ELOOP ? "it is a symbolic link" : strerror(errno));
        return -1;
    }

    if (atls_store_check(fd, path, failure) == ATLS_OK) {

        while (flock(fd, LOCK_EX) == -1) {
            if (errno != EINTR) {
                atls_fail(failure, ATLS_ERROR_USAGE,
                          "cannot lock the session file \"%s\": %s", path,
                          strerror(errno));
                close(fd);
                return -1;
            }
        }

        if (atls_store_check_content(fd, path, failure) == ATLS_OK) {
            return fd;
        }
    }

    close(fd);
    errno = EPERM;

    return -1;
}


static atls_error_e
atls_store_check(int fd, const char *path, atls_failure_t *failure)
{
    struct stat  st;

    if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
        return atls_fail(failure, ATLS_ERROR_USAGE,
                         "\"%s\" is not a regular file", path);
    }

    if (st.st_uid != geteuid()) {
        return atls_fail(failure, ATLS_ERROR_USAGE,
                         "the session file \"%s\" belongs to another user",
                         path);
    }

    if (st.st_nlink > 1) {
        return atls_fail(failure, ATLS_ERROR_USAGE,
                         "the session file \"%s\" has more than one link",
                         path);
    }

    if (st.st_mode & (S_IRWXG | S_IRWXO)) {
        return atls_fail(failure, ATLS_ERROR_USAGE,
                         "the session file \"%s\" is accessible by others: "
                         "chmod 600", path);
    }

    return ATLS_OK;
}


static atls_error_e
atls_store_check_content(int fd, const char *path, atls_failure_t *failure)
{
    char     first[sizeof(ATLS_STORE_FIRST) - 1];
    ssize_t  n;

    n = pread(fd, first, sizeof(first), 0);

    if (n != 0
        && (n != sizeof(first)
            || memcmp(first, ATLS_STORE_FIRST, sizeof(first)) != 0))
    {
        return atls_fail(failure, ATLS_ERROR_USAGE,
                         "\"%s\" is not a session file",
                         path);
    }

    return ATLS_OK;
}


static void
atls_store_put(void *data, const char *key, const void *session, size_t size)
{
    atls_sessions_t  *sessions = data;

    int    fd;
    char  *text, *p;

    text = atls_store_load(sessions, 2 * size + strlen(key) + 2, &fd);
    if (text == NULL) {
        return;
    }

    atls_store_drop(sessions, text, key);

    p = text + strlen(text);
    atls_hex(p, session, size);

    p = stpcpy(p + 2 * size, " ");
    p = stpcpy(p, key);
    stpcpy(p, "\n");

    atls_store_save(sessions, text, fd);
}


/* The newest session of a key is the last one. */

static size_t
atls_store_take(void *data, const char *key, void *buf, size_t size)
{
    atls_sessions_t  *sessions = data;

    int      fd;
    char    *text, *line, *newest;
    size_t   n;

    text = atls_store_load(sessions, 0, &fd);
    if (text == NULL) {
        return 0;
    }

    n = 0;
    newest = NULL;

    for (line = atls_store_next(text); *line; line = atls_store_next(line)) {
        if (atls_store_is(line, key)) {
            newest = line;
        }
    }

    if (newest) {
        n = atls_store_decode(newest, buf, size);
        atls_store_cut(newest);
    }

    atls_store_save(sessions, text, fd);

    return n;
}


/*
 * Returns the text in a buffer with room for more bytes, for use by this thread
 * until it is saved, or NULL on error.
 */

static char *
atls_store_load(atls_sessions_t *sessions, size_t room, int *fd)
{
    char         *text;
    size_t        size;
    struct stat   st;

    pthread_mutex_lock(&sessions->lock);

    *fd = -1;
    size = sessions->text ? strlen(sessions->text) : 0;

    if (sessions->dir != -1) {

        *fd = atls_store_lock_again(sessions);

        if (*fd == -1 || fstat(*fd, &st) == -1) {
            goto failed;
        }

        size = st.st_size < ATLS_STORE_SIZE ? (size_t) st.st_size
                                            : ATLS_STORE_SIZE;
    }

    text = calloc(1, sizeof(ATLS_STORE_FIRST) + size + room);
    if (text == NULL) {
        goto failed;
    }

    if (*fd != -1) {
        atls_store_read(*fd, text, size);

    } else if (sessions->text) {
        stpcpy(text, sessions->text);
    }

    if (*text == '\0') {
        stpcpy(text, ATLS_STORE_FIRST);
    }

    return text;

failed:

    sessions->error = errno;

    if (*fd != -1) {
        close(*fd);
    }

    pthread_mutex_unlock(&sessions->lock);

    return NULL;
}


/* In the directory of atls_store_file(), a file that is rejected is deleted. */

static int
atls_store_lock_again(const atls_sessions_t *sessions)
{
    int             fd;
    atls_failure_t  failure;

    fd = atls_store_lock(sessions, sessions->name, &failure);

    if (fd == -1 && sessions->private
        && (errno == EPERM || errno == EACCES || errno == ELOOP
            || errno == ENXIO)
        && unlinkat(sessions->dir, sessions->name, 0) == 0)
    {
        fd = atls_store_lock(sessions, sessions->name, &failure);
    }

    return fd;
}


static void
atls_store_read(int fd, char *text, size_t size)
{
    size_t   used;
    ssize_t  n;

    used = 0;

    do {
        n = pread(fd, text + used, size - used, (off_t) used);
        used += n > 0 ? (size_t) n : 0;
    } while (n > 0);

    text[used] = '\0';
}


/* Frees the text, except for a store in memory. */

static void
atls_store_save(atls_sessions_t *sessions, char *text, int fd)
{
    if (fd == -1) {
        atls_store_clear(sessions->text);
        sessions->text = text;

    } else {
        sessions->error = atls_store_write(fd, text);
        atls_store_clear(text);
        close(fd);
    }

    pthread_mutex_unlock(&sessions->lock);
}


/* On error, the file is truncated: a partial session must not remain. */

static int
atls_store_write(int fd, const char *text)
{
    int      error;
    size_t   n;
    ssize_t  written;

    n = strlen(text);

    written = pwrite(fd, text, n, 0);

    if (written == (ssize_t) n && ftruncate(fd, (off_t) n) == 0) {
        return 0;
    }

    error = written != -1 && written < (ssize_t) n ? ENOSPC : errno;

    (void) !ftruncate(fd, 0);

    return error;
}


static void
atls_store_clear(char *text)
{
    if (text) {
        OPENSSL_cleanse(text, strlen(text));
        free(text);
    }
}


/* Makes room for a session: deletes the oldest ones if there are too many. */

static void
atls_store_drop(const atls_sessions_t *sessions, char *text, const char *key)
{
    char    *line, *oldest;
    size_t   n, all;

    do {
        n = 0;
        all = 0;
        oldest = NULL;

        for (line = atls_store_next(text); *line; line = atls_store_next(line))
        {
            all++;

            if (atls_store_is(line, key)) {
                n++;
                oldest = oldest ? oldest : line;
            }
        }

        if (n >= sessions->per_key) {
            atls_store_cut(oldest);

        } else if (all >= ATLS_STORE_MAX) {
            atls_store_cut(atls_store_next(text));
        }

    } while (n >= sessions->per_key || all >= ATLS_STORE_MAX);
}


/* The bytes after the new end of the text are wiped, too. */

static void
atls_store_cut(char *line)
{
    char    *next;
    size_t   n;

    next = atls_store_next(line);
    n = strlen(next);

    memmove(line, next, n + 1);
    OPENSSL_cleanse(line + n + 1, (size_t) (next - line));
}


static char *
atls_store_next(char *line)
{
    line += strcspn(line, "\n");

    return *line ? line + 1 : line;
}


static int
atls_store_is(const char *line, const char *key)
{
    size_t  n;

    n = strlen(key);
    line += strspn(line, "0123456789abcdef");

    return *line == ' ' && strncmp(line + 1, key, n) == 0
           && line[1 + n] == '\n';
}


static size_t
atls_store_decode(char *line, unsigned char *buf, size_t size)
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


/*
 * The store of files, atls_store_file(): a file for each session, which is
 * made under another name, and taken by the process that manages to unlink it.
 *
 * Names are "<digest of the key>-<time>-<random>": those of a key, sorted, are
 * in the order of their age.
 *
 * A session that somebody else has made would be one whose secrets somebody
 * else has: directory and files must be the user's own, and nobody else's to
 * write.  That is asked of what was opened, not of names.
 */


#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "atls.h"
#include "hex.h"


#define ATLS_STORE_KEEP     4               /* sessions of a key */
#define ATLS_STORE_LOOK     64              /* files of a key */
#define ATLS_STORE_DIGEST   16
#define ATLS_STORE_PREFIX   (2 * ATLS_STORE_DIGEST + 1)
#define ATLS_STORE_NAME     (ATLS_STORE_PREFIX + 16 + 1 + 16 + 1)
#define ATLS_STORE_STALE    600             /* seconds of an unfinished file */


typedef struct {
    atls_store_t     store;
    int              dir;
} atls_store_file_t;

typedef char  atls_store_name_t[ATLS_STORE_NAME];


static void atls_store_file_put(void *data, const char *key,
    const void *session, size_t size);
static size_t atls_store_file_take(void *data, const char *key, void *buf,
    size_t size);
static int atls_store_refuse(int dir);
static int atls_store_prefix(atls_store_name_t name, const char *key);
static int atls_store_suffix(atls_store_name_t name);
static int atls_store_write(int dir, const char *name, const void *session,
    size_t size);
static size_t atls_store_read(int dir, const char *name, void *buf,
    size_t size);
static size_t atls_store_list(int dir, const char *prefix,
    atls_store_name_t *names);
static void atls_store_list_stale(int dir, const char *name);
static int atls_store_compare(const void *a, const void *b);


atls_store_t *
atls_store_file(const char *directory)
{
    atls_store_file_t  *file;

    if (mkdir(directory, 0700) == -1 && errno != EEXIST) {
        return NULL;
    }

    file = calloc(1, sizeof(atls_store_file_t));
    if (file == NULL) {
        return NULL;
    }

    file->store.put = atls_store_file_put;
    file->store.take = atls_store_file_take;
    file->store.data = file;

    file->dir = open(directory,
                     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (file->dir == -1 || atls_store_refuse(file->dir)) {
        atls_store_file_free(&file->store);
        return NULL;
    }

    return &file->store;
}


static int
atls_store_refuse(int dir)
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


void
atls_store_file_free(atls_store_t *store)
{
    int                 saved;
    atls_store_file_t  *file;

    if (store) {
        saved = errno;
        file = store->data;

        if (file->dir != -1) {
            close(file->dir);
        }

        free(file);
        errno = saved;
    }
}


static void
atls_store_file_put(void *data, const char *key, const void *session,
    size_t size)
{
    atls_store_file_t  *file = data;

    size_t             i, n;
    atls_store_name_t  name, names[ATLS_STORE_LOOK];

    if (atls_store_prefix(name, key) == -1 || atls_store_suffix(name) == -1
        || atls_store_write(file->dir, name, session, size) == -1)
    {
        return;
    }

    name[ATLS_STORE_PREFIX] = '\0';
    n = atls_store_list(file->dir, name, names);

    for (i = 0; n - i > ATLS_STORE_KEEP; i++) {
        (void) unlinkat(file->dir, names[i], 0);
    }
}


static size_t
atls_store_file_take(void *data, const char *key, void *buf, size_t size)
{
    atls_store_file_t  *file = data;

    size_t             n, len;
    atls_store_name_t  name, names[ATLS_STORE_LOOK];

    if (atls_store_prefix(name, key) == -1) {
        return 0;
    }

    n = atls_store_list(file->dir, name, names);

    while (n--) {
        len = atls_store_read(file->dir, names[n], buf, size);

        /* who unlinks it owns it */

        if (unlinkat(file->dir, names[n], 0) == 0 && len) {
            return len;
        }
    }

    return 0;
}


static int
atls_store_prefix(atls_store_name_t name, const char *key)
{
    unsigned char  digest[EVP_MAX_MD_SIZE];

    if (EVP_Digest(key, strlen(key), digest, NULL, EVP_sha256(), NULL) != 1) {
        ERR_clear_error();
        return -1;
    }

    atls_hex(name, digest, ATLS_STORE_DIGEST);
    name[ATLS_STORE_PREFIX - 1] = '-';
    name[ATLS_STORE_PREFIX] = '\0';

    return 0;
}


/* Names have to sort by age, so it is a time of the whole machine. */

static int
atls_store_suffix(atls_store_name_t name)
{
    unsigned char       bytes[8];
    struct timespec     ts;
    unsigned long long  now;

    if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
        ERR_clear_error();
        return -1;
    }

    clock_gettime(CLOCK_REALTIME, &ts);
    now = (unsigned long long) ts.tv_sec * 1000000000ULL
          + (unsigned long long) ts.tv_nsec;

    snprintf(name + ATLS_STORE_PREFIX, 18, "%016llx-", now);
    atls_hex(name + ATLS_STORE_PREFIX + 17, bytes, sizeof(bytes));

    return 0;
}


static int
atls_store_write(int dir, const char *name, const void *session, size_t size)
{
    int      fd, rc;
    char     temporary[ATLS_STORE_NAME + 4];
    ssize_t  n;

    snprintf(temporary, sizeof(temporary), "%s.new", name);

    fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd == -1) {
        return -1;
    }

    n = write(fd, session, size);

    rc = close(fd) == 0 && n == (ssize_t) size
         && renameat(dir, temporary, dir, name) == 0 ? 0 : -1;

    if (rc == -1) {
        (void) unlinkat(dir, temporary, 0);
    }

    return rc;
}


static size_t
atls_store_read(int dir, const char *name, void *buf, size_t size)
{
    int          fd;
    ssize_t      n;
    struct stat  st;

    fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd == -1) {
        return 0;
    }

    n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1
        && st.st_uid == geteuid() && !(st.st_mode & (S_IRWXG | S_IRWXO))
        ? read(fd, buf, size) : 0;

    close(fd);

    return n > 0 ? (size_t) n : 0;
}


/* The sessions of a key, the oldest first. */

static size_t
atls_store_list(int dir, const char *prefix, atls_store_name_t *names)
{
    int             fd;
    DIR            *d;
    size_t          n;
    struct dirent  *entry;

    fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    d = fd == -1 ? NULL : fdopendir(fd);

    if (d == NULL) {
        if (fd != -1) {
            close(fd);
        }

        return 0;
    }

    n = 0;

    while (n < ATLS_STORE_LOOK && (entry = readdir(d)) != NULL) {

        if (strncmp(entry->d_name, prefix, ATLS_STORE_PREFIX) != 0) {
            continue;
        }

        if (strlen(entry->d_name) == ATLS_STORE_NAME - 1) {
            memcpy(names[n++], entry->d_name, ATLS_STORE_NAME);

        } else {
            atls_store_list_stale(dir, entry->d_name);
        }
    }

    closedir(d);

    qsort(names, n, sizeof(atls_store_name_t), atls_store_compare);

    return n;
}


/* What is left of a process that ended while it wrote. */

static void
atls_store_list_stale(int dir, const char *name)
{
    struct stat  st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0
        && time(NULL) - st.st_mtime > ATLS_STORE_STALE)
    {
        (void) unlinkat(dir, name, 0);
    }
}


static int
atls_store_compare(const void *a, const void *b)
{
    return memcmp(a, b, ATLS_STORE_NAME);
}

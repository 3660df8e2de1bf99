
/*
 * For LD_PRELOAD: the memory that main() of a program uses, written to the file
 * in HEAP_REPORT:
 *
 *     mbed 41234 33434     peak of what libmbed*.so have allocated, in bytes,
 *     coap 2345 0          and of this, what is in pieces of more than 16 KB;
 *     stack 4567           the same of libcoap*.so; peak
 */


#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <alloca.h>
#include <dlfcn.h>


#define MAGIC   0x6174616c
#define LARGE   16384
#define STACK   (256 * 1024)
#define PAINT   0xa5
#define RANGES  16


typedef struct {
    uint32_t     magic;
    int32_t      owner;                 /* an index, or -1 */
    size_t       size;
} header_t;

typedef struct {
    uintptr_t    begin;
    uintptr_t    end;
    int          owner;
} range_t;

typedef int (*main_pt)(int argc, char **argv, char **envp);


void *__libc_malloc(size_t size);
void __libc_free(void *p);

static const char *const  names[] = { "libmbed", "libcoap" };
static const char *const  titles[] = { "mbed", "coap" };

static range_t   ranges[RANGES];
static unsigned  nranges;
static int       counting;
static size_t    now[2];
static size_t    peak[2];
static size_t    large[2];
static main_pt   program;

static volatile unsigned char  *painted;


static int
owner_of(void *caller)
{
    unsigned   i;
    uintptr_t  p = (uintptr_t) caller;

    for (i = 0; counting && i < nranges; i++) {
        if (p >= ranges[i].begin && p < ranges[i].end) {
            return ranges[i].owner;
        }
    }

    return -1;
}


static void *
take(size_t size, void *caller)
{
    header_t  *h;

    h = __libc_malloc(sizeof(header_t) + size);

    if (h == NULL) {
        return NULL;
    }

    h->magic = MAGIC;
    h->owner = owner_of(caller);
    h->size = size;

    if (h->owner >= 0) {
        now[h->owner] += size;

        if (now[h->owner] > peak[h->owner]) {
            peak[h->owner] = now[h->owner];
        }

        if (size > LARGE) {
            large[h->owner] += size;
        }
    }

    return h + 1;
}


void *
malloc(size_t size)
{
    return take(size, __builtin_return_address(0));
}


void *
calloc(size_t n, size_t size)
{
    void  *p;

    if (size && n > SIZE_MAX / 2 / size) {
        return NULL;
    }

    p = take(n * size, __builtin_return_address(0));

    return p ? memset(p, 0, n * size) : NULL;
}


void
free(void *p)
{
    header_t  *h = (header_t *) p - 1;

    if (p == NULL) {
        return;
    }

    if (h->magic != MAGIC) {
        __libc_free(p);
        return;
    }

    if (h->owner >= 0) {
        now[h->owner] -= h->size;
    }

    h->magic = 0;
    __libc_free(h);
}


void *
realloc(void *p, size_t size)
{
    void      *copy;
    header_t  *h = (header_t *) p - 1;

    copy = take(size, __builtin_return_address(0));

    if (p && copy) {
        memcpy(copy, p, h->size < size ? h->size : size);
        free(p);
    }

    return copy;
}


static int
look(struct dl_phdr_info *info, size_t size, void *data)
{
    int       i, j;
    range_t  *range;

    (void) size;
    (void) data;

    for (i = 0; i < 2; i++) {

        for (j = 0; strstr(info->dlpi_name, names[i]) && j < info->dlpi_phnum
                    && nranges < RANGES; j++)
        {
            if (info->dlpi_phdr[j].p_type == PT_LOAD
                && info->dlpi_phdr[j].p_flags & PF_X)
            {
                range = &ranges[nranges++];
                range->begin = info->dlpi_addr + info->dlpi_phdr[j].p_vaddr;
                range->end = range->begin + info->dlpi_phdr[j].p_memsz;
                range->owner = i;
            }
        }
    }

    return 0;
}


/* The stack below the caller's frame, which main() uses afterwards. */

static void __attribute__((noinline))
paint(void)
{
    size_t  i;

    painted = alloca(STACK);

    for (i = 0; i < STACK; i++) {
        painted[i] = PAINT;
    }
}


static int
measured(int argc, char **argv, char **envp)
{
    int      i, rc;
    FILE    *report;
    size_t   unused;

    dl_iterate_phdr(look, NULL);
    paint();
    counting = 1;

    rc = program(argc, argv, envp);

    counting = 0;

    for (unused = 0; unused < STACK && painted[unused] == PAINT; unused++) {
        /* void */
    }

    report = fopen(getenv("HEAP_REPORT"), "w");

    if (report) {
        for (i = 0; i < 2; i++) {
            fprintf(report, "%s %zu %zu\n", titles[i], peak[i], large[i]);
        }

        fprintf(report, "stack %zu\n", STACK - unused);
        fclose(report);
    }

    return rc;
}


int
__libc_start_main(main_pt main, int argc, char **argv, void (*init)(void),
    void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
    int  (*start)(main_pt, int, char **, void (*)(void), void (*)(void),
                  void (*)(void), void *);

    program = main;
    *(void **) &start = dlsym(RTLD_NEXT, "__libc_start_main");

    return start(measured, argc, argv, init, fini, rtld_fini, stack_end);
}

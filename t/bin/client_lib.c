
/*
 * A program that uses libatls, controlled by tests: commands are lines on
 * stdin, results are lines on stdout, "name=value" separated by tabs.
 *
 *     new TARGET                  replaces the client
 *     string N VALUE, number N VALUE, add N VALUE, outer-header LINE,
 *     store DIRECTORY
 *     debug FILE                  file for debug lines
 *     header NAME VALUE           of the next request
 *     body KIND VALUE             of the next request: bytes N, file PATH,
 *                                 fd PATH, read N, chunked N,
 *                                 norewind N (chunked), fail N (after N bytes)
 *     abort WHAT                  the next request: status, header, body, wait
 *     save                        the result contains the response body
 *     go METHOD PATH              sends the request
 *     connect, close, free, session, outer, memory
 *     export SIZE LABEL           in hexadecimal
 *     threads N REQUESTS TARGET ENDPOINT CA    N clients at the same time
 *     quit
 *
 * Bodies are those of Test::Atls::Pattern.
 */


#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include <atls.h>


#define PERIOD      (1 << 20)
#define LINE        65536
#define HEADERS     64


typedef struct {
    long long        size;              /* size of the request body */
    long long        at;
    long long        fail;
    const char      *abort;

    EVP_MD_CTX      *md5;
    long long        length;
    int              status;
    unsigned         headers;
    char             type[128];
    char             saved[4096];
    size_t           nsaved;
} exchange_t;


static char             pattern[2 * PERIOD];
static atls_client_t   *client;
static atls_store_t    *store;
static FILE            *debug_file;
static atls_request_t   request;
static atls_header_t    headers[HEADERS];
static exchange_t       exchange;


static void
make_pattern(void)
{
    int   i;
    char  line[16];

    for (i = 0; i < PERIOD / 8; i++) {
        snprintf(line, sizeof(line), "%07d\n", i);
        memcpy(pattern + 8 * i, line, 8);
    }

    memcpy(pattern + PERIOD, pattern, PERIOD);
}


static long
give(void *data, void *buf, size_t size)
{
    exchange_t  *x = data;

    long long  n;

    if (x->fail && x->at >= x->fail) {
        return -1;
    }

    n = x->size - x->at;

    if (n > (long long) size) {
        n = (long long) size;
    }

    if (n > PERIOD) {
        n = PERIOD;
    }

    memcpy(buf, pattern + x->at % PERIOD, (size_t) n);
    x->at += n;

    return (long) n;
}


static int
again(void *data)
{
    exchange_t  *x = data;

    x->at = 0;

    return 0;
}


static int
aborts(exchange_t *x, const char *where)
{
    return x->abort && strcmp(x->abort, where) == 0;
}


static int
on_status(void *data, int status, const char *reason)
{
    exchange_t  *x = data;

    (void) reason;
    x->status = status;

    return aborts(x, "status");
}


static int
on_header(void *data, const char *name, const char *value)
{
    exchange_t  *x = data;

    x->headers++;

    if (strcmp(name, "Content-Type") == 0) {
        snprintf(x->type, sizeof(x->type), "%s", value);
    }

    return aborts(x, "header");
}


static int
on_body(void *data, const void *bytes, size_t size)
{
    exchange_t  *x = data;

    size_t  n;

    EVP_DigestUpdate(x->md5, bytes, size);
    x->length += (long long) size;

    n = sizeof(x->saved) - 1 - x->nsaved;
    n = size < n ? size : n;
    memcpy(x->saved + x->nsaved, bytes, n);
    x->nsaved += n;

    return aborts(x, "body");
}


static int
on_wait(void *data)
{
    return aborts(data, "wait");
}


static void
print_hex(const char *name, const unsigned char *bytes, size_t n)
{
    size_t  i;

    printf("\t%s=", name);

    for (i = 0; i < n; i++) {
        printf("%02x", bytes[i]);
    }
}


static void
print_text(const char *name, const char *text)
{
    printf("\t%s=", name);

    for ( /* void */ ; text && *text; text++) {
        if (*text == '\n' || *text == '\t' || *text == '%') {
            printf("%%%02x", *text);
        } else {
            putchar(*text);
        }
    }
}


static void
print_result(atls_error_e error)
{
    printf("error=%d", error);
    print_text("means", atls_strerror(error));
    print_text("text", client ? atls_error_text(client) : "");
}


static void
debug(void *data, atls_debug_e what, const char *line)
{
    fprintf(data, "%d %s\n", what, line);
    fflush(data);
}


static void
reset_request(void)
{
    size_t  i;

    for (i = 0; i < request.nheaders; i++) {
        free((void *) headers[i].name);
    }

    if (request.body == ATLS_BODY_FILE && request.file) {
        fclose(request.file);
    }

    if (request.body == ATLS_BODY_FD) {
        close(request.fd);
    }

    if (request.body == ATLS_BODY_MEMORY) {
        free((void *) request.bytes);
    }

    free((void *) exchange.abort);
    EVP_MD_CTX_free(exchange.md5);
    memset(&request, 0, sizeof(request));
    memset(&exchange, 0, sizeof(exchange));
}


static void
set_body(const char *kind, const char *value)
{
    long long   at, n;
    char       *bytes;

    n = atoll(value);
    exchange.size = n;

    if (strcmp(kind, "bytes") == 0) {
        bytes = malloc((size_t) n + 1);

        for (at = 0; at < n; at += PERIOD) {
            memcpy(bytes + at, pattern,
                   (size_t) (n - at < PERIOD ? n - at : PERIOD));
        }

        request.body = ATLS_BODY_MEMORY;
        request.bytes = bytes;
        request.length = n;
        return;
    }

    if (strcmp(kind, "file") == 0) {
        request.body = ATLS_BODY_FILE;
        request.file = fopen(value, "rb");
        return;
    }

    if (strcmp(kind, "fd") == 0) {
        request.body = ATLS_BODY_FD;
        request.fd = open(value, O_RDONLY);
        return;
    }

    request.body = ATLS_BODY_READ;
    request.read = give;
    request.rewind = strcmp(kind, "norewind") == 0 ? NULL : again;
    request.length = strcmp(kind, "read") == 0 ? n : ATLS_LENGTH_UNKNOWN;

    if (strcmp(kind, "fail") == 0) {
        exchange.fail = n;
        exchange.size = n + PERIOD;
    }
}


static void
go(char *method, const char *path)
{
    unsigned       n;
    atls_error_e   rc;
    unsigned char  md5[EVP_MAX_MD_SIZE];

    exchange.md5 = EVP_MD_CTX_new();
    EVP_DigestInit_ex(exchange.md5, EVP_md5(), NULL);

    request.method = method;
    request.path = path;
    request.headers = headers;
    request.on_status = on_status;
    request.on_header = on_header;
    request.on_body = on_body;
    request.on_wait = on_wait;
    request.data = &exchange;

    rc = atls_perform(client, &request);

    EVP_DigestFinal_ex(exchange.md5, md5, &n);

    print_result(rc);
    printf("\tstatus=%d\tseen=%d\theaders=%u\tlength=%lld",
           atls_status(client), exchange.status, exchange.headers,
           exchange.length);
    print_text("type", exchange.type);
    print_text("body", exchange.saved);
    print_hex("md5", md5, n);

    reset_request();
}


static void
print_certificate(const char *name, const atls_certificate_t *certificate)
{
    char           label[32];
    unsigned char  sha256[32];

    snprintf(label, sizeof(label), "%s_subject", name);
    print_text(label, certificate->subject);
    snprintf(label, sizeof(label), "%s_issuer", name);
    print_text(label, certificate->issuer);
    snprintf(label, sizeof(label), "%s_sha256", name);
    print_hex(label, certificate->sha256, 32);

    EVP_Digest(certificate->der, certificate->der_size, sha256, NULL,
               EVP_sha256(), NULL);
    printf("\t%s_der=%d", name,
           memcmp(sha256, certificate->sha256, 32) == 0);
}


static void
print_session(void)
{
    atls_error_e         rc;
    atls_session_info_t  info;

    rc = atls_get_session(client, &info);
    print_result(rc);

    if (rc != ATLS_OK) {
        return;
    }

    printf("\topen=%d\tprotocol=%s\tcipher=%s\talpn=%s\tresumed=%d\tpsk=%d"
           "\tearly=%d\tverify=%ld", info.open, info.protocol, info.cipher,
           info.alpn, info.resumed, info.psk, info.early_data,
           info.verify_result);
    print_text("verify_text", info.verify_text);

    if (info.certificate) {
        print_certificate("certificate", info.certificate);
    }
}


static void
print_outer(void)
{
    atls_outer_info_t  info;

    print_result(atls_get_outer(client, &info));

    printf("\tstatus=%d\thttp=%s\tretry_after=%ld\tposts=%u\tchain=%zu"
           "\tverify=%ld", info.status, info.http, info.retry_after,
           info.posts, info.nchain, info.verify_result);
    print_text("verify_text", info.verify_text);

    if (info.nchain) {
        print_certificate("certificate", &info.chain[0]);
    }
}


static void
print_transfer(void)
{
    atls_transfer_info_t  info;

    print_result(atls_get_transfer(client, &info));

    printf("\tname_lookup=%lld\tconnect=%lld\thandshake=%lld\tconnections=%u"
           "\tconnect_status=%d\tlocal_ip=%s\tremote_ip=%s\tlocal_port=%d"
           "\tremote_port=%d\theader_size=%zu", (long long) info.name_lookup,
           (long long) info.connect, (long long) info.handshake,
           info.connections, info.connect_status, info.local_ip,
           info.remote_ip, info.local_port, info.remote_port,
           info.header_size);
}


static void
print_export(size_t size, const char *label)
{
    atls_error_e   rc;
    unsigned char  out[256];

    rc = atls_exporter(client, label, "", 0, out, size);
    print_result(rc);

    if (rc == ATLS_OK) {
        print_hex("key", out, size);
    }
}


static void
print_memory(void)
{
    char   line[256];
    FILE  *f;

    f = fopen("/proc/self/status", "r");

    while (f && fgets(line, sizeof(line), f)) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            printf("hwm=%ld", atol(line + 6));
        }
    }

    if (f) {
        fclose(f);
    }
}


/* threads */

typedef struct {
    const char      *target;
    const char      *endpoint;
    const char      *ca;
    int              requests;
    int              good;
    pthread_t        thread;
} job_t;


static int
count_body(void *data, const void *bytes, size_t size)
{
    (void) bytes;
    *(size_t *) data += size;

    return 0;
}


static void *
run_job(void *data)
{
    job_t  *job = data;

    int             i;
    char            path[64];
    size_t          got;
    atls_client_t  *c;
    atls_request_t  r;

    if (atls_client_create(&c, job->target) != ATLS_OK) {
        return NULL;
    }

    atls_set_string(c, ATLS_ENDPOINT, job->endpoint);
    atls_set_string(c, ATLS_CA_FILE, job->ca);

    if (store) {
        atls_set_store(c, store);
    }

    for (i = 0; i < job->requests; i++) {
        memset(&r, 0, sizeof(r));
        snprintf(path, sizeof(path), "/big?size=%d", 1000 * (i + 1));

        got = 0;
        r.path = path;
        r.on_body = count_body;
        r.data = &got;

        if (atls_perform(c, &r) == ATLS_OK && atls_status(c) == 200
            && got == (size_t) 1000 * (i + 1))
        {
            job->good++;
        }
    }

    atls_close(c);
    atls_client_free(c);

    return NULL;
}


static void
run_threads(char *args)
{
    int     i, n, good;
    char    target[1024], endpoint[1024], ca[1024];
    job_t  *jobs, job;

    memset(&job, 0, sizeof(job));

    if (sscanf(args, "%d %d %1023s %1023s %1023s", &n, &job.requests, target,
               endpoint, ca)
        != 5)
    {
        printf("error=-1");
        return;
    }

    job.target = target;
    job.endpoint = endpoint;
    job.ca = ca;
    jobs = calloc((size_t) n, sizeof(job_t));

    for (i = 0; i < n; i++) {
        jobs[i] = job;
        pthread_create(&jobs[i].thread, NULL, run_job, &jobs[i]);
    }

    for (i = 0, good = 0; i < n; i++) {
        pthread_join(jobs[i].thread, NULL);
        good += jobs[i].good;
    }

    free(jobs);
    printf("good=%d", good);
}


/* commands */

static void
new_client(const char *target)
{
    atls_error_e  rc;

    atls_client_free(client);
    rc = atls_client_create(&client, target);
    print_result(rc);

    if (client && debug_file) {
        atls_set_debug(client, debug, debug_file);
    }

    if (client && store) {
        atls_set_store(client, store);
    }
}


/* Options of the client.  The functions return 0 for other commands. */

static int
option_command(const char *name, char *rest)
{
    char  *first;

    if (strcmp(name, "string") == 0) {
        first = strtok_r(NULL, " ", &rest);
        print_result(atls_set_string(client, (atls_string_e) atoi(first),
                                     strcmp(rest, "NULL") ? rest : NULL));

    } else if (strcmp(name, "number") == 0) {
        first = strtok_r(NULL, " ", &rest);
        print_result(atls_set_number(client, (atls_number_e) atoi(first),
                                     atoll(rest)));

    } else if (strcmp(name, "outer-header") == 0) {
        print_result(atls_add_outer_header(client, rest));

    } else if (strcmp(name, "add") == 0) {
        first = strtok_r(NULL, " ", &rest);
        print_result(atls_add_string(client, (atls_list_e) atoi(first), rest));

    } else if (strcmp(name, "store") == 0) {
        atls_store_file_free(store);
        store = *rest ? atls_store_file(rest) : NULL;
        printf("error=%d", *rest && store == NULL);

    } else if (strcmp(name, "debug") == 0) {
        debug_file = fopen(rest, "a");
        printf("error=%d", debug_file == NULL);

    } else {
        return 0;
    }

    return 1;
}


/* The next request. */

static int
request_command(const char *name, char *rest)
{
    char  *first;

    static char  empty[] = "";

    if (strcmp(name, "header") == 0) {
        first = realloc(strdup(strtok_r(NULL, " ", &rest)), LINE);
        headers[request.nheaders].name = first;
        headers[request.nheaders].value = strcpy(first + strlen(first) + 1,
                                                 rest);
        request.nheaders++;
        printf("error=0");

    } else if (strcmp(name, "body") == 0) {
        first = strtok_r(NULL, " ", &rest);
        set_body(first, rest);
        printf("error=0");

    } else if (strcmp(name, "abort") == 0) {
        exchange.abort = strdup(rest);
        printf("error=0");

    } else if (strcmp(name, "go") == 0) {
        first = strtok_r(NULL, " ", &rest);
        go(first, *rest ? rest : empty);

    } else {
        return 0;
    }

    return 1;
}


/* A client, its sessions, and what is known of them. */

static void
client_command(const char *name, char *rest)
{
    char  *first;

    if (strcmp(name, "new") == 0) {
        new_client(rest);

    } else if (strcmp(name, "connect") == 0) {
        print_result(atls_connect(client));

    } else if (strcmp(name, "close") == 0) {
        atls_close(client);
        print_result(ATLS_OK);

    } else if (strcmp(name, "free") == 0) {
        atls_client_free(client);
        client = NULL;
        print_result(ATLS_OK);

    } else if (strcmp(name, "session") == 0) {
        print_session();

    } else if (strcmp(name, "outer") == 0) {
        print_outer();

    } else if (strcmp(name, "transfer") == 0) {
        print_transfer();

    } else if (strcmp(name, "export") == 0) {
        first = strtok_r(NULL, " ", &rest);
        print_export((size_t) atoi(first), rest);

    } else if (strcmp(name, "memory") == 0) {
        print_memory();

    } else if (strcmp(name, "threads") == 0) {
        run_threads(rest);

    } else {
        printf("error=-1\ttext=no such command");
    }
}


static void
command(char *line)
{
    char  *name, *rest;

    name = strtok_r(line, " ", &rest);

    if (name == NULL) {
        return;
    }

    if (!option_command(name, rest) && !request_command(name, rest)) {
        client_command(name, rest);
    }

    printf("\n");
    fflush(stdout);
}


int
main(void)
{
    char  line[LINE];

    signal(SIGPIPE, SIG_IGN);
    make_pattern();

    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';

        if (strcmp(line, "quit") == 0) {
            break;
        }

        command(line);
    }

    atls_client_free(client);
    atls_store_file_free(store);
    reset_request();

    if (debug_file) {
        fclose(debug_file);
    }

    return strcmp(atls_version(), ATLS_VERSION) != 0;
}

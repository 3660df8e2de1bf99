
/*
 * The command line of the examples in C; the other examples have the same:
 *
 *     client [--tls1.2 | --tls1.3] [--ca FILE] [--name HOST] [--resume]
 *            [--export LABEL] [--psk IDENTITY:HEX] URL PATH ...
 *
 * Prints the bodies of the responses, and a line about the session on stderr.
 */


#ifndef OPTIONS_H
#define OPTIONS_H


#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define EXPORTED  32                /* bytes of keying material */


static struct {
    int             version;        /* 12, 13, or 0 for both */
    const char     *ca;
    const char     *name;           /* name of the service, to be verified */
    int             resume;
    const char     *label;
    char           *identity;
    unsigned char   key[64];
    size_t          key_len;
    const char     *url;
    char          **paths;          /* of requests, terminated by NULL */
} options = { .ca = "/etc/ssl/certs/ca-certificates.crt" };


static void
options_psk(char *value)
{
    char    *p;
    size_t   n;

    p = strrchr(value, ':');

    for (n = 0; p && n < sizeof(options.key); n++) {
        if (sscanf(p + 1 + 2 * n, "%2hhx", &options.key[n]) != 1) {
            break;
        }
    }

    if (p == NULL || strlen(p + 1) != 2 * n) {
        fprintf(stderr, "--psk IDENTITY:HEX, of %zu bytes at most\n",
                sizeof(options.key));
        exit(2);
    }

    *p = '\0';
    options.identity = value;
    options.key_len = n;
}


static void
options_read(int argc, char **argv)
{
    static const struct option  names[] = {
        { "tls1.2", no_argument, &options.version, 12 },
        { "tls1.3", no_argument, &options.version, 13 },
        { "resume", no_argument, &options.resume, 1 },
        { "ca", required_argument, NULL, 'c' },
        { "name", required_argument, NULL, 'n' },
        { "export", required_argument, NULL, 'e' },
        { "psk", required_argument, NULL, 'p' },
        { NULL, 0, NULL, 0 }
    };

    static char  host[256];
    int          c;

    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
        switch (c) {

        case 'c':
            options.ca = optarg;
            break;

        case 'n':
            options.name = optarg;
            break;

        case 'e':
            options.label = optarg;
            break;

        case 'p':
            options_psk(optarg);
            break;

        case '?':
            exit(2);
        }
    }

    if (argc - optind < 2) {
        fprintf(stderr, "usage: %s [options] URL PATH ...\n", argv[0]);
        exit(2);
    }

    options.url = argv[optind];
    options.paths = &argv[optind + 1];

    if (options.name == NULL
        && sscanf(options.url, "http://%255[^:/]", host) == 1)
    {
        options.name = host;
    }
}


static void
report(const char *protocol, int resumed, const unsigned char *exported,
    unsigned posts)
{
    size_t  i;

    fprintf(stderr, "protocol %s resumed %d exporter ", protocol, !!resumed);

    for (i = 0; exported && i < EXPORTED; i++) {
        fprintf(stderr, "%02x", exported[i]);
    }

    fprintf(stderr, "%s posts %u\n", exported ? "" : "-", posts);
}


#endif /* OPTIONS_H */

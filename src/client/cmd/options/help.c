
/*
 * --help and --version, see help.h.
 */


#include <stdio.h>

#include "../base/exitcode.h"
#include "help.h"
#include "option_table.h"


static void cmd_help_section(cmd_command_e command, cmd_section_e section);
static void cmd_help_option(const cmd_option_t *option);


static const struct {
    cmd_command_e    command;
    const char      *name;
    const char      *about;
} cmd_help_commands[] = {

    { CMD_FETCH, "atls",
      "Usage: atls [option ...] https://HOST[:PORT][/PATH] ...\n"
      "       atls forward --help\n"
      "       atls tunnel --help\n"
      "       atls proxy --help\n"
      "       atls run --help\n"
      "       atls doctor --help\n"
      "       atls gateway --help\n"
      "       atls prepare --help\n\n"
      "Sends requests over Application-Layer TLS, with options as in curl.\n" },

    { CMD_FORWARD, "atls forward",
      "Usage: atls forward --listen [ADDRESS:]PORT [option ...]"
      " https://HOST[:PORT]\n"
      "       atls forward --services FILE [option ...]\n\n"
      "Runs a local HTTP server and forwards its requests to HOST over\n"
      "Application-Layer TLS.\n" },

    { CMD_TUNNEL, "atls tunnel",
      "Usage: atls tunnel --listen [ADDRESS:]PORT [option ...]"
      " https://HOST[:PORT]\n\n"
      "Listens for local TLS clients and passes their bytes to HOST in POSTs,\n"
      "unchanged.  TLS and certificate verification are up to the client.\n" },

    { CMD_LOCAL_PROXY, "atls proxy",
      "Usage: atls proxy --listen [ADDRESS:]PORT [option ...]\n\n"
      "Runs a local HTTP proxy for TLS clients and passes their bytes to the\n"
      "requested host in POSTs, unchanged.  TLS and certificate verification\n"
      "are up to the client.\n" },

    { CMD_RUN, "atls run",
      "Usage: atls run [option ...] [--] PROGRAM [ARGUMENT ...]\n\n"
      "Runs a program with a proxy for https URLs, as of atls proxy, for this\n"
      "program only.  TLS and certificate verification are up to the program."
      "\n" },

    { CMD_DOCTOR, "atls doctor",
      "Usage: atls doctor [option ...] https://HOST[:PORT][/PATH]\n\n"
      "Tests what middleboxes on the path do to ATLS, and prints a line for "
      "each\nproperty, and a verdict.\n" },

    { CMD_GATEWAY, "atls gateway",
      "Usage: atls gateway --listen URL --to URL [option ...]\n\n"
      "Runs a CoAP server for devices and passes the bytes of their TLS to\n"
      "services in POSTs, unchanged.\n" },

    { CMD_PREPARE, "atls prepare",
      "Usage: atls prepare --association FILE [option ...]"
      " https://HOST[:PORT]\n\n"
      "Gets an association of HOST over Application-Layer TLS, for requests\n"
      "over HTTPS later: see --direct.\n" },
};

#define CMD_HELP_COMMANDS  (sizeof(cmd_help_commands)                         \
                            / sizeof(cmd_help_commands[0]))


int
cmd_help(cmd_command_e command)
{
    size_t         i;
    cmd_section_e  section;

    for (i = 0; i < CMD_HELP_COMMANDS; i++) {
        if (cmd_help_commands[i].command == command) {
            fputs(cmd_help_commands[i].about, stdout);
        }
    }

    for (section = 0; section < CMD_SECTIONS; section++) {
        cmd_help_section(command, section);
    }

    if (command & (CMD_CLIENTS | CMD_DOCTOR | CMD_PREPARE)) {
        fputs("\n", stdout);
        cmd_help_insecure(stdout);
    }

    return fflush(stdout) == 0 && !ferror(stdout) ? CMD_OK : CMD_WRITE;
}


/* A section without options of the command has no title. */

static void
cmd_help_section(cmd_command_e command, cmd_section_e section)
{
    int                  titled;
    size_t               i;
    const cmd_option_t  *option;

    titled = 0;

    for (i = 0; i < cmd_options_n; i++) {

        option = &cmd_options_table[i];

        if (option->section != section || !(option->commands & command)) {
            continue;
        }

        if (!titled) {
            printf("\n%s:\n", cmd_sections[section]);
            titled = 1;
        }

        cmd_help_option(option);
    }
}


static void
cmd_help_option(const cmd_option_t *option)
{
    char  column[48];

    snprintf(column, sizeof(column), "%c%c%s --%s %s",
             option->ch ? '-' : ' ', option->ch ? option->ch : ' ',
             option->ch ? "," : " ", option->name,
             option->arg ? option->arg : "");

    printf("  %-29s  %s\n", column, option->help);
}


void
cmd_help_insecure(FILE *file)
{
    fputs("The service's certificate is always verified, inside ATLS, unless a"
          "\npre-shared key is used; there is no -k.  The outer certificate is"
          " not\ntrusted.\n", file);
}


int
cmd_help_version(void)
{
    printf("atls %s\n", atls_version());

    return fflush(stdout) == 0 && !ferror(stdout) ? CMD_OK : CMD_WRITE;
}


const char *
cmd_help_name(cmd_command_e command)
{
    size_t  i;

    for (i = 0; cmd_help_commands[i].command != command; i++) {
        /* void */
    }

    return cmd_help_commands[i].name;
}

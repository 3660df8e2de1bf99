
/*
 * Handlers of options for forms, see option_form.h.  The syntax is that of
 * curl.
 */


#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../base/exitcode.h"
#include "../base/file.h"
#include "../base/util.h"
#include "form.h"
#include "option_form.h"


/* A value with its attributes; those that are absent are NULL. */

typedef struct {
    char               *value;
    char               *type;
    char               *filename;
    char               *encoder;
    struct curl_slist  *headers;
} cmd_field_t;


static int cmd_field_add(cmd_options_t *options, const char *value,
    int literal);
static int cmd_field_value(curl_mimepart *part, const char *text);
static int cmd_field_files(CURL *curl, curl_mimepart *part, const char *text);
static curl_mimepart *cmd_field_part(curl_mime *mime);
static int cmd_field_file(curl_mimepart *part, const cmd_field_t *field,
    int attached);
static int cmd_field_parse(cmd_field_t *field, const char **text, char last);
static int cmd_field_attribute(cmd_field_t *field, const char **text,
    char last);
static const char *cmd_field_is(const char *text, const char *name);
static char *cmd_field_type(const char **text, char last);
static char *cmd_field_word(const char **text, char last);
static char *cmd_field_quoted(const char **text);
static size_t cmd_field_length(const char *text, char last);
static char *cmd_field_trimmed(const char *text, size_t n);
static int cmd_field_headers(cmd_field_t *field, const char **text, char last);
static void cmd_field_lines(cmd_field_t *field, char *text);
static int cmd_field_set(curl_mimepart *part, cmd_field_t *field);
static void cmd_field_free(cmd_field_t *field);


int
cmd_set_form(cmd_options_t *options, const cmd_option_t *option, char *value)
{
    (void) option;

    return cmd_field_add(options, value, 0);
}


int
cmd_set_form_string(cmd_options_t *options, const cmd_option_t *option,
    char *value)
{
    (void) option;

    return cmd_field_add(options, value, 1);
}


static int
cmd_field_add(cmd_options_t *options, const char *value, int literal)
{
    char           *name;
    const char     *text;
    curl_mimepart  *part;

    text = strchr(value, '=');

    if (text == NULL) {
        return cmd_fail(CMD_USAGE, "invalid field \"%s\", must be NAME=VALUE",
                        value);
    }

    if (!literal && (text[1] == '(' || strcmp(value, "=)") == 0)) {
        return cmd_fail(CMD_USAGE, "nested parts are not supported in -F; try "
                                   "atls run -- curl -F ...");
    }

    if (options->form == NULL) {
        options->form = cmd_form_create();
    }

    part = cmd_field_part(options->form->mime);

    name = cmd_copy(value, (size_t) (text - value));
    curl_mime_name(part, *name ? name : NULL);
    free(name);

    text++;

    if (literal) {
        curl_mime_data(part, text, CURL_ZERO_TERMINATED);
        return CMD_OK;
    }

    return *text == '@'
           ? cmd_field_files(options->form->curl, part, text + 1)
           : cmd_field_value(part, text);
}


/* A text, or "<" and a file. */

static int
cmd_field_value(curl_mimepart *part, const char *text)
{
    int          code, file;
    cmd_field_t  field;

    file = *text == '<';
    text += file;

    code = cmd_field_parse(&field, &text, '\0');

    if (code == CMD_OK && file) {
        code = cmd_field_file(part, &field, 0);

    } else if (code == CMD_OK) {
        curl_mime_data(part, field.value, CURL_ZERO_TERMINATED);
    }

    if (code == CMD_OK) {
        code = cmd_field_set(part, &field);
    }

    cmd_field_free(&field);

    return code;
}


/* Files, separated by ",": several are parts of a part. */

static int
cmd_field_files(CURL *curl, curl_mimepart *part, const char *text)
{
    int             code;
    curl_mime      *files;
    cmd_field_t     field;
    curl_mimepart  *file;

    files = NULL;

    do {
        code = cmd_field_parse(&field, &text, ',');

        if (*text == ',' && files == NULL) {
            files = curl_mime_init(curl);
            curl_mime_subparts(part, files);
        }

        file = files ? cmd_field_part(files) : part;

        if (code == CMD_OK) {
            code = cmd_field_file(file, &field, 1);
        }

        if (code == CMD_OK) {
            code = cmd_field_set(file, &field);
        }

        cmd_field_free(&field);

    } while (code == CMD_OK && *text++ == ',');

    return code;
}


static curl_mimepart *
cmd_field_part(curl_mime *mime)
{
    curl_mimepart  *part;

    part = curl_mime_addpart(mime);

    if (part == NULL) {
        exit(cmd_fail(CMD_MEMORY, "out of memory"));
    }

    return part;
}


static int
cmd_field_file(curl_mimepart *part, const cmd_field_t *field, int attached)
{
    int          code;
    char        *bytes;
    size_t       n;
    const char  *name;

    name = attached ? field->value : NULL;

    if (strcmp(field->value, "-") == 0) {
        code = cmd_file_read("-", &bytes, &n);

        if (code == CMD_OK) {
            curl_mime_data(part, bytes, n);
            curl_mime_filename(part, name);
            free(bytes);
        }

        return code;
    }

    /* this also sets its name */

    if (curl_mime_filedata(part, field->value) != CURLE_OK) {
        return cmd_fail(CMD_READ, "cannot open \"%s\": %s", field->value,
                        strerror(errno));
    }

    if (!attached) {
        curl_mime_filename(part, NULL);
    }

    return CMD_OK;
}


/* The value ends before "last" or at the end of the text. */

static int
cmd_field_parse(cmd_field_t *field, const char **text, char last)
{
    int  code;

    memset(field, 0, sizeof(cmd_field_t));

    code = CMD_OK;
    *text += strspn(*text, " \t");
    field->value = cmd_field_word(text, last);

    while (code == CMD_OK && **text == ';') {
        (*text)++;
        *text += strspn(*text, " \t");
        code = cmd_field_attribute(field, text, last);
    }

    return code;
}


static int
cmd_field_attribute(cmd_field_t *field, const char **text, char last)
{
    char        *word, **member;
    const char  *value;

    value = cmd_field_is(*text, "headers=");

    if (value) {
        *text = value;
        return cmd_field_headers(field, text, last);
    }

    value = cmd_field_is(*text, "type=");

    if (value) {
        *text = value;
        free(field->type);
        field->type = cmd_field_type(text, last);
        return CMD_OK;
    }

    member = &field->filename;
    value = cmd_field_is(*text, "filename=");

    if (value == NULL) {
        member = &field->encoder;
        value = cmd_field_is(*text, "encoder=");
    }

    if (value) {
        *text = value;
        free(*member);
        *member = cmd_field_word(text, last);
        return CMD_OK;
    }

    word = cmd_field_word(text, last);

    if (*word) {
        cmd_warn("unknown attribute in -F ignored: %s", word);
    }

    free(word);

    return CMD_OK;
}


static const char *
cmd_field_is(const char *text, const char *name)
{
    size_t  n;

    n = strlen(name);

    return strncasecmp(text, name, n) == 0
           ? text + n + strspn(text + n, " \t") : NULL;
}


/* A type may have parameters. */

static char *
cmd_field_type(const char **text, char last)
{
    size_t       n;
    const char  *next;

    n = cmd_field_length(*text, last);

    while ((*text)[n] == ';') {
        next = *text + n + 1;
        next += strspn(next, " \t");

        if (cmd_field_is(next, "headers=") || cmd_field_is(next, "filename=")
            || cmd_field_is(next, "encoder="))
        {
            break;
        }

        n = (size_t) (next - *text) + cmd_field_length(next, last);
    }

    *text += n;

    return cmd_field_trimmed(*text - n, n);
}


static char *
cmd_field_word(const char **text, char last)
{
    char    *word;
    size_t   n;

    word = cmd_field_quoted(text);
    n = cmd_field_length(*text, last);

    if (word == NULL) {
        word = cmd_field_trimmed(*text, n);
    }

    *text += n;

    return word;
}


/* Returns NULL if the text is not quoted. */

static char *
cmd_field_quoted(const char **text)
{
    char        *word, *to;
    const char  *p = *text;

    if (*p != '"') {
        return NULL;
    }

    word = cmd_copy(p, strlen(p));
    to = word;

    for (p++; *p && *p != '"'; p++) {

        if (*p == '\\' && (p[1] == '\\' || p[1] == '"')) {
            p++;
        }

        *to++ = *p;
    }

    if (*p == '\0') {
        free(word);
        return NULL;
    }

    *to = '\0';
    *text = p + 1;

    return word;
}


static size_t
cmd_field_length(const char *text, char last)
{
    size_t  n;

    for (n = 0; text[n] && text[n] != ';' && text[n] != last; n++) {
        /* void */
    }

    return n;
}


static char *
cmd_field_trimmed(const char *text, size_t n)
{
    while (n && (text[n - 1] == ' ' || text[n - 1] == '\t')) {
        n--;
    }

    return cmd_copy(text, n);
}


/* A header, or "@" and a file. */

static int
cmd_field_headers(cmd_field_t *field, const char **text, char last)
{
    int      code, file;
    char    *word, *content;
    size_t   n;

    code = CMD_OK;
    file = **text == '@' || **text == '<';
    *text += file;
    *text += strspn(*text, " \t");

    word = cmd_field_word(text, last);

    if (file) {
        code = cmd_file_read(word, &content, &n);

        if (code == CMD_OK) {
            cmd_field_lines(field, content);
            free(content);
        }

    } else {
        field->headers = curl_slist_append(field->headers, word);
    }

    free(word);

    return code;
}


/* Lines that begin with a space continue the previous one. */

static void
cmd_field_lines(cmd_field_t *field, char *text)
{
    char    *line, *header, *longer;
    size_t   n;

    header = NULL;

    for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {

        n = strlen(line);

        while (n && strchr(" \t\r", line[n - 1])) {
            line[--n] = '\0';
        }

        if (n == 0 || *line == '#') {
            continue;
        }

        if (*line == ' ' && header) {
            longer = cmd_format("%s%s", header, line);

        } else {
            longer = cmd_copy(line, n);

            if (header) {
                field->headers = curl_slist_append(field->headers, header);
            }
        }

        free(header);
        header = longer;
    }

    if (header) {
        field->headers = curl_slist_append(field->headers, header);
        free(header);
    }
}


static int
cmd_field_set(curl_mimepart *part, cmd_field_t *field)
{
    if (field->filename) {
        curl_mime_filename(part, field->filename);
    }

    curl_mime_type(part, field->type);
    curl_mime_headers(part, field->headers, 1);
    field->headers = NULL;

    return curl_mime_encoder(part, field->encoder) == CURLE_OK
           ? CMD_OK : cmd_fail(CMD_USAGE, "unknown encoder \"%s\"",
                               field->encoder);
}


static void
cmd_field_free(cmd_field_t *field)
{
    free(field->value);
    free(field->type);
    free(field->filename);
    free(field->encoder);
    curl_slist_free_all(field->headers);
}

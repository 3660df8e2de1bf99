
/*
 * Findings of atls doctor, see findings.h.
 */


#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../lib/error.h"
#include "../../lib/fault.h"
#include "../base/exitcode.h"
#include "../base/util.h"
#include "findings.h"


static const char *const  cmd_finding_names[] = {
    "ok", "skipped", "note", "limit", "fault"
};


static void cmd_findings_store(cmd_findings_t *findings, const char *check,
    cmd_finding_e result, const char *fault, char *text,
    const char *advice);
static void cmd_findings_print(const char *check, cmd_finding_e result,
    const char *text, const char *advice);
static cJSON *cmd_findings_object(void);
static void cmd_findings_text(cJSON *object, const char *name,
    const char *text);
static int cmd_findings_document(cmd_findings_t *findings,
    const char *endpoint, const char *verdict, int code);


void
cmd_findings_init(cmd_findings_t *findings, int json)
{
    findings->worst = CMD_FINDING_OK;
    findings->checks = NULL;

    if (json) {
        findings->checks = cJSON_CreateArray();

        if (findings->checks == NULL) {
            exit(cmd_fail(CMD_MEMORY, "out of memory"));
        }
    }
}


void
cmd_findings_free(cmd_findings_t *findings)
{
    cJSON_Delete(findings->checks);
}


void
cmd_findings_add(cmd_findings_t *findings, const char *check,
    cmd_finding_e result, const char *advice, const char *format, ...)
{
    char     text[ATLS_FAILURE_TEXT];
    va_list  args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);

    cmd_findings_store(findings, check, result, "", text, advice);
}


void
cmd_findings_fault(cmd_findings_t *findings, const char *check,
    atls_fault_e fault, const char *text)
{
    char  copy[ATLS_FAILURE_TEXT];

    snprintf(copy, sizeof(copy), "%s", text);

    cmd_findings_store(findings, check, CMD_FINDING_FAULT,
                       atls_fault_name(fault), copy, atls_fault_advice(fault));
}


static void
cmd_findings_store(cmd_findings_t *findings, const char *check,
    cmd_finding_e result, const char *fault, char *text, const char *advice)
{
    cJSON  *object;

    if (result > findings->worst) {
        findings->worst = result;
    }

    atls_printable(text);

    if (findings->checks == NULL) {
        cmd_findings_print(check, result, text, advice);
        return;
    }

    object = cmd_findings_object();

    cmd_findings_text(object, "check", check);
    cmd_findings_text(object, "result", cmd_finding_names[result]);

    if (*fault) {
        cmd_findings_text(object, "fault", fault);
    }

    cmd_findings_text(object, "text", text);

    if (*advice) {
        cmd_findings_text(object, "advice", advice);
    }

    cJSON_AddItemToArray(findings->checks, object);
}


static void
cmd_findings_print(const char *check, cmd_finding_e result, const char *text,
    const char *advice)
{
    printf("%-12s  %-7s  %s\n", check, cmd_finding_names[result], text);

    if (*advice) {
        printf("%-12s  %-7s  %s\n", "", "", advice);
    }

    fflush(stdout);
}


static cJSON *
cmd_findings_object(void)
{
    cJSON  *object;

    object = cJSON_CreateObject();

    if (object == NULL) {
        exit(cmd_fail(CMD_MEMORY, "out of memory"));
    }

    return object;
}


static void
cmd_findings_text(cJSON *object, const char *name, const char *text)
{
    if (cJSON_AddStringToObject(object, name, text) == NULL) {
        exit(cmd_fail(CMD_MEMORY, "out of memory"));
    }
}


int
cmd_findings_end(cmd_findings_t *findings, const char *endpoint, int code)
{
    const char  *verdict;

    if (findings->worst != CMD_FINDING_FAULT) {
        code = findings->worst == CMD_FINDING_LIMIT ? CMD_LIMITED : CMD_OK;
    }

    verdict = code == CMD_OK ? "ATLS works"
              : code == CMD_LIMITED ? "ATLS works, with limits"
              : "ATLS does not work";

    if (findings->checks) {
        return cmd_findings_document(findings, endpoint, verdict, code);
    }

    printf("%-12s  %-7s  %s\n", "verdict",
           cmd_finding_names[code == CMD_OK ? CMD_FINDING_OK
                                            : findings->worst], verdict);

    return fflush(stdout) == 0 && !ferror(stdout) ? code : CMD_WRITE;
}


static int
cmd_findings_document(cmd_findings_t *findings, const char *endpoint,
    const char *verdict, int code)
{
    char   *text;
    cJSON  *document;

    document = cmd_findings_object();

    cmd_findings_text(document, "endpoint", endpoint);
    cJSON_AddItemToObject(document, "checks", findings->checks);
    findings->checks = NULL;
    cmd_findings_text(document, "verdict", verdict);

    text = cJSON_AddNumberToObject(document, "code", code)
           ? cJSON_Print(document) : NULL;

    cJSON_Delete(document);

    if (text == NULL) {
        return cmd_fail(CMD_MEMORY, "out of memory");
    }

    printf("%s\n", text);
    cJSON_free(text);

    return fflush(stdout) == 0 && !ferror(stdout) ? code : CMD_WRITE;
}


/*
 * atls doctor, see doctor.h.
 */


#include <stdlib.h>
#include <string.h>

#include "../../lib/cert.h"
#include "../base/exitcode.h"
#include "../base/util.h"
#include "../options/client.h"
#include "../options/url.h"
#include "doctor.h"
#include "probe.h"


typedef struct {
    cmd_options_t    options;
    cmd_url_t        url;
    atls_target_t    target;
    X509_STORE      *trust;
} cmd_doctor_t;


static int cmd_doctor_prepare(cmd_doctor_t *doctor);
static int cmd_doctor_fail(const atls_failure_t *failure);
static int cmd_doctor_run(cmd_doctor_t *doctor);


/* In this order: later probes assume what earlier ones have found. */

static const cmd_probe_pt  cmd_doctor_probes[] = {
    cmd_probe_contact,
    cmd_probe_certificate,
    cmd_probe_request,
    cmd_probe_headers,
    cmd_probe_cache,
    cmd_probe_stream,
    cmd_probe_size,
};


int
cmd_doctor(int argc, char **argv)
{
    int           code;
    cmd_doctor_t  doctor;

    memset(&doctor, 0, sizeof(cmd_doctor_t));

    code = cmd_options_parse(&doctor.options, CMD_DOCTOR, argc, argv);

    if (code == CMD_OK && !doctor.options.done) {
        code = cmd_doctor_prepare(&doctor);

        if (code == CMD_OK) {
            code = cmd_doctor_run(&doctor);
        }
    }

    X509_STORE_free(doctor.trust);
    atls_target_free(&doctor.target);
    cmd_url_free(&doctor.url);
    cmd_options_free(&doctor.options);

    return code;
}


static int
cmd_doctor_prepare(cmd_doctor_t *doctor)
{
    int             code;
    atls_failure_t  failure;
    cmd_options_t  *options = &doctor->options;

    atls_failure_clear(&failure);

    code = cmd_url_parse(&doctor->url, options->urls.items[0], NULL, NULL);
    if (code != CMD_OK) {
        return code;
    }

    if (doctor->url.user) {
        return cmd_fail(CMD_URL, "the URL must not have credentials");
    }

    if (atls_target_parse(&doctor->target, doctor->url.origin, &failure)
        != ATLS_OK)
    {
        return cmd_doctor_fail(&failure);
    }

    doctor->trust = atls_trust_create(options->ca_file, options->ca_dir,
                                      &failure);

    return doctor->trust ? CMD_OK : cmd_doctor_fail(&failure);
}


static int
cmd_doctor_fail(const atls_failure_t *failure)
{
    return cmd_fail(cmd_client_code(failure->error), "%s", failure->text);
}


static int
cmd_doctor_run(cmd_doctor_t *doctor)
{
    int             code;
    char           *endpoint;
    size_t          i, n;
    cmd_probe_t     probe;
    cmd_options_t  *options = &doctor->options;

    memset(&probe, 0, sizeof(cmd_probe_t));
    probe.options = options;
    probe.code = CMD_OK;

    probe.request = cmd_format("HEAD %s HTTP/1.1\r\n"
                               "Host: %s\r\n"
                               "User-Agent: atls/%s (doctor)\r\n"
                               "Accept: */*\r\n"
                               "\r\n",
                               doctor->url.path, doctor->target.authority,
                               ATLS_VERSION);

    cmd_findings_init(&probe.findings, options->json);

    if (cmd_probe_session_init(&probe.session, options, &doctor->target,
                         doctor->trust)
        != ATLS_OK)
    {
        code = cmd_doctor_fail(&probe.session.failure);

    } else {
        n = sizeof(cmd_doctor_probes) / sizeof(cmd_doctor_probes[0]);

        for (i = 0; i < n && cmd_doctor_probes[i](&probe) == 0; i++) {
            /* void */
        }

        cmd_probe_session_close(&probe.session);

        endpoint = cmd_format("%s", options->via ? options->via
                                                 : doctor->target.endpoint);
        atls_hide_users(endpoint);

        code = cmd_findings_end(&probe.findings, endpoint, probe.code);
        free(endpoint);
    }

    cmd_probe_session_free(&probe.session);
    cmd_findings_free(&probe.findings);
    free(probe.request);

    return code;
}

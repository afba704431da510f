/* SPDX-License-Identifier: MIT */
/* pam_unix for a process that is not root: account management of daemon, whose
   entry in the shadow file takes unix_chkpwd. */
#include <pwd.h>
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int converse(int count, const struct pam_message **messages, struct pam_response **responses, void *data)
{
    (void)count, (void)messages, (void)responses, (void)data;
    return PAM_CONV_ERR;
}

static int ask(const char *user)
{
    const struct pam_conv conversation = { converse, NULL };
    pam_handle_t *handle;
    int answer = pam_start_confdir("exitfd-host", user, &conversation, getenv("HOST_FOLDER"), &handle);

    if (answer == PAM_SUCCESS) {
        answer = pam_acct_mgmt(handle, 0);
        pam_end(handle, answer);
    }
    return answer;
}

int main(void)
{
    char ready[300], done[300];
    int right = 0, wrong = 0;

    snprintf(ready, sizeof ready, "%s/ready", getenv("HOST_FOLDER"));
    snprintf(done, sizeof done, "%s/done", getenv("HOST_FOLDER"));
    if (setgid(65534) < 0 || setuid(65534) < 0)
        return 1;
    int first = ask("daemon");
    fclose(fopen(ready, "w"));
    while (access(done, F_OK) != 0)
        ask("daemon") == first ? right++ : wrong++;
    printf("own %d right, %d wrong\n", right, wrong);
    return first == PAM_SUCCESS ? 0 : 1;
}

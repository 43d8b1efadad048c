/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

#include <signal.h>

int cosmos__thread_start(pthread_t *ret, void *(*run)(void *userdata), void *userdata)
{
        sigset_t all, before;
        int r;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before); /* a thread begins with its maker's */
        r = pthread_create(ret, NULL, run, userdata);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return -r;
}

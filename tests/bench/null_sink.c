/* SPDX-License-Identifier: Apache-2.0 */
/* The bpf collector alone: events are counted and dropped. Ends at SIGINT. */
#include <cosmos/cosmos.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
        (void)number;
        stop = 1;
}

int main(void)
{
        struct cosmos_collector_stats stats = {.size = sizeof(stats)};
        const struct cosmos_event *event;
        cosmos_collector *collector = NULL;
        struct cosmos_diag diag = {0};
        int r;

        signal(SIGINT, on_signal);
        if (cosmos_collector_open_bpf(&collector, NULL, &diag) < 0) {
                fprintf(stderr, "%s\n", diag.text);
                return 2;
        }
        fprintf(stderr, "null_sink: collecting\n");
        for (;;) {
                while ((r = cosmos_collector_next(collector, &event, &diag)) == 1)
                        ;
                if (r != 0)
                        break;
                if (stop)
                        cosmos_collector_stop(collector, &diag);
                poll(&(struct pollfd){cosmos_collector_fd(collector), POLLIN, 0}, 1, 1000);
        }
        cosmos_collector_get_stats(collector, &stats);
        fprintf(stderr, "seen %llu = delivered %llu + lost %llu\n", (unsigned long long)stats.seen,
                (unsigned long long)stats.events, (unsigned long long)stats.lost);
        cosmos_collector_free(collector);
        return r == 2 ? 0 : 2;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A whole agent: collect, score, print alerts. `agent MODEL` watches this machine's
 * containers live (needs root, and eBPF), `agent MODEL TRACE` does the same on a recorded trace. */
#include <cosmos/cosmos.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
        stop = number;
}

static int on_score(void *userdata, const struct cosmos_score *s)
{
        (void)userdata;
        if (s->verdict == COSMOS_ANOMALOUS)
                printf("ALERT %s (pid %d): %.2f > %.2f nats a call, most of all %s\n", s->comm, s->pid, s->score,
                       s->threshold, s->why[0].syscall);
        return fflush(stdout);
}

int main(int argc, char **argv)
{
        const char *trace = argc > 2 ? argv[2] : NULL;
        struct cosmos_sink_callbacks callbacks = {.size = sizeof(callbacks), .score = on_score};
        struct cosmos_resolver_options resolving = {.size = sizeof(resolving), .live = !trace};
        struct cosmos_detector_options detecting = {.size = sizeof(detecting), .why = 1};
        cosmos_collector *collector = NULL;
        cosmos_resolver *resolver = NULL;
        cosmos_detector *detector = NULL;
        cosmos_model *model = NULL;
        cosmos_sink *sink = NULL;
        struct cosmos_diag diag = {"out of memory"};
        int r;

        signal(SIGINT, on_signal); /* and SIGTERM, in a real one */
        if ((r = cosmos_model_load_file(&model, argc > 1 ? argv[1] : "model.bin", NULL, &diag)) == 0 &&
            (r = cosmos_sink_new_callback(&sink, &callbacks, &diag)) == 0 &&
            (r = cosmos_detector_new(&detector, model, sink, &detecting, &diag)) == 0 &&
            (r = trace ? cosmos_collector_open_replay(&collector, trace, NULL, &diag)
                       : cosmos_collector_open_bpf(&collector, NULL, &diag)) == 0 &&
            (r = cosmos_resolver_new(&resolver, &resolving, &diag)) == 0)
                while ((r = cosmos_detector_run(detector, collector, resolver, &diag)) == 0 || r == 1) {
                        if (r == 0)
                                poll(&(struct pollfd){cosmos_collector_fd(collector), POLLIN, 0}, 1, 1000);
                        if (stop)
                                cosmos_collector_stop(collector, &diag);
                }
        if (r < 0)
                fprintf(stderr, "agent: %s\n", diag.text);
        cosmos_detector_free(detector);
        cosmos_sink_free(sink);
        cosmos_resolver_free(resolver);
        cosmos_collector_free(collector);
        cosmos_model_unref(model);
        return r < 0;
}

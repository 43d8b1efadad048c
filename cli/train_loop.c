/* SPDX-License-Identifier: Apache-2.0 */
#include "train_loop.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define CHECKPOINT_SECONDS 30.0 /* that a kill may cost, at most, where an epoch takes longer */

struct training {
        const struct train_arguments *arguments;
        cosmos_trainer *trainer;
        struct cosmos_trainer_progress now;
        double saved;       /* when the latest checkpoint was */
        double epoch_begun; /* when */
        /* Since when, and from where on, the rate is taken; 0: nothing has been learnt yet. */
        double begun, begun_epochs;
        uint64_t begun_calls;
};

static double seconds(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void look(struct training *t)
{
        t->now = (struct cosmos_trainer_progress){.size = sizeof(t->now)};
        cosmos_trainer_get_progress(t->trainer, &t->now);
}

/* ---- how far it is ------------------------------------------------------------------------- */

static double epochs_done(const struct cosmos_trainer_progress *p)
{
        return p->epoch - 1 + (p->phase == COSMOS_TRAINER_LEARNING ? p->share : 1);
}

static void begin_rate(struct training *t)
{
        if (t->begun > 0 || t->now.phase != COSMOS_TRAINER_LEARNING)
                return;
        t->begun = t->epoch_begun = seconds();
        t->begun_epochs = epochs_done(&t->now);
        t->begun_calls = t->now.calls;
}

static const char *describe_time(char *buf, size_t size, double s)
{
        if (s < 120)
                snprintf(buf, size, "%.0f s", s);
        else if (s < 7200)
                snprintf(buf, size, "%.0f min", s / 60);
        else
                snprintf(buf, size, "%.1f h", s / 3600);
        return buf;
}

/* It stops by itself when nothing is gained any more: all epochs are the most that is left. */
static void show_learning(const struct training *t)
{
        const struct cosmos_trainer_progress *p = &t->now;
        const double elapsed = seconds() - t->begun, done = epochs_done(p) - t->begun_epochs;
        char held_out[48] = "", left[64] = "", time[24];

        if (!isnan(p->held_out))
                snprintf(held_out, sizeof(held_out), ", held-out perplexity %.2f", exp(p->held_out));
        if (done > 0)
                snprintf(left, sizeof(left), ", %.0f calls/s, at most %s left",
                         (double)(p->calls - t->begun_calls) / elapsed,
                         describe_time(time, sizeof(time), elapsed * (p->epochs - epochs_done(p)) / done));
        if (isnan(p->loss))
                cli_progress("epoch %u/%u: learning, %.0f%%", p->epoch, p->epochs, 100 * p->share);
        else
                cli_progress("epoch %u/%u: %s, %.0f%%, loss %.3f, perplexity %.2f%s%s", p->epoch, p->epochs,
                             p->phase == COSMOS_TRAINER_LEARNING ? "learning" : "evaluating", 100 * p->share, p->loss,
                             exp(p->loss), held_out, left);
}

static void show(const struct training *t)
{
        static const char *const phases[] = {
            [COSMOS_TRAINER_SIFTING] = "looking for what the model finds anomalous",
            [COSMOS_TRAINER_CALIBRATING] = "calibrating",
            [COSMOS_TRAINER_COMPARING] = "comparing with n-grams",
        };

        switch (t->now.phase) {
        case COSMOS_TRAINER_DONE:
                return;
        case COSMOS_TRAINER_LEARNING:
        case COSMOS_TRAINER_EVALUATING:
                if (t->now.epoch > 0)
                        show_learning(t);
                return;
        default:
                cli_progress("%s: %.0f%%", phases[t->now.phase], 100 * t->now.share);
        }
}

/* `before`: as it was when the epoch was evaluated, after which its loss is gone. */
static void say_epoch(struct training *t, const struct cosmos_trainer_progress *before)
{
        const double now = seconds();

        if (before->epoch == 0)
                cli_say("%s: held-out loss %.3f before anything is learnt", t->arguments->init, t->now.held_out);
        else
                cli_say("epoch %u/%u: loss %.3f, held-out loss %.3f, perplexity %.2f, %.1f s", before->epoch,
                        before->epochs, before->loss, t->now.held_out, exp(t->now.held_out), now - t->epoch_begun);
        t->epoch_begun = now;
}

/* ---- checkpoints ------------------------------------------------------------------------------ */

static int save(struct training *t, struct cosmos_diag *diag)
{
        t->saved = seconds(); /* also of one that fails: the next try is not at once */
        return cosmos_trainer_checkpoint(t->trainer, t->arguments->checkpoint, diag);
}

static void save_in_passing(struct training *t)
{
        struct cosmos_diag diag = {0};

        if (t->arguments->checkpoint && save(t, &diag) < 0)
                cli_say("warning: %s; the training goes on", diag.text);
}

static int stop(struct training *t)
{
        struct cosmos_diag diag = {0};
        int r;

        if (!t->arguments->checkpoint) {
                cli_say("interrupted, nothing is written (with --checkpoint it could go on later)");
                return EXIT_INTERRUPTED;
        }
        r = save(t, &diag);
        if (r < 0)
                return cli_fail(r, &diag);
        cli_say("interrupted, the same command goes on from %s", t->arguments->checkpoint);
        return EXIT_INTERRUPTED;
}

int train_resume(const struct train_arguments *a, cosmos_trainer *trainer)
{
        struct cosmos_trainer_progress now = {.size = sizeof(now)};
        struct cosmos_diag diag = {0};
        int r;

        if (!a->checkpoint || (access(a->checkpoint, F_OK) < 0 && errno == ENOENT))
                return EXIT_OK;
        r = cosmos_trainer_resume(trainer, a->checkpoint, &diag);
        if (r < 0)
                return cli_fail(r, &diag);
        cosmos_trainer_get_progress(trainer, &now);
        if (now.phase > COSMOS_TRAINER_EVALUATING)
                cli_say("%s: all is learnt, going on from there", a->checkpoint);
        else
                cli_say("%s: going on from epoch %u, %.0f%%", a->checkpoint, now.epoch, 100 * now.share);
        return EXIT_OK;
}

/* ---- the loop ------------------------------------------------------------------------------------ */

/* After a step that began as `before`. */
static void step_done(struct training *t, const struct cosmos_trainer_progress *before)
{
        const bool epoch_done = before->phase == COSMOS_TRAINER_EVALUATING && t->now.phase != before->phase;

        begin_rate(t);
        if (epoch_done)
                say_epoch(t, before);
        if (epoch_done || seconds() - t->saved > CHECKPOINT_SECONDS)
                save_in_passing(t);
        show(t);
}

int train_loop(const struct train_arguments *arguments, cosmos_trainer *trainer, int signals)
{
        struct training t = {.arguments = arguments, .trainer = trainer, .saved = seconds(), .epoch_begun = seconds()};
        struct cosmos_diag diag = {0};
        int r = 1;

        look(&t);
        begin_rate(&t);
        while (r > 0) {
                const struct cosmos_trainer_progress before = t.now;

                if (cli_stop_signals > signals)
                        return stop(&t);
                r = cosmos_trainer_run(trainer, &diag);
                look(&t);
                if (r >= 0)
                        step_done(&t, &before);
        }
        return r < 0 ? cli_fail(r, &diag) : EXIT_OK;
}

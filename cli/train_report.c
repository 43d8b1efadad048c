/* SPDX-License-Identifier: Apache-2.0 */
#include "train_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Anomalies in so many sequences, and over so much of the time, are rather a normal that has changed. */
#define DRIFT_SEQUENCES 10
#define DRIFT_SPREAD 0.5

static double percent(uint64_t part, uint64_t of)
{
        return of ? 100 * (double)part / (double)of : 0;
}

/* ---- what was read ---------------------------------------------------------------------- */

static size_t count_names(const cosmos_vocab *vocab, size_t *ret_free)
{
        const size_t n = cosmos_vocab_size(vocab);

        *ret_free = 0;
        for (uint32_t id = 0; id < n; id++)
                *ret_free +=
                    strncmp(cosmos_vocab_name(vocab, id), COSMOS_VOCAB_RESERVED, strlen(COSMOS_VOCAB_RESERVED)) == 0;
        return n - *ret_free - 2; /* <start> and <unknown> are no names */
}

void train_report_corpus(const cosmos_corpus *corpus, bool extended)
{
        size_t room, names = count_names(cosmos_corpus_vocab(corpus), &room);

        cli_say("read %zu calls in %zu sequences (of a %s each); the vocabulary has %zu names and room for %zu",
                cosmos_corpus_calls(corpus), cosmos_corpus_sequences(corpus),
                cosmos_unit_name(cosmos_corpus_unit(corpus)), names, room);
        if (extended && cosmos_corpus_unplaced(corpus) > 0)
                cli_say("warning: the model's vocabulary has no place left: %zu different calls of these traces will "
                        "be <unknown>; train a new model to have them",
                        cosmos_corpus_unplaced(corpus));
}

/* ---- the network ---------------------------------------------------------------------------- */

static void say_network(const struct train_arguments *a, const cosmos_trainer *trainer,
                        const struct cosmos_trainer_report *r)
{
        const void *data;
        size_t size;

        cosmos_trainer_get_model(trainer, &data, &size);
        cli_say("%s: %" PRIu64 " parameters, %.0f KiB", a->output, r->parameters, (double)size / 1024);
        cli_say("  learnt      %" PRIu64 " calls, epochs: %u; of later ones %" PRIu64 " said when to stop, %" PRIu64
                " fitted the threshold",
                r->learnt, r->epochs, r->stopping, r->calibration);
        cli_say("  perplexity  %.2f on later calls; by the frequency of calls alone %.2f, by 5-grams %.2f",
                r->perplexity, r->unigram_perplexity, r->fivegram_perplexity);
        if (r->perplexity > r->fivegram_perplexity)
                cli_say("              5-grams do better: more traces, --epochs or --units may help");
}

/* ---- the threshold ---------------------------------------------------------------------------- */

static void say_threshold(const struct train_arguments *a, const struct cosmos_trainer_report *r)
{
        char upper[48] = "more: too few windows to say how much";

        if (isfinite(r->quantile_upper))
                snprintf(upper, sizeof(upper), "%.4f", r->quantile_upper);
        cli_say("  normal      median %.4f, highest %.4f nats a call", r->median, r->highest);
        cli_say("  quantile    %.4f (%g of %" PRIu64 " later windows); with 95%% confidence between %.4f and %s",
                r->quantile_score, a->options.quantile, r->windows, r->quantile_lower, upper);
        cli_say("  threshold   %.4f (room for %g%% more calls that were never seen)", r->theta,
                100 * a->options.margin);
        cli_say("  above it    %.2f%% of these windows", 100 * r->above);
        cli_say("  in time     %.2f%% of the later half of them are above the quantile of the earlier half",
                100 * r->above_later);
        if ((double)r->windows * (1 - a->options.quantile) < 1)
                cli_say("warning: %" PRIu64 " windows are too few for a quantile of %g, which needs %.0f: it is their "
                        "highest score; collect for longer, or give a lower --quantile",
                        r->windows, a->options.quantile, ceil(1 / (1 - a->options.quantile) * (1 - 1e-9)));
}

/* ---- moments ------------------------------------------------------------------------------------ */

static const char *local_time(char *buf, size_t size, int64_t ns)
{
        const time_t at = (time_t)(ns / 1000000000);
        struct tm tm;

        if (!localtime_r(&at, &tm) || strftime(buf, size, "%Y-%m-%dT%H:%M:%S%z", &tm) == 0)
                snprintf(buf, size, "%" PRId64, ns);
        return buf;
}

static void say_moments(const struct cosmos_trainer_report *r)
{
        char at[48];

        if (r->n_moments > 0)
                cli_say("of the later calls, the least expected; are they normal life?");
        for (size_t i = 0; i < r->n_moments; i++) {
                const struct cosmos_trainer_moment *m = &r->moments[i];

                cli_say("  %s %s: %s after %s (%.1f nats); expected %s (p %.2f)",
                        local_time(at, sizeof(at), m->timestamp), *m->comm ? m->comm : "a process", m->syscall,
                        m->before, m->nll, m->expected, m->expected_p);
        }
}

/* ---- going on from a model ---------------------------------------------------------------------- */

static void say_spread(const struct train_arguments *a, const struct cosmos_trainer_report *r)
{
        const double spread = 100 * r->refused_spread;

        if (r->refused_spread >= DRIFT_SPREAD && r->refused_sequences >= DRIFT_SEQUENCES)
                cli_say(
                    "              they lie in %.0f%% of the time and many sequences: it looks like drift, a normal "
                    "that has changed. Who trusts these traces learns them with --learn-anomalous",
                    spread);
        else if (r->refused_spread >= DRIFT_SPREAD)
                cli_say("              they lie in %.0f%% of the time, but few sequences: something that lives long is "
                        "not what it was. Look at them before --learn-anomalous: cosmos-score --why %s TRACE",
                        spread, a->init);
        else
                cli_say("              they lie in %.0f%% of the time: it looks like an intrusion, or what happened "
                        "once. Look at them: cosmos-score --why %s TRACE",
                        spread, a->init);
}

static void say_sifted(const struct train_arguments *a, const struct cosmos_trainer_report *r)
{
        if (r->sifted == 0)
                return;
        cli_say("  anomalous   to it, %" PRIu64 " of %" PRIu64 " windows (%.2f%%); sequences: %" PRIu64, r->refused,
                r->sifted, percent(r->refused, r->sifted), r->refused_sequences);
        if (r->refused == 0)
                return;
        if (a->options.learn_anomalous)
                cli_say("              they were learnt all the same (--learn-anomalous)");
        else
                cli_say("              with the calls near to them they were left out: %" PRIu64 " calls",
                        r->refused_calls);
        say_spread(a, r);
}

static void say_trimmed(const struct cosmos_trainer_report *r)
{
        if (r->trimmed_calls > 0)
                cli_say("  trimmed     %" PRIu64
                        " more calls were not learnt: it expected them least, and whoever stays "
                        "below the threshold would be among them",
                        r->trimmed_calls);
}

static void say_continued(const struct train_arguments *a, const struct cosmos_trainer_report *r)
{
        cli_say("going on from %s", a->init);
        say_sifted(a, r);
        say_trimmed(r);
        cli_say("  new calls   %" PRIu64 " in the vocabulary", r->new_calls);
        cli_say("  perplexity  on later calls of these traces %.2f before, %.2f now", r->before, r->after);
        if (isnan(r->kept_before))
                cli_say("  kept        the model keeps no calls of what it has learnt: whether it has forgotten is not "
                        "known");
        else
                cli_say("  kept        perplexity on calls that the model keeps of what it has learnt %.2f before, "
                        "%.2f now",
                        r->kept_before, r->kept_after);
}

void train_report(const struct train_arguments *arguments, const cosmos_trainer *trainer)
{
        struct cosmos_trainer_report r = {.size = sizeof(r)};

        cosmos_trainer_get_report(trainer, &r);
        say_network(arguments, trainer, &r);
        say_threshold(arguments, &r);
        if (arguments->init)
                say_continued(arguments, &r);
        say_moments(&r);
}

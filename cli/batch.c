/* SPDX-License-Identifier: Apache-2.0 */
#include "batch.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A trace that is being scored, or waits for those before it to be written. */
struct slot {
        bool done;
        FILE *spool; /* its scores: a file without a name; NULL: standard output */
        struct trace_result result;
        int error;
        struct cosmos_diag diag;
};

struct batch {
        struct trace_options options;
        char *const *paths;
        size_t n;

        pthread_mutex_t lock; /* of all below */
        pthread_cond_t written_more;
        size_t begun, written; /* traces; written <= begun <= written + JOBS_MAX */
        atomic_int error;      /* of standard output: the first one; also read without the lock */
        struct slot slots[JOBS_MAX];
        struct batch_result *result;
};

/* ---- written: in the order of the traces ---------------------------------------------- */

/* Where the last line ends: what stands behind it was not written whole. */
static off_t whole_lines(FILE *spool)
{
        off_t at = lseek(fileno(spool), 0, SEEK_END);
        char c;

        while (at > 0 && pread(fileno(spool), &c, 1, at - 1) == 1 && c != '\n')
                at--;
        return at;
}

static int copy_all(FILE *from, int to)
{
        char bytes[65536];
        size_t n;

        rewind(from);
        while ((n = fread(bytes, 1, sizeof(bytes), from)) > 0)
                for (size_t at = 0; at < n;) {
                        ssize_t w = write(to, bytes + at, n - at);

                        if (w < 0 && errno != EINTR)
                                return -errno;
                        at += w > 0 ? (size_t)w : 0;
                }
        return ferror(from) ? -EIO : 0;
}

static void add_stats(struct cosmos_detector_stats *sum, const struct cosmos_detector_stats *s)
{
        sum->calls += s->calls;
        sum->unknown_calls += s->unknown_calls;
        sum->sequences += s->sequences;
        sum->losses += s->losses;
        sum->normal += s->normal;
        sum->anomalous += s->anomalous;
        sum->indeterminate += s->indeterminate;
        sum->anomalous_sequences += s->anomalous_sequences;
}

static void say_error(const char *name, const struct slot *s)
{
        if (strstr(s->diag.text, name))
                cli_fail(s->error, &s->diag);
        else /* the output's errors */
                cli_say("%s: %s", name, s->diag.text[0] ? s->diag.text : strerror(-s->error));
}

static void say_of(const struct batch *b, const char *path, const struct slot *s)
{
        const struct cosmos_detector_stats *d = &s->result.stats;
        const char *name = strcmp(path, "-") == 0 ? "standard input" : path;

        if (s->error < 0)
                say_error(name, s);
        if (b->n > 1 && d->anomalous)
                cli_say("%s: ANOMALOUS: %" PRIu64 " windows (in %" PRIu64 " sequences), the worst with %.3f", name,
                        d->anomalous, d->anomalous_sequences, s->result.worst.score);
        else if (b->n > 1 && !d->normal && s->error == 0)
                cli_say("%s: nothing could be scored", name);
}

static void add_range(struct range *sum, const struct range *r)
{
        if (r->any)
                *sum = (struct range){.any = true,
                                      .low = sum->any && sum->low < r->low ? sum->low : r->low,
                                      .high = sum->any && sum->high > r->high ? sum->high : r->high};
}

static void add_result(struct batch_result *sum, const char *path, const struct slot *s)
{
        const struct trace_result *r = &s->result;

        add_stats(&sum->stats, &r->stats);
        add_range(&sum->theta, &r->theta);
        if (s->error < 0)
                sum->failed++;
        else if (r->stats.anomalous)
                sum->anomalous++;
        else if (r->stats.normal)
                sum->normal++;
        else
                sum->unscored++;
        if (r->worst.any && (!sum->worst.any || r->worst.score > sum->worst.score)) {
                sum->worst = r->worst;
                sum->worst_trace = path;
        }
}

/* With the lock: write what is done, up to the first trace that is not. Others wait meanwhile, so
 * that a slow reader of our output slows the scoring. */
static void write_done(struct batch *b)
{
        while (b->written < b->begun && b->slots[b->written % JOBS_MAX].done) {
                struct slot *s = &b->slots[b->written % JOBS_MAX];
                const char *path = b->paths[b->written];

                if (s->spool) {
                        if (s->error < 0 && ftruncate(fileno(s->spool), whole_lines(s->spool)) < 0)
                                b->error = -errno;
                        if (b->error == 0)
                                b->error = copy_all(s->spool, STDOUT_FILENO);
                        fclose(s->spool);
                }
                say_of(b, path, s);
                add_result(b->result, path, s);
                b->written++;
        }
        pthread_cond_broadcast(&b->written_more);
}

/* ---- scored: by whichever thread is free ------------------------------------------------- */

/* With the lock: the next trace, when there is a slot for it. False: no more. */
static bool next_trace(struct batch *b, size_t *ret)
{
        while (b->error == 0 && b->begun < b->n && b->begun - b->written == JOBS_MAX)
                pthread_cond_wait(&b->written_more, &b->lock);
        if (b->error < 0 || b->begun == b->n || cli_stop_signals > 1)
                return false;
        *ret = b->begun++;
        b->slots[*ret % JOBS_MAX] = (struct slot){0};
        return true;
}

static void score_one(struct batch *b, const char *path, struct slot *s)
{
        if (b->n > 1) {
                s->spool = tmpfile();
                if (!s->spool) {
                        s->error = -errno;
                        snprintf(s->diag.text, sizeof(s->diag.text), "no temporary file for the scores: %s",
                                 strerror(-s->error));
                        return;
                }
        }
        s->error = score_trace(&b->options, path, b->n > 1 ? path : NULL, s->spool ? fileno(s->spool) : STDOUT_FILENO,
                               &s->result, &s->diag);
}

static void *work(void *userdata)
{
        struct batch *b = userdata;
        size_t i;

        pthread_mutex_lock(&b->lock);
        while (next_trace(b, &i)) {
                struct slot *s = &b->slots[i % JOBS_MAX];

                pthread_mutex_unlock(&b->lock);
                score_one(b, b->paths[i], s);
                pthread_mutex_lock(&b->lock);
                s->done = true;
                write_done(b);
        }
        pthread_mutex_unlock(&b->lock);
        return NULL;
}

int score_traces(const struct trace_options *options, char *const *paths, size_t n, size_t jobs,
                 struct batch_result *ret, struct cosmos_diag *reterr)
{
        struct batch *b = calloc(1, sizeof(*b));
        pthread_t threads[JOBS_MAX];
        size_t started = 0;
        int r;

        *ret = (struct batch_result){.stats.size = sizeof(ret->stats)};
        if (!b)
                return -ENOMEM;
        b->options = *options;
        b->options.output_error = &b->error;
        b->paths = paths;
        b->n = n;
        b->result = ret;
        pthread_mutex_init(&b->lock, NULL);
        pthread_cond_init(&b->written_more, NULL);
        while (started + 1 < jobs && pthread_create(&threads[started], NULL, work, b) == 0)
                started++;
        work(b); /* this thread is one of them, and enough where no other can be had */
        while (started > 0)
                pthread_join(threads[--started], NULL);
        r = b->error;
        ret->stopped = n - b->written;
        if (r < 0)
                snprintf(reterr->text, sizeof(reterr->text), "cannot write the scores: %s", strerror(-r));
        pthread_cond_destroy(&b->written_more);
        pthread_mutex_destroy(&b->lock);
        free(b);
        return r;
}

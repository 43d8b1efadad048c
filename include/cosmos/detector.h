/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Detector: events in, scores out. The only object that knows all the stages;
 * it wires them and adds no policy of its own.
 *
 * A score is given at each hop of a sequence's window, as soon as the sequence
 * has `window` calls, and at the end of a sequence for the calls since the last
 * score (over the last `window` calls, or all of a shorter sequence). Where a
 * loss ended the sequence the verdict is indeterminate.
 *
 * Thread safety: one thread at a time for each detector.
 */
#ifndef COSMOS_DETECTOR_H
#define COSMOS_DETECTOR_H

#include <cosmos/collector.h>
#include <cosmos/container.h>
#include <cosmos/error.h>
#include <cosmos/model.h>
#include <cosmos/sequence.h>
#include <cosmos/sink.h>
#include <cosmos/threshold.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cosmos_detector cosmos_detector;

#define COSMOS_WHY_MAX 16

struct cosmos_detector_options {
        size_t size; /* sizeof(struct cosmos_detector_options) */
        /* NULL: that of the model; then a model without one is -EINVAL. Borrowed. A sequence is judged by that of its
         * container's image. One that adapts is told of each score that it has judged, in their order: then it
         * must be this detector's alone. */
        cosmos_threshold *threshold;
        uint32_t why;           /* surprising calls to keep for each score, 0 .. COSMOS_WHY_MAX */
        uint32_t max_sequences; /* as in the sequencer's options */
        uint64_t idle_ns;       /* as in the sequencer's options */
};

/* Scores go to `sink`, which is borrowed. Takes a reference of the model.
 * `options` may be NULL. */
int cosmos_detector_new(cosmos_detector **ret, cosmos_model *model, cosmos_sink *sink,
                        const struct cosmos_detector_options *options, struct cosmos_diag *reterr);

/* Take one event in and write the scores that follow from it. NULL: the end of
 * the trace. An event that the model does not fit is -COSMOS_EMISMATCH. */
int cosmos_detector_feed(cosmos_detector *detector, const struct cosmos_event *event, struct cosmos_diag *reterr);

/*
 * Pull what `collector` has now through `resolver` and the detector, some ten
 * thousand events at most, then flush the sink. Much faster than feed(), with the same
 * scores to the bit: calls of many sequences are stepped together. Returns 0: nothing
 * more for now, wait on the collector's fd for up to a second and call again; 1: there
 * is more, call again; 2: the end, all sequences are scored; negative: an error.
 */
int cosmos_detector_run(cosmos_detector *detector, cosmos_collector *collector, cosmos_resolver *resolver,
                        struct cosmos_diag *reterr);

struct cosmos_detector_stats {
        size_t size; /* sizeof(struct cosmos_detector_stats) */
        uint64_t calls;
        uint64_t unknown_calls;                    /* whose name is not in the model's vocabulary */
        uint64_t sequences;                        /* that have been opened */
        uint64_t open;                             /* that are open now */
        uint64_t losses;                           /* loss events */
        uint64_t normal, anomalous, indeterminate; /* verdicts */
        uint64_t anomalous_sequences;              /* with one anomalous window or more */
};
void cosmos_detector_get_stats(const cosmos_detector *detector, struct cosmos_detector_stats *ret);

cosmos_detector *cosmos_detector_free(cosmos_detector *detector);

#ifdef __cplusplus
}
#endif
#endif

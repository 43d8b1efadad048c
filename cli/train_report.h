/* SPDX-License-Identifier: Apache-2.0 */
/* What came of a training, for people, on standard error. */
#ifndef COSMOS_CLI_TRAIN_REPORT_H
#define COSMOS_CLI_TRAIN_REPORT_H

#include "train_arguments.h"

/* The corpus has been read; `extended`: with a model's vocabulary. */
void train_report_corpus(const cosmos_corpus *corpus, bool extended);

/* Of a trainer that is done. */
void train_report(const struct train_arguments *arguments, const cosmos_trainer *trainer);

#endif

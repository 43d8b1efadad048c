/* SPDX-License-Identifier: Apache-2.0 */
/* The training itself: how far it is, its checkpoints, and its end by a signal. */
#ifndef COSMOS_CLI_TRAIN_LOOP_H
#define COSMOS_CLI_TRAIN_LOOP_H

#include "train_arguments.h"

#define EXIT_INTERRUPTED 130 /* as of a program that SIGINT has ended */

/* From the checkpoint on, if there is one. EXIT_OK or EXIT_ERROR. */
int train_resume(const struct train_arguments *arguments, cosmos_trainer *trainer);

/* To the end. More stop signals than `signals` end it before. EXIT_OK: there is a model to save; EXIT_ERROR;
 * EXIT_INTERRUPTED. */
int train_loop(const struct train_arguments *arguments, cosmos_trainer *trainer, int signals);

#endif

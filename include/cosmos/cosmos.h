/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcosmos: learns the language of system calls that a container speaks when
 * it is healthy, and says, live, when it stops speaking it.
 *
 *   kernel -> collector -> container -> sequence -> predictor -> threshold -> sink
 *             '------------------------ detector -------------------------------'
 *
 * Headers in the order of that flow; each can be included on its own.
 */
#ifndef COSMOS_COSMOS_H
#define COSMOS_COSMOS_H

#include <cosmos/version.h>
#include <cosmos/error.h>
#include <cosmos/log.h>
#include <cosmos/event.h>
#include <cosmos/collector.h>
#include <cosmos/container.h>
#include <cosmos/sequence.h>
#include <cosmos/model.h>
#include <cosmos/predictor.h>
#include <cosmos/threshold.h>
#include <cosmos/sink.h>
#include <cosmos/detector.h>
#include <cosmos/trainer.h>

#endif

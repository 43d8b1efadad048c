# SPDX-License-Identifier: Apache-2.0
"""libcosmos in Python: read traces, make tokens, train, load models, score.

    corpus = cosmos.read_corpus("trace.jsonl")       tokens of every sequence, for training
    for event in cosmos.read_trace("trace.jsonl"):   the events, as dicts
    trainer = cosmos.Trainer(corpus)                 trainer.run(), then trainer.save("model.bin")
    model = cosmos.Model("model.bin")                a trained model
    model.nll(tokens), model.log_probs(tokens)       what it thinks of each call
    for line in cosmos.score(model, "trace.jsonl"):  scored windows with their verdicts
    cosmos.fit_threshold(scores, 0.999)              a threshold from benign scores
    cosmos.Threshold.of_model(model).adaptive()      one that follows the scores
    cosmos.write_card("model.bin", "model.md")       what a model file says of itself, to read

Numbers are computed by the C library and are the same bits as the command-line
tools give. What the library has to say goes to the logger "cosmos".
"""

from ._library import version
from .collector import read_trace
from .detector import score
from .errors import (
    CosmosError,
    EmptyError,
    FormatError,
    InvalidError,
    MismatchError,
    OwnerError,
    UnavailableError,
    VersionError,
)
from .model import Model, isas, write_card
from .sequence import TOKEN_FIELDS, Corpus, Scheme, Vocab, read_corpus
from .threshold import Fit, Threshold, fit_quantile, fit_threshold
from .trainer import Trainer

__version__ = version()

__all__ = [
    "TOKEN_FIELDS",
    "Corpus",
    "CosmosError",
    "EmptyError",
    "Fit",
    "FormatError",
    "InvalidError",
    "MismatchError",
    "Model",
    "OwnerError",
    "Scheme",
    "Threshold",
    "Trainer",
    "UnavailableError",
    "VersionError",
    "Vocab",
    "fit_quantile",
    "fit_threshold",
    "isas",
    "read_corpus",
    "read_trace",
    "score",
    "version",
    "write_card",
]

"""The format of a recorded run, versions 1 and 2.

The root group MUST have the attributes `schema` = ``landscape/trajectory``, `version` and
`complete` (1 once the recording was closed, 0 before). Where a type below is float32, it MAY be
float64, for models in double precision; the version is 2 then, and else 1. It MUST hold

    n_committed    int64 (2,)        how many states and how many updates are valid
    parameters     float32 (S, P)    row s: the flat parameter vector of state s;
                   or float16 (S, P) its difference from `origin`
    step           int64 (S,)        the optimizer step after which state s was taken; 0 = before
                                     the first step; strictly increasing
    layout         text              JSON: name, shape, offset, kind of every tensor in a row

and MAY hold

    origin         float32 (P,)      with float16 rows: what they are differences from
    buffers        float32 (S, B)    floating-point buffers (running statistics) of state s
    buffers_layout text              JSON, like `layout`
    beside         float32 (S, A)    tensors of state s that move beside the model's parameters
    beside_layout  text              JSON, like `layout`
    frozen         float32 (F,)      the parameters that were not trained, the same at every state
    frozen_layout  text              JSON, like `layout`
    evaluation     float32 (S, P)    the parameters that would be evaluated at state s, where they
                                     differ from the stepped ones (averages, slow weights)
    random_state   uint8 (S, R)      random generators at state s, see `recording.random_state`;
                                     zeros where they are not known
    second_moment  float32 (S, P)    what the optimizer held at state s as running mean of squared
                                     gradients; NaN where it held none
    scalars        float64 (U, C)    row u: numbers about update u + 1, for example the mini-batch
                                     loss before that update, or the learning rate; NaN where
                                     one was not given; ``outside`` is 1 where no optimizer step
                                     led to the state; ``optimizer_step``: how many updates its
                                     second moments have seen after this one
    scalar_names   bytes (C,)        what the columns of `scalars` are called, UTF-8; columns with
                                     an empty name are to be ignored
    layers/NAME    float64 (U, T)    the same for each of the T tensors of `layout`
    sketch         float32 (U, k)    row u: random projection of θ_{u+1} - θ_0; the root attribute
                                     `sketch` = (k, seed) fixes it, see `recording.sketch`
    gradient_histogram               float32 (U, 64), row u: how many entries g of the gradient of
                                     update u + 1 have |g| < 2^-47 (bin 0), 2^(b-48) ≤ |g| <
                                     2^(b-47) (bin b), 2^15 ≤ |g| or not finite (bin 63); NaN
                                     where they were not counted
    run            text              JSON: how the run was made (task, optimizer, seed, ...)
    provenance     text              JSON: versions, command, time

Readers MUST ignore rows at and beyond `n_committed`; data sets may be longer. Writers append rows,
flush, raise `n_committed`, and flush again, so that a killed process leaves a readable file
without torn rows; one that resumes first lowers `n_committed` to what it keeps. A closed file is
changed only when its run is resumed. `parameters` is chunked (1, ceil(P / ceil(P / 65536))) and
not compressed.
"""

from __future__ import annotations

SCHEMA = "landscape/trajectory"
VERSION = 2  # the latest that is known
HISTOGRAM_BINS, HISTOGRAM_LOWEST = 64, -47  # of `gradient_histogram`; bin 1 begins at 2^-47

"""Provenance: what is named, and fingerprints that tell arrays apart."""

from __future__ import annotations

import json

import numpy as np

from landscape.provenance import fingerprint, provenance


def test_names_versions_command_and_time():
    found = provenance(seed=3)
    assert found["seed"] == 3
    assert found["versions"]["numpy"] == np.__version__
    assert {"time", "command", "python", "platform"} <= set(found)
    assert json.loads(json.dumps(found)) == found


def test_fingerprint_sees_values_types_and_shapes():
    ones = np.ones(4, np.float32)
    others = [np.zeros(4, np.float32), ones.astype(np.float64), ones.reshape(2, 2), ones[:3]]
    marks = {fingerprint(a) for a in [ones, *others]}
    assert len(marks) == 5
    assert fingerprint(np.arange(9).reshape(3, 3).T) == fingerprint(
        np.ascontiguousarray(np.arange(9).reshape(3, 3).T)
    )

"""What MongoDB gives of a finding is what was found."""

from __future__ import annotations

import bson
import msgspec
from msgspec import structs

from tapedeck.checks import findings
from tapedeck.checks.findings import Finding


def test_numbers_of_any_size_in_the_evidence_can_be_told_as_json_again() -> None:
    evidence = {"first": 2**40, "next": 5, "spans": [{"first": 2**40 + 1}], "why": "no source ever saw it"}
    found = Finding(
        id="a" * 16, check="sequence", reason="upstream", vendor="v", symbol="S", kind="trade",
        start=1, end=2, at=2, messages=1, evidence=evidence,
    )  # fmt: skip
    document = bson.decode(bson.encode({**structs.asdict(found), "_id": found.id}))
    assert msgspec.json.encode(findings._decode(document).to_json()["evidence"]) == msgspec.json.encode(
        evidence
    )

"""A replay that nobody approves in time; it has waited while the tests before this one were at work."""

from __future__ import annotations

import pytest

from tapedeck.log import client
from tests.dags import runs
from tests.servers import AirflowStack


@pytest.mark.timeout(900)
def test_unanswered_a_run_is_red_and_has_written_nothing(airflow_stack: AirflowStack) -> None:
    if not runs.UNANSWERED:
        pytest.skip("tests/dags/test_approval.py starts it")
    for run, to in runs.UNANSWERED.items():
        done = runs.wait(airflow_stack.api, "replay", run, 600)
        assert done.state == "failed"
        assert any("nobody has approved it within" in told for told in done.errors("approval"))
        assert done.states("copy") == {"-1": "upstream_failed"}
        topic = to.removeprefix("kafka:")
        assert topic not in client.admin(airflow_stack.settings).list_topics(timeout=10).topics

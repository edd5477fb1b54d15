"""Our own forms: a DAG's, filled in by the address that led to them, which start it as who is logged in.

Airflow 3.3 has no link that opens its form filled in. The fields are the DAG's own (`params`), the answer
to a press of the button is Airflow's, and so is the decision who may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from tapedeck.airflow import params
from tapedeck.airflow.params import Form

FORMS: dict[str, Callable[[], Form]] = {
    "replay": params.replay_form,
    "nightly_backfill": params.backfill_form,
    "reconcile": params.reconcile_form,
    "void": params.void_form,
}
"""By DAG."""
_HEADS = {
    "replay": ("Replay a slice", "Plays a vendor's messages of a slice of time to a target."),
    "nightly_backfill": (
        "Rebuild a slice",
        "Rebuilds a slice's windows from the log; writes those that differ.",
    ),
    "reconcile": (
        "Reconcile a slice",
        "Holds the log against Arctic, and mends the windows that differ from the log.",
    ),
    "void": (
        "Void a slice",
        "Says that what a source sent in a slice is no data; the log keeps it, windows are built without it.",
    ),
}
_PICKED = ("start", "end")
"""Airflow's pickers: in place of them stand the exact times, which are in UTC whatever the browser's zone."""


def form(dag: str, given: Mapping[str, Sequence[str]], user: str) -> tuple[str, str]:
    """Title and body of the form of a DAG, filled in with `given`."""
    title, what = _HEADS[dag]
    times = {f"{name}_exact": given.get(f"{name}_exact") or given.get(name, ()) for name in _PICKED}
    fields = "".join(_fields(FORMS[dag](), {**given, **times}))
    body = (
        f"<p>{escape(what)} The run is started as <b>{escape(user)}</b>.</p>"
        f'<form id=run data-dag="{escape(dag)}" novalidate>{fields}'
        "<p><button type=submit disabled>Start</button></p><p id=answer role=status></p></form>"
        '<script src="../static/form.js"></script>'
    )
    return title, body


def _fields(form: Form, given: Mapping[str, Sequence[str]]) -> Iterator[str]:
    first = ["vendor", "vendors", "start_exact", "end_exact"]
    names = [name for name in first if name in form] + [name for name in form if name not in first]
    for name in names:
        if name not in _PICKED:
            one = form[name].serialize()
            yield _field(name, one["schema"], one["description"] or "", form[name].value, given.get(name, ()))


def _field(name: str, schema: Mapping[str, Any], description: str, default: Any, given: Sequence[str]) -> str:
    """One labelled field; its `data-type` says what the script makes of what is in it."""
    type_ = _type(schema)
    listed = list(given) or (default if isinstance(default, list) else [])
    value = str(given[0]) if given else "" if default is None or isinstance(default, list) else str(default)
    about = f'id="{name}" name="{name}" data-type="{type_}"'
    if type_ == "boolean":
        control = (
            f"<input {about} type=checkbox{' checked' if value.lower() in ('true', '1', 'yes') else ''}>"
        )
    elif "enum" in schema:
        control = f"<select {about} required>{_options(['', *schema['enum']], [value])}</select>"
    elif type_ == "array" and schema.get("examples"):
        names = schema["examples"]
        control = f"<select {about} multiple size={len(names)}>{_options(names, listed)}</select>"
    elif type_ == "array":
        control = f"<textarea {about} rows=3>{escape(chr(10).join(map(str, listed)))}</textarea>"
    else:
        must = " required" if schema.get("type") == "string" else ""
        control = f'<input {about} value="{escape(value)}" autocomplete=off{must}>'
    title = escape(str(schema.get("title", name))).removeprefix("Exact ")
    label = f'<label for="{name}">{title[:1].upper()}{title[1:]}</label>'
    return f"<p>{label}{control}<small>{escape(_said(name, description))}</small></p>"


def _options(names: Sequence[str], chosen: Sequence[str]) -> str:
    return "".join(
        f'<option value="{escape(one)}"{" selected" if one in chosen else ""}>{escape(one)}</option>'
        for one in names
    )


def _type(schema: Mapping[str, Any]) -> str:
    types = schema.get("type", "string")
    return next(one for one in ([types] if isinstance(types, str) else types) if one != "null")


def _said(name: str, description: str) -> str:
    if not name.endswith("_exact"):
        return description
    which = "The first instant" if name.startswith("start") else "The instant after the last"
    return f"{which}, for example 2024-08-08T23:54:16Z or 2024-08-08T23:54:16.123456789Z"

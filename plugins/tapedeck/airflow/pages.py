"""Pages inside Airflow: receipts, plans, quality reports for whoever may open its plugins, and our forms.

The library is imported inside the handlers: what a plugin imports at its top is frozen into workers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from html import escape
from pathlib import Path
from urllib.parse import quote

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag, requires_access_view
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles

from tapedeck.airflow import form
from tapedeck.errors import BadInput, TapedeckError

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'self'"
)
_STYLE = """
:root { color-scheme: light dark; font: 14px/1.5 system-ui, sans-serif }
body { margin: 1.5rem }
table { border-collapse: collapse }
th, td { text-align: left; vertical-align: top; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid #8884 }
td { font-variant-numeric: tabular-nums }
time { white-space: nowrap }
pre { overflow-x: auto }
form { max-width: 44rem }
label { display: block; font-weight: 600 }
input:not([type=checkbox]), select, textarea { width: 100%; padding: .3rem }
input, select, textarea { box-sizing: border-box; font: inherit }
small { display: block; opacity: .75 }
button { font: inherit; padding: .4rem 1.6rem }
.wrong { color: #c0392b; font-weight: 600 }
"""

app = FastAPI(docs_url=None, openapi_url=None)
app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))
_open_to = [Depends(requires_access_view(AccessView.PLUGINS))]


@app.get("/", dependencies=_open_to, response_class=HTMLResponse)
def receipts() -> str:
    """The newest receipts, newest first."""
    from tapedeck.airflow import connections
    from tapedeck.jobs import receipts

    found = receipts.recent(connections.load(), limit=100)
    rows = [
        (f'<a href="receipt/{r.id}">{r.id}</a>', f"<time>{r.ended[:19]}Z</time>", escape(r.line))
        for r in found
    ]
    listed = _table(("receipt", "ended", "what it proves"), rows) if rows else _NOTHING
    return _page("Receipts", f'<p><a href="findings">What is wrong with the data now</a></p>{listed}')


@app.get("/findings", dependencies=_open_to, response_class=HTMLResponse)
def findings() -> str:
    """What checks found and nobody has mended or accepted, newest first, with the forms that mend it."""
    from tapedeck.airflow import connections
    from tapedeck.checks import findings, repairs
    from tapedeck.slices import format_time

    settings = connections.load()
    found = [one for state in ("open", "repairing") for one in findings.listed(settings, "", state)]
    found.sort(key=lambda one: one.start, reverse=True)
    rows = []
    for one in found[:200]:
        mend = repairs.repair_of(one)
        where = f"{one.vendor} {one.symbol} {one.kind} [{format_time(one.start)}, {format_time(one.end)})"
        said = (one.id, f"{one.severity}: {one.reason}", where, f"{one.messages:,}", one.evidence["why"])
        link = f'<a href="{escape(mend.page)}">repair</a>' if mend else ""
        rows.append((*map(escape, said), link))
    head = ("finding", "reason", "where", "messages", "why", "")
    more = f"<p>{len(found):,} in all.</p>" if len(found) > len(rows) else ""
    table = _table(head, rows) if rows else "<p>The checks know of nothing that is wrong now.</p>"
    return _page("What is wrong with the data now", f'<p><a href="./">Receipts</a></p>{table}{more}')


@app.get("/receipt/{identity}", dependencies=_open_to, response_class=HTMLResponse)
def receipt(identity: str) -> str:
    """One receipt whole, with its plan."""
    from msgspec import convert, to_builtins

    from tapedeck.airflow import connections
    from tapedeck.checks import repairs
    from tapedeck.jobs import receipts
    from tapedeck.log.plan import Plan

    one = receipts.find(connections.load(), identity)
    fields = {name: value for name, value in to_builtins(one).items() if name != "ranges"}
    rows = [(escape(name), escape(_spelled(value))) for name, value in fields.items()]
    plan = convert(one.ranges, Plan).table() if one.ranges else "nothing was recorded yet: no plan"
    once_more = repairs.again(one)
    form = f' · <a href="../{escape(once_more.page)}">Do it again</a>' if once_more else ""
    links = f'<p><a href="../">All receipts</a>{form}</p>'
    whole = f"{links}{_table((), rows)}<h2>Plan</h2><pre>{escape(plan)}</pre>"
    return _page(f"Receipt {one.id}", whole)


@app.get("/of/{dag}/{run:path}", dependencies=_open_to, response_class=HTMLResponse)
def left_by(dag: str, run: str) -> str:
    """What a run has left: its receipts and its reports."""
    from tapedeck.airflow import connections
    from tapedeck.jobs import receipts
    from tapedeck.reports import home

    settings = connections.load()
    rows = [
        (f'<a href="{_up(run)}receipt/{r.id}">receipt {r.id}</a>', escape(r.line))
        for r in receipts.recent(settings, limit=1000)
        if r.run == run
    ]
    rows += [
        (
            f'<a href="{_up(run)}reports/{e["vendor"]}/{e["day"]}.html">{e["verdict"]} '
            f"{escape(e['vendor'])} {e['day']}</a>", escape(e["sentence"]),
        )
        for e in home.entries(home.home(settings))
        if run in e.get("runs", [e["run"]])
    ]  # fmt: skip
    return _page("Left on the tape", _table((), rows) if rows else "<p>This run has left nothing yet.</p>")


@app.get("/plan/{digest}", dependencies=_open_to, response_class=HTMLResponse)
def plan(digest: str) -> str:
    """A stored plan, as a person was shown it."""
    from tapedeck.airflow import connections
    from tapedeck.jobs import plans

    lines = plans.readable(connections.load(), digest)
    return _page(f"Plan {digest}", f"<pre>{escape(chr(10).join(lines))}</pre>")


def _form(dag: str) -> None:
    @app.get(f"/run/{dag}", dependencies=[Depends(requires_access_dag("POST", DagAccessEntity.RUN, dag))])
    def run(request: Request, user: GetUserDep) -> HTMLResponse:
        """The DAG's form, filled in as the address says."""
        given = {name: request.query_params.getlist(name) for name in request.query_params}
        return HTMLResponse(_page(*form.form(dag, given, user.get_name())))


for _dag in form.FORMS:
    _form(_dag)


@app.get("/reports/{path:path}", dependencies=_open_to)
def report(path: str) -> Response:
    """A page of the quality reports, or its JSON."""
    from tapedeck.airflow import connections
    from tapedeck.reports import home, render

    settings = connections.load()
    if path in ("", "index.html") and not home.entries(home.home(settings)):
        return HTMLResponse(_page("Tape reports", "<p>There is no report yet: run quality_report.</p>"))
    found = home.page(settings, path or "index.html")
    if path.endswith(".json"):
        return Response(found, media_type="application/json")
    return Response(render.with_repairs(found, path), media_type="text/html; charset=utf-8")


@app.exception_handler(HTTPException)
async def to_login(request: Request, error: HTTPException) -> Response:
    """A person who is not logged in is sent to the login and back; one who may not is told so."""
    if error.status_code == 401 and "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(f"/api/v2/auth/login?next={quote(str(request.url), safe='')}", 307)
    if error.status_code == 403 and "text/html" in request.headers.get("accept", ""):
        return HTMLResponse(_page("Not for you", f"<p>{_MAY_NOT}</p>"), 403)
    return JSONResponse({"detail": error.detail}, error.status_code)


@app.exception_handler(TapedeckError)
async def in_one_sentence(request: Request, error: TapedeckError) -> Response:
    """What tapedeck fails with, as the page."""
    page = _page("No such page" if isinstance(error, BadInput) else "Not now", f"<p>{escape(str(error))}</p>")
    return HTMLResponse(page, 404 if isinstance(error, BadInput) else 503)


@app.middleware("http")
async def guarded(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
    """No scripts but ours, nothing from elsewhere, no frames but Airflow's."""
    response = await go_on(request)
    response.headers["Content-Security-Policy"] = _POLICY
    return response


_MAY_NOT = (
    "You are logged in, but may not start runs: your role only reads. Ask someone who may "
    "(Airflow's roles user, op and admin), or send them this page's address: it carries the whole form."
)
_NOTHING = "<p>No job has finished yet.</p>"


def _page(title: str, body: str) -> str:
    name = escape(title)
    head = f"<meta charset=utf-8><title>{name}</title><style>{_STYLE}</style>"
    return f"<!doctype html><html lang=en>{head}<h1>{name}</h1>{body}</html>"


def _up(run: str) -> str:
    """From the page of a run to the root of ours."""
    return "../" * (2 + run.count("/"))


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Cells are HTML already."""
    top = "".join(f"<th>{name}</th>" for name in head)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{lines}</table>"


def _spelled(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_spelled(part)}" for name, part in value.items())
    if isinstance(value, list):
        return "; ".join(map(str, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)

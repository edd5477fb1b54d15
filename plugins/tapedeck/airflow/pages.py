"""Pages of receipts and of quality reports inside Airflow, for whoever may open its plugins.

The library is imported inside the handlers: what a plugin imports at its top is frozen into workers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from html import escape
from urllib.parse import quote

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import requires_access_view
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from tapedeck.errors import BadInput, TapedeckError

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"
_STYLE = """
:root { color-scheme: light dark; font: 14px/1.5 system-ui, sans-serif }
body { margin: 1.5rem }
table { border-collapse: collapse }
th, td { text-align: left; vertical-align: top; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid #8884 }
td { font-variant-numeric: tabular-nums }
pre { overflow-x: auto }
"""

app = FastAPI(docs_url=None, openapi_url=None)
_open_to = [Depends(requires_access_view(AccessView.PLUGINS))]


@app.get("/", dependencies=_open_to, response_class=HTMLResponse)
def receipts() -> str:
    """The newest receipts, newest first."""
    from tapedeck.airflow import connections
    from tapedeck.jobs import receipts

    found = receipts.recent(connections.load(), limit=100)
    rows = [
        (f'<a href="receipt/{r.id}">{r.id}</a>', *map(escape, (r.ended[:19] + "Z", r.line))) for r in found
    ]
    return _page("Receipts", _table(("receipt", "ended", "what it proves"), rows) if rows else _NOTHING)


@app.get("/receipt/{identity}", dependencies=_open_to, response_class=HTMLResponse)
def receipt(identity: str) -> str:
    """One receipt whole, with its plan."""
    from msgspec import convert, to_builtins

    from tapedeck.airflow import connections
    from tapedeck.jobs import receipts
    from tapedeck.log.plan import Plan

    one = receipts.find(connections.load(), identity)
    fields = {name: value for name, value in to_builtins(one).items() if name != "ranges"}
    rows = [(escape(name), escape(_spelled(value))) for name, value in fields.items()]
    plan = convert(one.ranges, Plan).table() if one.ranges else "nothing was recorded yet: no plan"
    whole = f'<p><a href="../">All receipts</a></p>{_table((), rows)}<h2>Plan</h2><pre>{escape(plan)}</pre>'
    return _page(f"Receipt {one.id}", whole)


@app.get("/reports/{path:path}", dependencies=_open_to)
def report(path: str) -> Response:
    """A page of the quality reports, or its JSON."""
    from tapedeck.airflow import connections
    from tapedeck.reports import home

    settings = connections.load()
    if path in ("", "index.html") and not home.entries(home.home(settings)):
        return HTMLResponse(_page("Tape reports", "<p>There is no report yet: run quality_report.</p>"))
    found = home.page(settings, path or "index.html")
    kind = "application/json" if path.endswith(".json") else "text/html; charset=utf-8"
    return Response(found, media_type=kind)


@app.exception_handler(HTTPException)
async def to_login(request: Request, error: HTTPException) -> Response:
    """A person who is not logged in is sent to the login and back."""
    if error.status_code == 401 and "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(f"/api/v2/auth/login?next={quote(str(request.url), safe='')}", 307)
    return JSONResponse({"detail": error.detail}, error.status_code)


@app.exception_handler(TapedeckError)
async def in_one_sentence(request: Request, error: TapedeckError) -> Response:
    """What tapedeck fails with, as the page."""
    page = _page("No such page" if isinstance(error, BadInput) else "Not now", f"<p>{escape(str(error))}</p>")
    return HTMLResponse(page, 404 if isinstance(error, BadInput) else 503)


@app.middleware("http")
async def guarded(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
    """No scripts, nothing from elsewhere, no frames but Airflow's."""
    response = await go_on(request)
    response.headers["Content-Security-Policy"] = _POLICY
    return response


_NOTHING = "<p>No job has finished yet.</p>"


def _page(title: str, body: str) -> str:
    name = escape(title)
    head = f"<meta charset=utf-8><title>{name}</title><style>{_STYLE}</style>"
    return f"<!doctype html><html lang=en>{head}<h1>{name}</h1>{body}</html>"


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

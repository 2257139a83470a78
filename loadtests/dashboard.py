"""A tab beside Locust's own: the replay as the plan sees it. Closes what could point the run at another host.

The page and its scripts stand in web/; the figures are those of board.py.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, jsonify, make_response, render_template, request
from locust.web import WebUI

KEY = "replay"
_WEB = Path(__file__).parent / "web"
# What the start form and "edit" may say: the pool's size and how fast it comes up. Everything else was checked before.
_OPEN_FIELDS = ("user_count", "spawn_rate", "run_time")

# The figures of the replay that runs or ran last.
Look = Callable[[], dict[str, Any] | None]


def install(web_ui: WebUI, host: str, look: Look) -> None:
    """Add the tab and close the controls; to be called before the web UI answers its first request."""
    blueprint = Blueprint("caodiem", __name__, static_folder=str(_WEB), static_url_path=f"/{KEY}/static")
    guarded = web_ui.auth_required_if_enabled

    @blueprint.route(f"/{KEY}")
    @guarded
    def page() -> Response:
        return make_response((_WEB / "page.html").read_text())

    @blueprint.route(f"/{KEY}/figures")
    @guarded
    def figures() -> Response:
        return jsonify(look() or {"waiting": True})

    web_ui.app.register_blueprint(blueprint)
    _close_controls(web_ui, host)
    _add_tab(web_ui)


def _add_tab(web_ui: WebUI) -> None:
    """Locust's tabs hold tables; the tab's script puts our page where the table would be."""

    def index() -> str:
        web_ui.update_template_args()
        args = {**web_ui.template_args, "extended_tabs": [{"title": "Replay", "key": KEY}]}
        html = render_template("index.html", template_args=args)
        return html.replace("</body>", f'<script src="./{KEY}/static/tab.js"></script></body>')

    web_ui.app.view_functions["locust.index"] = web_ui.auth_required_if_enabled(index)


def _close_controls(web_ui: WebUI, host: str) -> None:
    """A start that names another host, or changes an option that was checked, is refused before Locust hears of it."""
    start = web_ui.app.view_functions["locust.swarm"]
    checked = {**vars(web_ui.environment.parsed_options or object()), "host": host}

    def swarm() -> Any:
        for name, value in request.form.items():
            if value and name not in _OPEN_FIELDS and value != str(checked.get(name)):
                said = f"{name} = {value!r}: closed; this run was checked for {host}. Start locust anew for another"
                # The form shows what is said only where the status is that of a success.
                return jsonify({"success": False, "message": said, "host": host})
        return start()

    def update_user() -> Response:
        return make_response(jsonify({"message": "closed: a replay's steps stand in its plan"}), 403)

    web_ui.app.view_functions["locust.swarm"] = swarm
    web_ui.app.view_functions["locust.update_user"] = update_user

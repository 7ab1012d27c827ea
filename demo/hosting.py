"""How the page is served: limits, refusals, and nothing that a visitor of a face app would not want."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import gradio
from gradio import processing_utils
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from demo import theme
from demo.runner import LONGEST_LINE

REFUSED = (  # what comes with Gradio and is not for visitors: unqueued ffmpeg, code editing, statistics, other servers
    "process_recording", "vibe-", "/monitoring", "/profiling", "/runs", "run-history", "deep_link", "dev/reload",
    "proxy=", "custom_component", "component_server", "openapi.json",
)  # fmt: skip
LARGEST_UPLOAD = "200mb"
LONGEST_QUEUE = LONGEST_LINE
MOST_SESSIONS = 128  # of visitors that Gradio keeps, .65 MB each; of one that was away longest, no choices are left
HANDLERS = 2 * LONGEST_QUEUE  # of one kind at once: whoever comes too late hears the runner's sentence
UPLOADED = "/gradio_api/file="
EXAMPLES = Path(__file__).parents[1] / "assets"


class BlockRoutes:
    """Answers 404 on routes that come with Gradio and that this page does not need."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on unless its path is refused. A file may have any name."""
        route = scope.get("path", "").partition("/file=")[0]
        if scope["type"] == "http" and any(word in route for word in REFUSED):
            await PlainTextResponse("Not found", 404)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


@dataclass(frozen=True)
class Place:
    """Where the page listens and who may come in: `auth` is name:password, `root_path` where a proxy shows the page.

    `label` is what is said about the label of videos (see runner.LABELS), `certificate` a PEM file to sign them with.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    root_path: str | None = None
    auth: str | None = None
    mcp: bool = False
    label: str = "on"
    certificate: Path | None = None

    @property
    def people(self) -> list[tuple[str, str]] | None:
        """Who may come in; None: everybody."""
        return [tuple(pair.split(":", 1)) for pair in self.auth.split(",")] if self.auth else None


def serve(blocks: gradio.Blocks, work: Path, place: Place) -> str:
    """Listen in the background; returns the address. Of files, only uploads, the examples and `work` are served."""
    _refuse_addresses()
    blocks.queue(max_size=LONGEST_QUEUE)
    _, address, _ = blocks.launch(
        server_name=place.host,
        server_port=place.port,
        root_path=place.root_path,
        auth=place.people,
        mcp_server=place.mcp,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        show_error=False,
        max_threads=3 * HANDLERS,
        max_file_size=LARGEST_UPLOAD,
        state_session_capacity=MOST_SESSIONS,
        run_history=False,
        enable_monitoring=False,
        footer_links=[],
        pwa=False,
        ssr_mode=False,
        strict_cors=True,
        allowed_paths=[str(work), str(EXAMPLES)],
        app_kwargs={"middleware": [Middleware(BlockRoutes)], "docs_url": None, "redoc_url": None, "openapi_url": None},
        theme=theme.calm_theme(),
        css_paths=[theme.STYLE],
        head=theme.head(),
    )
    return address


def forget(blocks: gradio.Blocks, visitor: gradio.Request) -> None:
    """Free what Gradio keeps of a visitor who left: .65 MB each, which it would hold for whoever comes back later."""
    blocks.state_holder.session_data.pop(visitor.session_hash, None)
    blocks.state_holder.time_last_used.pop(visitor.session_hash, None)


def _refuse_addresses() -> None:
    """Gradio fetches a web address that an API caller sends in place of a file, without a limit. This page does not.

    The address of a file that was uploaded here is no more than its name, and is taken as that: nothing is fetched.
    """

    async def refused(url: str, cache_dir: str) -> str:  # noqa: ARG001
        uploads = Path(processing_utils.get_upload_folder()).resolve()
        _, _, name = unquote(urlsplit(url).path).partition(UPLOADED)
        file = Path(name).resolve() if name else None
        if file is None or not file.is_relative_to(uploads) or not file.is_file():
            raise gradio.Error("Web addresses are not accepted; upload the file itself.", print_exception=False)
        return str(file)

    processing_utils.async_ssrf_protected_download = refused

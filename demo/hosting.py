"""How the page is served: limits, refusals, and nothing that a visitor of a face app would not want."""

from pathlib import Path

import gradio
from gradio import processing_utils
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from demo import theme

REFUSED = ("process_recording", "vibe-edit", "/monitoring")  # unqueued ffmpeg runs, code editing, visitor statistics
LARGEST_UPLOAD = "200mb"
LONGEST_QUEUE = 32


class BlockRoutes:
    """Answers 404 on routes that come with Gradio and that this page does not need."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on unless its path is refused."""
        if scope["type"] == "http" and any(word in scope["path"] for word in REFUSED):
            await PlainTextResponse("Not found", 404)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def serve(blocks: gradio.Blocks, work: Path, host: str, port: int) -> str:
    """Listen at host and port in the background; returns the address. Of files, only uploads and `work` are served."""
    _refuse_addresses()
    blocks.queue(max_size=LONGEST_QUEUE)
    _, address, _ = blocks.launch(
        server_name=host,
        server_port=port,
        prevent_thread_lock=True,
        quiet=True,
        share=False,
        show_error=False,
        max_file_size=LARGEST_UPLOAD,
        run_history=False,
        enable_monitoring=False,
        footer_links=[],
        pwa=False,
        ssr_mode=False,
        strict_cors=True,
        allowed_paths=[str(work)],
        app_kwargs={"middleware": [Middleware(BlockRoutes)], "docs_url": None, "redoc_url": None, "openapi_url": None},
        theme=theme.calm_theme(),
        css_paths=[theme.STYLE],
        head=theme.head(),
    )
    return address


def _refuse_addresses() -> None:
    """Gradio fetches a web address that an API caller sends in place of a file, without a limit. This page does not."""

    async def refused(url: str, cache_dir: str) -> str:  # noqa: ARG001
        raise gradio.Error("Web addresses are not accepted; upload the file itself.", print_exception=False)

    processing_utils.async_ssrf_protected_download = refused

"""Opens the page: python app.py [--host 127.0.0.1] [--port 7860] [--root-path /studio] [--auth me:secret] [--mcp]
[--label on|off|ask] [--certificate signer.pem]."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from actalker.errors import InputError
from demo.folders import own_folder

log = logging.getLogger("app")


def main(arguments: Sequence[str] | None = None) -> None:
    """Build the page and serve it until the process is stopped. All files of visitors go into one temporary folder."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    log.setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if options.certificate:
        os.environ["ACTALKER_CERTIFICATE"] = str(options.certificate)
    with own_folder() as folder:
        # Of the network's small tensors several threads make less, not more, as soon as something else wants a core.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read by gradio when it is imported
        os.environ["GRADIO_TEMP_DIR"] = str(folder / "uploads")
        try:
            _serve(folder / "visitors", options)
        except InputError as fault:
            log.error("app.py: %s", fault)
            sys.exit(2)


def _serve(work: Path, options: argparse.Namespace) -> None:
    import demo
    from actalker.signals.media.certificate import identity
    from demo.hosting import Place, serve
    from demo.runner import Runner

    identity()  # a certificate that will not do is told now, not to the first visitor
    place = Place(**vars(options))
    runner = Runner(work, label=place.label)
    runner.warm()
    runner.keep_clean()
    page = demo.build(runner)
    try:
        log.info("The page is open at %s (stop it with Ctrl+C).", serve(page, runner.work, place))
        page.block_thread()
    finally:
        runner.close()


def _parser() -> argparse.ArgumentParser:
    """The command line; hosts such as a Space set the same by GRADIO_SERVER_NAME and GRADIO_SERVER_PORT."""
    parser = argparse.ArgumentParser(description="Opens the page of ACTalker Studio.")
    host = os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    port = int(os.environ.get("GRADIO_SERVER_PORT", "7860"))
    parser.add_argument("--host", default=host, help="where to listen; 0.0.0.0 lets other machines in (%(default)s)")
    parser.add_argument("--port", type=int, default=port, help="port to listen at (%(default)s)")
    parser.add_argument("--root-path", help="where a proxy shows the page, /studio for example")
    parser.add_argument("--auth", type=_people, help="who may come in: name:password, several with commas between")
    parser.add_argument(
        "--label", choices=("on", "off", "ask"), default="on", help="AI-generated in videos (%(default)s)"
    )
    parser.add_argument("--certificate", type=Path, metavar="F.pem", help="what videos are signed with: chain and key")
    parser.add_argument("--mcp", action="store_true", help="be a server of the Model Context Protocol, too")
    return parser


def _people(text: str) -> str:
    if not all(name and password for name, _, password in (pair.partition(":") for pair in text.split(","))):
        raise argparse.ArgumentTypeError("give name:password, several with commas between")
    return text


if __name__ == "__main__":
    main()

"""`landscape watch`: runs on a page while they are recorded."""

from __future__ import annotations

import getpass
import os
import socket
import threading
from pathlib import Path
from typing import Annotated

import typer


def watch(
    places: Annotated[
        list[Path], typer.Argument(help="Recorded runs (.h5), also to come, or a folder of them.")
    ],
    port: Annotated[int, typer.Option(help="Where on this machine; 0: a free one.")] = 0,
    open_: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser.")
    ] = True,
    measure: Annotated[
        list[str] | None,
        typer.Option(
            help="Measure the last state in a process of its own, at the lowest priority: "
            "'surface every 500 steps', also walk, sharpness; may be given again."
        ),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Task of the runs, to measure them; default: as recorded.")
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Another name under which a proxy may ask; may be given again."),
    ] = None,
) -> None:
    """Show runs on a page while they are recorded: curves, angles and distances grow.

    The run is only read. The page is served to this machine, to whoever has the address printed.

    Example: landscape watch data/adam.h5
    """
    from landscape.explorer.build import page_text
    from landscape.live.hub import Hub
    from landscape.live.jobs import Wish
    from landscape.live.measuring import Measuring
    from landscape.live.server import LiveServer

    for place in places:
        if not place.exists() and place.suffix != ".h5":
            raise FileNotFoundError(f"{place}: no such folder, and no name of a run (.h5).")
        if place.name.endswith(".results.h5"):
            raise ValueError(f"{place} holds results, which do not grow: landscape explore {place}")
    hub = Hub(places)
    more = [] if task is None else ["--task", task]
    measuring = Measuring(hub, [Wish.of(text) for text in measure or ()], more)
    try:
        server = LiveServer(hub, page_text("landscape", entry="live"), port=port,
                            hosts=allow_host or (), measuring=measuring)  # fmt: skip
    except OSError as error:
        raise OSError(f"port {port} cannot be used ({error.strerror}); choose another.") from error
    if hasattr(os, "nice"):
        os.nice(19)  # the training comes first
    threading.Thread(target=hub.run, daemon=True).start()
    threading.Thread(target=measuring.run, daemon=True).start()
    typer.echo(f"watching {', '.join(map(str, places))}; Ctrl-C ends it\n  {server.address}")
    if "SSH_CONNECTION" in os.environ or not os.environ.get("DISPLAY", os.name == "nt"):
        typer.echo(
            f"from another machine: ssh -N -L {server.port}:127.0.0.1:{server.port} "
            f"{getpass.getuser()}@{socket.gethostname()}   then open the same address there"
        )
    elif open_:
        import webbrowser

        webbrowser.open(server.address)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        hub.end()
        measuring.end()
        server.server_close()


COMMANDS = {"watch": watch}

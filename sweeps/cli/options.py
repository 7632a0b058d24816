"""Options that several commands have."""

from __future__ import annotations

import click

from gatelab.rules import check_paths
from gatelab.sweeps.cli.ending import refuse
from gatelab.sweeps.cli.hints import FOLDER_VARIABLE
from gatelab.sweeps.cli.local_path import LocalPath
from gatelab.tracking.schema import FOLDER

folder_option = click.option(
    "--folder",
    type=LocalPath(file_okay=False),
    default=FOLDER,
    envvar=FOLDER_VARIABLE,
    show_default=True,
    help="Where the store and the sweeps' files lie.",
)
uri_option = click.option(
    "--tracking-uri",
    envvar="MLFLOW_TRACKING_URI",
    help="MLflow's store; by default what the launch named, or a SQLite file in the folder.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="As JSON, for a program.")


def _without_key(_: click.Context, __: click.Parameter, place: str | None) -> str | None:
    from gatelab.sweeps.cluster.storage import check_no_key  # here: pyarrow takes a while to import

    try:
        if place is not None:
            check_paths(storage=place)
        check_no_key(place or "")
    except ValueError as error:
        refuse(error)
    return place


storage_option = click.option(
    "--storage",
    envvar="GATELAB_STORAGE",
    callback=_without_key,
    help="Where workers leave states and models, if not in the folder: a path or s3://...",
)

"""One file per top-level command: `app` is its typer application. Loaded by `everline.cli.groups` on demand."""

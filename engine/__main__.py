"""`python -m engine`: the engine process. Settings -> Ray -> historians, readers, facilities; ends on SIGTERM."""

from __future__ import annotations

import os
import sys

from engine import runtime
from engine.cluster.environment import check_ray_settings, private_ray_environment
from engine.environments import forget_settings
from engine.errors import BAD_SETTINGS_STATUS, GasInSightError, SettingsError
from engine.logs import configure_logging
from engine.printable import escaped_lines
from engine.private_files import PRIVATE_UMASK
from engine.settings import Settings


def main() -> int:
    """Exit status 0 after a clean stop, 2 when its settings are no good, 1 when it could not start or go on."""
    os.umask(PRIVATE_UMASK)
    try:
        settings = runtime.effective_settings()
        configure_logging(settings, "engine")
        _check(settings)
        forget_settings()
        if settings.ray_is_private:
            os.environ.update(private_ray_environment(settings))
        from engine.cluster.process import run_engine  # noqa: PLC0415 - Ray reads its environment when it is imported

        run_engine(settings)
    except GasInSightError as error:
        print(escaped_lines(f"engine: {error}"), file=sys.stderr)  # noqa: T201  logging may not be set up yet
        return BAD_SETTINGS_STATUS if isinstance(error, SettingsError) else 1
    return 0


def _check(settings: Settings) -> None:
    missing = [name for name in ("database_url", "servicebus_connection_string") if getattr(settings, name) is None]
    if missing:
        raise SettingsError(
            " and ".join(name.upper() for name in missing)
            + f" must be set, or `gasinsight up` must run on {settings.data_dir} (it brings both)"
        )
    check_ray_settings(settings)


if __name__ == "__main__":
    sys.exit(main())

"""The settings of a stage: the defaults, replaced by those on its record, replaced by those that are typed now.

A record holds what was requested and is not the default, also where its engine makes no use of it, so that a setting
survives a change of the engine and back. Light: no numpy.
"""

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from meshcli.config import Assignments, TypedSettings, check_each, options, override
from meshcli.errors import ProjectError, UsageError
from meshcli.project.manifest import Stage, StageRecord
from meshcli.settings import Settings, cutout_table

SECTIONS: dict[Stage, tuple[str, ...]] = {
    "generate": ("photo", "sculpt", "zero123plus", "fit"),
    "select": (),
    "reconstruct": ("fit", "lrm", "placement", "refine", "texture"),
    "render": ("render",),
    "export": ("export",),
}
NOT_OF_STAGES = ("needs",)  # sections about how stages are run, on which no result depends
# `photo.max_pixels` guards against pictures that fill the memory: a project from elsewhere must not raise it. The
# others are settings of a mesh, which views do not depend on.
NOT_RECORDED: dict[Stage, tuple[str, ...]] = {
    "generate": (
        *("photo.max_pixels", "fit.parts", "fit.boxes", "fit.bars", "fit.hollows", "fit.photos", "fit.texture"),
    ),
}
DROP_HINT = "`--defaults` drops the settings on record"
FILES = ("lrm.file", "render.background")  # settings that may be the path of a file, and are recorded from the root


@dataclass(frozen=True)
class SettingsInForce:
    """The settings that a stage uses, and what its record keeps of them."""

    settings: Settings
    seed: int
    to_record: dict[str, Any]  # those that are not the defaults


def settings_in_force(
    stage: Stage,
    record: StageRecord | None,
    requested: Settings | TypedSettings,
    seed: int | None = None,
    dropped: Sequence[str] = (),
) -> SettingsInForce:
    """Recorded settings but for `dropped` ones, replaced by what is typed; a complete `Settings` replaces all of them.

    Raises UsageError for settings that contradict each other, ProjectError for recorded ones that are not valid.
    """
    typed = TypedSettings.of(requested)
    recorded = dict(record.settings) if record and not typed.defaults else {}
    typed = _with_recorded_cutouts(typed, recorded)
    for key in dropped:
        recorded.pop(key, None)
    kept = _recorded_values(stage, recorded, typed)
    settings = _joined(kept, typed)
    seed = _recorded_seed(recorded) if seed is None else seed
    return SettingsInForce(settings, seed, {**_changed(stage, settings), **({"seed": seed} if seed else {})})


def _with_recorded_cutouts(typed: TypedSettings, recorded: dict[str, Any]) -> TypedSettings:
    """What is typed for single photos beside what is on record for others, unless a way for all photos is typed."""
    own, before = typed.values.get("photo.cutouts"), recorded.get("photo.cutouts")
    if not own or not isinstance(before, str) or "photo.cutout" in typed.values:
        return typed
    table = cutout_table(before) | cutout_table(own)
    together = ",".join(f"{photo}={method}" for photo, method in sorted(table.items()))
    return replace(typed, values={**typed.values, "photo.cutouts": together})


def _recorded_values(stage: Stage, recorded: dict[str, Any], typed: TypedSettings) -> Assignments:
    """The recorded settings in force, checked each by itself; those of other versions are left out."""
    known = _values(stage, Settings()).keys() - typed.values.keys()
    try:
        return check_each({key: value for key, value in recorded.items() if key in known}, "manifest.json")
    except UsageError as error:
        raise ProjectError(f"{error}; {DROP_HINT}") from error


def _joined(recorded: Assignments, typed: TypedSettings) -> Settings:
    """Recorded and typed settings together, which may contradict each other."""
    try:
        return override(Settings(), {**recorded, **typed.values}, typed.source if typed.values else "manifest.json")
    except UsageError as error:
        if not recorded:
            raise
        raise (UsageError if typed.values else ProjectError)(f"{error}; {DROP_HINT}") from error


def _recorded_seed(recorded: dict[str, Any]) -> int:
    seed = recorded.get("seed", 0)
    if isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0:
        return seed
    raise ProjectError(f"manifest.json: the seed must be 0 or above, not {reprlib.repr(seed)}; {DROP_HINT}")


def _changed(stage: Stage, settings: Settings) -> dict[str, Any]:
    """The settings of a stage that are not the defaults."""
    defaults = _values(stage, Settings())
    changed = {key: value for key, value in _values(stage, settings).items() if value != defaults[key]}
    for key in FILES:
        if (file := changed.get(key)) and Path(file).is_file():
            changed[key] = str(Path(file).absolute())
    return changed


def _values(stage: Stage, settings: Settings) -> dict[str, Any]:
    """The settings of a stage that its record keeps: section.key -> JSON value."""
    tables = options(settings, *SECTIONS[stage])
    values = {f"{section}.{key}": value for section, table in tables.items() for key, value in table.items()}
    return {key: value for key, value in values.items() if key not in NOT_RECORDED.get(stage, ())}

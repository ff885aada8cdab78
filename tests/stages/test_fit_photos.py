"""Which photos `fit` sees beside the chosen views, and that the record knows them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.fake_engines import FITTED, MAY_BE_PAINTED
from meshcli.config import override
from meshcli.project.project import Project
from meshcli.settings import Settings
from meshcli.stages.fit_photos import MAX_SIZE, may_be_painted, pick_fit_photos, with_fit_photos
from meshcli.stages.generate import generate_views
from meshcli.stages.inputs import chosen_views, current_inputs
from meshcli.stages.photo_set import CameraArguments
from meshcli.stages.reconstruct import reconstruct_mesh
from meshcli.stages.select import select_views
from meshcli.views.view import View

pytestmark = pytest.mark.usefixtures("engine_calls")

VIEWS = [f"a{number}" for number in range(6)]
WHOLE = CameraArguments([0, 40, -50], [10], [30])  # all there is to know
SETTINGS = override(Settings(), {"texture.size": 16}, "")


def chosen(project: Project, photos: list[Path], cameras: CameraArguments, names: str = "0-5") -> Project:
    generate_views(project, photos, cameras)
    select_views(project, names)
    return project


def test_photos_with_calibrated_cameras_are_fitted_too(project: Project, photos: list[Path]) -> None:
    chosen(project, photos, WHOLE)
    reconstruct_mesh(project, settings=SETTINGS)
    assert [*VIEWS, "a", "b", "c"] == FITTED
    record = project.load().stages["reconstruct"]
    assert record.options["shape"] == {"photos": ["a", "b", "c"]}
    assert reconstruct_mesh(project, settings=SETTINGS).skipped


def test_the_setting_turns_them_off(project: Project, photos: list[Path]) -> None:
    chosen(project, photos, WHOLE)
    reconstruct_mesh(project, settings=override(SETTINGS, {"fit.photos": False}, ""))
    assert VIEWS == FITTED
    assert "shape" not in project.load().stages["reconstruct"].options


def test_photos_whose_elevation_is_assumed_are_not(project: Project, photos: list[Path]) -> None:
    chosen(project, photos, CameraArguments([0, 40, -50]))
    reconstruct_mesh(project, settings=SETTINGS)
    assert VIEWS == FITTED


def test_nor_are_photos_whose_camera_was_corrected_or_whose_views_a_network_painted(
    project: Project, photos: list[Path]
) -> None:
    manifest = chosen(project, photos, WHOLE).load()
    views = chosen_views(project, manifest)
    assert [photo.name for photo in pick_fit_photos(manifest, views, SETTINGS)] == ["a", "b", "c"]
    first, moved, last = manifest.photos
    moved = replace(moved, camera=replace(moved.camera, known="aligned"))
    corrected = replace(manifest, photos=(first, moved, last))
    assert [photo.name for photo in pick_fit_photos(corrected, views, SETTINGS)] == ["a", "c"]
    painted = [replace(view, engine="zero123plus") for view in views]
    assert pick_fit_photos(manifest, painted, SETTINGS) == ()


def test_a_cut_out_counts_as_an_input_if_the_shape_follows_it(project: Project, photos: list[Path]) -> None:
    chosen(project, photos, WHOLE)
    reconstruct_mesh(project, settings=override(SETTINGS, {"texture.source": "views"}, ""))
    manifest = project.load()
    assert current_inputs(project, manifest, "reconstruct") == manifest.stages["reconstruct"].inputs
    Image.new("RGBA", (8, 8)).save(project.path("photos/b.png"))
    assert current_inputs(project, manifest, "reconstruct") != manifest.stages["reconstruct"].inputs


def test_large_photos_are_shrunk_and_take_the_place_of_their_views(project: Project, photos: list[Path]) -> None:
    manifest = chosen(project, photos, WHOLE).load()
    photo = manifest.photos[1]
    Image.new("RGBA", (1500, 1000), (9, 9, 9, 255)).save(project.path(photo.file))
    small = View("b", np.zeros((320, 320, 4), np.uint8), photo.camera)
    other = replace(small, name="a0")
    first, second = with_fit_photos(project, [small, other], [photo])
    assert first is other
    assert (second.name, second.width, second.height) == ("b", MAX_SIZE, round(MAX_SIZE / 1.5))


def test_colours_of_photos_and_of_a_sculpted_body_are_not_taken_for_painted_ones(
    project: Project, photos: list[Path]
) -> None:
    """Light and gloss make true photos differ by more than what tells painted views: the desk's three by .018."""
    views = chosen_views(project, chosen(project, photos, WHOLE).load())
    reconstruct_mesh(project, settings=SETTINGS)
    assert MAY_BE_PAINTED == [False]
    assert not may_be_painted([*views, replace(views[0], name="a", engine="photos")])
    assert may_be_painted([*views, replace(views[0], engine="zero123plus")])
    assert may_be_painted([replace(view, engine="photos") for view in views])  # a sheet of somebody's

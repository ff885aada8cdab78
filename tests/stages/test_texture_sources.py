"""Which pictures colour the mesh, and that the record knows them."""

from pathlib import Path

import pytest
from PIL import Image

from helpers.fake_engines import BAKED
from helpers.project_templates import ProjectTemplates
from meshcli.config import override
from meshcli.engines import VERSIONS
from meshcli.errors import UsageError
from meshcli.project.project import Project
from meshcli.settings import Settings
from meshcli.stages.generate import generate_views
from meshcli.stages.inputs import current_inputs
from meshcli.stages.photo_set import CameraArguments
from meshcli.stages.reconstruct import reconstruct_mesh
from meshcli.stages.select import select_views
from meshcli.stages.stage_runner import RunOptions

pytestmark = pytest.mark.usefixtures("engine_calls")


VIEWS = [f"a{number}" for number in range(6)]


def textured_from(source: str) -> Settings:
    return override(Settings(), {"texture.size": 16, "texture.source": source}, "")


@pytest.fixture
def posed(project: Project, photos: list[Path], templates: ProjectTemplates) -> Project:
    """Three photos with typed azimuths; the views 0 to 5 are chosen."""

    def make() -> None:
        generate_views(project, photos, CameraArguments([0, 40, -50]))
        select_views(project, "0-5")

    templates.make("to be textured", project.root, make)
    return project


def test_photos_of_known_cameras_colour_the_mesh(posed: Project) -> None:
    said: list[str] = []
    reconstruct_mesh(posed, settings=textured_from("auto"), run_options=RunOptions(tell=said.append))
    assert ["a", "b", "c", *VIEWS] == BAKED
    record = posed.load().stages["reconstruct"]
    assert record.options["colours"] == {"from": "both", "photos": ["a", "b", "c"]}
    assert record.facts["texture"]["shown_by_photos"] == 0.75
    assert record.facts["texture"]["mirror_plane"] == "none"
    assert any(each.startswith("texture from photos a, b, c and the chosen views (") for each in said)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("photos", ["a", "b", "c"]),
        ("views", VIEWS),
        ("both", ["a", "b", "c", *VIEWS]),
    ],
)
def test_the_source_is_as_typed(posed: Project, source: str, names: list[str]) -> None:
    reconstruct_mesh(posed, settings=textured_from(source))
    assert names == BAKED


def test_a_fitted_mesh_has_no_field(posed: Project) -> None:
    with pytest.raises(UsageError, match="fit has no colour field"):
        reconstruct_mesh(posed, settings=textured_from("field"))
    assert "reconstruct" not in posed.load().stages


def test_photos_of_unknown_azimuth_do_not_colour_it(project: Project, photos: list[Path]) -> None:
    generate_views(project, photos)
    select_views(project, "0-5")
    reconstruct_mesh(project, settings=textured_from("auto"))
    assert BAKED == VIEWS
    with pytest.raises(UsageError, match="no photo's camera is known"):
        reconstruct_mesh(project, settings=textured_from("both"))


@pytest.mark.parametrize(("source", "counts"), [("views", False), ("photos", True), ("auto", True)])
def test_a_cut_out_counts_as_an_input_if_it_colours_the_mesh(posed: Project, source: str, counts: bool) -> None:
    reconstruct_mesh(posed, settings=textured_from(source))
    manifest = posed.load()
    assert current_inputs(posed, manifest, "reconstruct") == manifest.stages["reconstruct"].inputs
    Image.new("RGBA", (8, 8)).save(posed.path("photos/b.png"))
    changed = current_inputs(posed, manifest, "reconstruct") != manifest.stages["reconstruct"].inputs
    assert changed == counts


def test_a_photo_that_is_chosen_as_a_view_colours_the_mesh_once(project: Project, photos: list[Path]) -> None:
    cameras = CameraArguments([0, 40, -50], [10, 10, 10], [30, 30, 30])
    generate_views(project, photos, cameras)
    select_views(project, "a,a0,a1", include_photos=True)
    reconstruct_mesh(project, settings=textured_from("both"))
    assert sorted(BAKED) == ["a", "a0", "a1", "b", "c"]


@pytest.mark.parametrize(("when", "times"), [("auto", 0), ("always", 1), ("never", 0)])
def test_a_fitted_surface_is_refined_if_that_is_asked_for(
    posed: Project, engine_calls: dict[str, int], when: str, times: int
) -> None:
    reconstruct_mesh(posed, settings=override(textured_from("views"), {"refine.when": when}, ""))
    assert engine_calls["refine"] == times
    assert ("refine" in posed.load().stages["reconstruct"].options) == bool(times)


@pytest.mark.parametrize(("when", "skipped"), [("always", False), ("never", True)])
def test_a_new_way_to_refine_makes_refined_meshes_stale(
    posed: Project, engine_calls: dict[str, int], monkeypatch: pytest.MonkeyPatch, when: str, skipped: bool
) -> None:
    settings = override(textured_from("views"), {"refine.when": when}, "")
    reconstruct_mesh(posed, settings=settings)
    assert reconstruct_mesh(posed, settings=settings).skipped
    monkeypatch.setitem(VERSIONS, "refine", VERSIONS["refine"] + 1)
    assert reconstruct_mesh(posed, settings=settings).skipped == skipped

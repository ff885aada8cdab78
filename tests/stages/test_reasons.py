"""Reasons to run a stage again name the thing that changed."""

import pytest

from meshcli.project.manifest import Manifest, Output, StageRecord, ViewEntry
from meshcli.stages.reasons import why_missing, why_stale
from meshcli.views.camera import orbit

FILES = ("views/03.png", "views/body.glb", "photos/b.png", "mesh/mesh.glb")
MANIFEST = Manifest(
    views=(ViewEntry("a3", "views/03.png", "a", orbit(0, 0), "sculpt"),),
    stages={"generate": StageRecord("done", outputs=tuple(Output(file, 1, "written") for file in FILES))},
)
DIGEST = "ab" * 32


@pytest.mark.parametrize(
    ("part", "before", "now", "says"),
    [
        ("engine", "sculpt 3", "zero123plus 2", "the engine changed from sculpt to zero123plus"),
        ("engine", "sculpt 3", "sculpt 4", "meshcli's sculpt is a newer version"),
        ("engine", "sculpt 10", "sculpt 9", "meshcli's sculpt is an older version"),
        ("cutting out", "4", "5", "meshcli's cutting out is a newer version"),
        ("refining", "2", "3", "meshcli's refining is a newer version"),
        ("refining", None, "2", "the surface is now refined, or by a newer version"),
        ("refining", "2", None, "the surface is no longer refined"),
        ("order of the views", "a0,a1", "a0,b1", "another choice of views"),
        ("order of the views", "a0,a1", "a1,a0", "the same views in another order"),
        ("set of views", "1", "2", "the views to choose from changed, or their scores"),
        ("by", '"auto"', '"flag"', "the views are chosen with --views, before automatically"),
        ("photo b", "1", "2", "photo b was replaced"),
        ("photo b", "1", "missing", "the original of photo b is missing"),
        ("photo c", None, "1", "photo c is new"),
        ("photo c", "1", None, "photo c was taken out"),
        ("camera of photo b", "1", "2", "photo b has another camera: its angles, lens or size changed"),
        ("camera of view a3", "1", "2", "view a3 has another camera: its angles, lens or size changed"),
        ("cut-out of photo b", "1", "2", "photos/b.png was changed by hand"),
        ("cut-out of photo b", "1", "written", "the cut-out of photo b was made anew"),
        ("view a3", "1", "2", "views/03.png (view a3) was changed by hand"),
        ("view a3", "1", "written", "view a3 was made anew"),
        ("view a3", "1", "missing", "views/03.png (view a3) is missing"),
        ("body", "1", "2", "views/body.glb was changed by hand"),
        ("body", "1", None, "the mesh is no longer the sculpted body"),
        ("body", None, "1", "the mesh is now the body that the views show"),
        ("mesh", "1", "2", "mesh/mesh.glb was changed by hand"),
        ("mesh", "1", "written", "the mesh was built anew"),
        ("mesh", "1", "missing", "mesh/mesh.glb is missing"),
        ("texture.faces", "20000", "2000", "the setting texture.faces went from 20000 to 2000"),
        ("fit.texture", "true", "false", "the setting fit.texture went from true to false"),
        ("render.source", '"mesh"', '"field"', "the setting render.source went from mesh to field"),
        ("fit.resolutions", "[40, 64]", "[24]", "the setting fit.resolutions went from [40, 64] to [24]"),
        ("seed", "0", "3", "the seed went from 0 to 3"),
        ("fit.parts", None, "true", "the setting fit.parts is new: true"),
        ("fit.parts", "true", None, "the setting fit.parts is no longer used"),
        ("weights", f'"{DIGEST}"', '"cd"', "the network's weights are other ones"),
        ("weights.unet", f'"{DIGEST}"', '"cd"', "the weights of unet are other ones"),
        ("from elsewhere", "{", DIGEST, "the setting from elsewhere went from { to abababab"),
    ],
)
def test_a_reason_names_what_changed(part: str, before: str | None, now: str | None, says: str) -> None:
    def parts(value: str | None) -> dict[str, str]:
        return {"same": "1"} if value is None else {"same": "1", part: value}

    assert why_stale(MANIFEST, parts(before), parts(now)) == says
    assert why_stale(MANIFEST, parts(now), parts(now)) == ""


def test_missing_files_are_named_and_counted() -> None:
    assert why_missing(["mesh/mesh.obj"]) == "mesh/mesh.obj is missing"
    assert why_missing(["mesh/mesh.obj", "mesh/mesh.mtl"]) == "mesh/mesh.obj is missing (and 1 more)"

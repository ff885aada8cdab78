"""Every file of an export, from a project that is placed in a scene. Heavy: the writers of all formats."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from meshcli.errors import InputError
from meshcli.export.blender import blender_files
from meshcli.export.frames import TO_GLTF, Up
from meshcli.export.gltf import write_scene_glb
from meshcli.export.obj import write_obj
from meshcli.export.placement import UPRIGHT, Rotation, inverse, product, rotated, transposed
from meshcli.export.reduction import with_vertex_colours
from meshcli.export.rigs import RigFrame, rig_files
from meshcli.export.scene import Scene
from meshcli.export.solids import write_3mf, write_ply, write_stl
from meshcli.export.targets import PRINT_FORMATS, Targets, install_line, missing_extra
from meshcli.export.unreal import unreal_files
from meshcli.export.usd import write_usd, write_usdz
from meshcli.export.watertight import close_mesh
from meshcli.meshes.mesh import Mesh
from meshcli.pictures.image import encode_png, load_picture
from meshcli.pictures.picture_file import open_picture, stored_orientation
from meshcli.progress import Progress, Tell
from meshcli.project.project import Project
from meshcli.settings import ExportSettings
from meshcli.stages.export_scene import PlacedProject, moved
from meshcli.views.world_transform import WorldTransform

NO_SHIFT = (0.0, 0.0, 0.0)
Y_UP: Rotation = ((0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))  # as in glTF: front on +z
# With a rig's coordinates a GLB holds (x, z, -y) of the scene, which programs with z up turn back to (x, y, z). The
# writer makes (y, z, x) of what it gets: so that is (-y, x, z), a quarter turn to the left.
QUARTER_TURN: Rotation = ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0))


@dataclass
class ExportedFiles:
    """Makes the files one after another."""

    project: Project
    placed: PlacedProject
    settings: ExportSettings
    targets: Targets
    jpeg_quality: int | None
    progress: Progress
    note: Tell

    def make(self) -> dict[str, bytes]:
        """Contents by path in the folder of the export; InputError for a mesh that no printer can make."""
        files: dict[str, bytes] = {}
        writers: dict[str, Callable[[], Mapping[str, bytes]]] = {
            "glb": self._glb, "obj": self._obj, "ply": self._ply, "web": self._web, "usd": self._usd,
            "usdz": self._usdz, "unreal": self._unreal, "blender": self._blender,
        }  # fmt: skip
        for done, target in enumerate(self.targets.names):
            self.progress(done, len(self.targets.names), f"writing {target}")
            if target in PRINT_FORMATS:
                continue
            files |= writers[target]()
        if self.targets.lacking:
            line = install_line(missing_extra(self.targets.lacking[0]))
            self.note(f"left out: {', '.join(self.targets.lacking)}, which need a package: {line}")
        return {**files, **self._solids(), **self._rigs()}

    def free_turn(self, usual: str) -> Rotation:
        """The scene -> a file whose format leaves its up axis free, where `usual` is up by default."""
        if self.placed.placement.like_rig:
            return self.placed.placement.to_rig
        up = usual if self.settings.up == "auto" else self.settings.up
        return Y_UP if up == "y" else UPRIGHT

    def _glb(self) -> dict[str, bytes]:
        return {f"{self.placed.name}.glb": write_scene_glb(self._for_gltf(), jpeg_quality=self.jpeg_quality)}

    def _web(self) -> dict[str, bytes]:
        return {f"{self.placed.name}.web.glb": write_scene_glb(self._for_gltf(), web=True)}

    def _for_gltf(self) -> Scene:
        scene = self.placed.scene()
        return turned_scene(scene, QUARTER_TURN) if self.placed.placement.like_rig else scene

    def _obj(self) -> dict[str, bytes]:
        turn = self.free_turn("y")
        mesh = turned_scene(self.placed.scene(), turn).mesh
        back = tuple(tuple(float(value) for value in row) for row in TO_GLTF.T)
        before = moved(mesh, WorldTransform(1.0, back, NO_SHIFT))  # type: ignore[arg-type]  # the writer turns it to y up
        return write_obj(before, self.placed.name, axes="y up, front +z" if turn == Y_UP else "see docs/scene.md")

    def _ply(self) -> dict[str, bytes]:
        mesh = with_vertex_colours(turned_scene(self.placed.scene(), self.free_turn("z")).mesh)
        return {f"{self.placed.name}.ply": write_ply(mesh)}

    def _usd(self) -> dict[str, bytes]:
        scene, up = self._for_usd("z")
        return write_usd(scene, up=up, jpeg_quality=self.jpeg_quality)

    def _usdz(self) -> dict[str, bytes]:
        scene, up = self._for_usd("y")
        return {f"{self.placed.name}.usdz": write_usdz(scene, up=up, jpeg_quality=self.jpeg_quality)}

    def _for_usd(self, usual: Up) -> tuple[Scene, Up]:
        """What the writer gets, and which axis it makes up; a rig with another up axis stays upright with z up."""
        placement, scene = self.placed.placement, self.placed.scene()
        if placement.like_rig and placement.up == "y":  # the writer turns it to y up, as that of OBJ does
            return turned_scene(turned_scene(scene, placement.to_rig), transposed(Y_UP)), "y"
        if placement.like_rig:
            return scene, "z"
        return scene, usual if self.settings.up == "auto" else self.settings.up

    def _unreal(self) -> dict[str, bytes]:
        if missing_extra("usd"):
            self.note(f"unreal has no USD file, which needs a package: {install_line('usd')}")
        files = unreal_files(self._for_gltf(), self._pictures(), jpeg_quality=self.jpeg_quality)
        return {f"unreal/{name}": data for name, data in files.items()}

    def _blender(self) -> dict[str, bytes]:
        files = blender_files(self._for_gltf(), self._pictures(), jpeg_quality=self.jpeg_quality)
        return {f"blender/{name}": data for name, data in files.items()}

    def _solids(self) -> dict[str, bytes]:
        """STL and 3MF of the mesh, closed; none of what only `all` asked for if it cannot be closed."""
        wanted = [name for name in PRINT_FORMATS if name in self.targets.names]
        if not wanted:
            return {}
        closed = close_mesh(with_vertex_colours(turned_scene(self.placed.scene(), self.free_turn("z")).mesh))
        if closed.open_edges:
            cause = f"the mesh is not watertight: {closed.open_edges} edges are open, and no printer can fill it"
            if self.targets.optional.issuperset(wanted):
                self.note(f"{cause}; left out: {', '.join(wanted)}")
                return {}
            again = self.project.command("reconstruct")
            raise InputError(f"{cause}; `{again} --engine fit` builds a closed one, or close it in a mesh editor")
        repaired = f" after repairs ({', '.join(closed.repairs)})" if closed.repairs else ""
        names = " and ".join(name.upper() for name in wanted)
        self.note(f"{names}: watertight{repaired}, in millimetres: {self._printed(closed.mesh)}")
        files = {"stl": lambda: write_stl(closed.mesh), "3mf": lambda: write_3mf(closed.mesh, self.placed.name)}
        return {f"{self.placed.name}.{name}": files[name]() for name in wanted}

    def _printed(self, mesh: Mesh) -> str:
        """How large a print becomes."""
        x, y, z = (1000.0 * np.ptp(mesh.vertices, axis=0)).tolist()
        asked = "" if self.placed.placement.size_known else "; no size is known, so type one: --height 80mm"
        return f"{x:.4g} x {y:.4g} x {z:.4g} mm{asked}"

    def _rigs(self) -> dict[str, bytes]:
        """The cameras, in the rig's own coordinates where the scene is that of a rig."""
        if not self.targets.have_cameras:
            return {}
        placement = self.placed.placement
        scene = turned_scene(self.placed.scene(), placement.to_rig)
        to_file = placement.to_scene
        own = WorldTransform(
            to_file.scale, product(placement.to_rig, to_file.rotation), rotated(placement.to_rig, to_file.translation)
        )
        frame = RigFrame(inverse(own), placement.up, placement.size_known)
        return rig_files(scene.cameras, frame, self.placed.sources)

    def _pictures(self) -> dict[str, bytes]:
        """Copies of the pictures of the cameras as PNG or JPEG, upright."""
        names = [each.picture for each in self.placed.cameras if each.picture]
        return {name: upright_copy(self.project.path(name)) for name in names}


def turned_scene(scene: Scene, turn: Rotation) -> Scene:
    """The scene, rotated about its origin."""
    if turn == UPRIGHT:
        return scene
    frame = WorldTransform(1.0, turn, NO_SHIFT)
    cameras = tuple(replace(each, camera=frame.camera(each.camera)) for each in scene.cameras)
    return replace(scene, mesh=moved(scene.mesh, frame), cameras=cameras)


def upright_copy(path: Path) -> bytes:
    """A picture file as PNG or JPEG whose stored pixels are upright; its own bytes where they are that already."""
    with open_picture(path) as picture:
        as_it_is = picture.format in ("PNG", "JPEG") and stored_orientation(picture) == 1
    return path.read_bytes() if as_it_is else encode_png(load_picture(path))

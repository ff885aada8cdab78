"""Signed-distance grids: fitted by volume rendering, extracted as meshes."""

"""Textures of meshes: unwrapping, and baking from pictures."""

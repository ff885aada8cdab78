"""Meshes in files of other programs, each in that format's own frame."""

"""Meshes to pictures: rays or CUDA, turntables, contact sheets, video."""

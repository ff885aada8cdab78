"""InstantMesh's sparse-view reconstruction network (Xu et al. 2024, arXiv:2404.07191), inference in little memory.

Posed pictures -> a triplane -> a mesh: by FlexiCubes, or by marching cubes on a radiance field's density.
Parameter names and shapes are those of the published checkpoints. Imports torch, numpy, scikit-image and our errors.
"""

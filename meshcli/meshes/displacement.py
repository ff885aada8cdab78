"""Smooth displacements of a surface: as wanted along some vertices' normals, elsewhere as smooth as can be."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array, eye_array

from meshcli.arrays import Array, Float64Array
from meshcli.meshes.mesh import adjacency


def umbrella(faces: Array, count: int) -> csr_array:
    """The umbrella operator of `count` vertices, (V, V): the mean of the neighbours minus the vertex."""
    neighbours = adjacency(faces, count)
    degree = np.maximum(np.asarray(neighbours.sum(axis=1)), 1)
    return csr_array(diags_array(1.0 / degree) @ neighbours - eye_array(count))


def smooth_displacement(
    operator: csr_array,
    normals: Float64Array,
    weights: Float64Array,
    wanted: Float64Array,
    start: Float64Array,
    stiffness: float,
    pull: float,
    rounds: int,
) -> NDArray[np.float64]:
    """Displacements D (V, 3): sum of weight (normal . D - wanted)^2 + stiffness |operator D|^2 + pull |D|^2 minimised.

    normals (V, 3), weights (V,), wanted (V,); `operator` from `umbrella`. By conjugate gradients with the diagonal as
    preconditioner (Hestenes and Stiefel 1952), from `start` (V, 3), `rounds` steps: few steps spread what is wanted
    less far.
    """
    transposed = operator.T.tocsr()
    bend = np.asarray(operator.multiply(operator).sum(axis=0))[:, None] * stiffness + pull
    inverse = 1.0 / (weights[:, None] * normals**2 + bend)

    def apply(field: Float64Array) -> Float64Array:
        along = weights * np.einsum("vk,vk->v", normals, field)
        result: Float64Array = along[:, None] * normals + stiffness * (transposed @ (operator @ field)) + pull * field
        return result

    result = start.copy()
    residual = (weights * wanted)[:, None] * normals - apply(result)
    conditioned = inverse * residual
    direction = conditioned.copy()
    energy = float((residual * conditioned).sum())
    for _ in range(rounds):
        if energy <= 1e-30:
            break
        image = apply(direction)
        step = energy / float((direction * image).sum())
        result += step * direction
        residual -= step * image
        conditioned = inverse * residual
        energy, before = float((residual * conditioned).sum()), energy
        direction = conditioned + energy / before * direction
    return result

"""Pictures to tokens: DINO's vision transformer, its layer norms modulated by each picture's camera.

Vision transformer: Dosovitskiy et al. 2021, arXiv:2010.11929; modulation: adaptive layer norm of Peebles and Xie 2023,
arXiv:2212.09748, without its gates. Module names are the checkpoint's, which are those of transformers' ViTModel.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from meshcli.lrm.attention import attend, join_heads, split_heads
from meshcli.lrm.matrices import Linear
from meshcli.lrm.sizes import VitSizes

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # per channel; DINO's input normalisation
LAYER_NORM_EPSILON = 1e-12
PICTURES_PER_BLOCK = 2  # computed at a time on a CPU; see TEXELS_PER_BLOCK in transformer.py
CAMERA_NUMBERS = 16  # per picture: three rows of camera-to-world, then fx, fy, cx, cy


class _PatchProjection(nn.Module):
    def __init__(self, sizes: VitSizes) -> None:
        super().__init__()
        self.projection = nn.Conv2d(3, sizes.hidden, sizes.patch, sizes.patch)

    def forward(self, images: Tensor) -> Tensor:
        tokens: Tensor = self.projection(images)
        return tokens


class _Embeddings(nn.Module):
    """Class token and patch embeddings, with position embeddings added."""

    def __init__(self, sizes: VitSizes) -> None:
        super().__init__()
        self.native = sizes.image // sizes.patch
        self.cls_token = nn.Parameter(torch.empty(1, 1, sizes.hidden))
        self.position_embeddings = nn.Parameter(torch.empty(1, self.native**2 + 1, sizes.hidden))
        self.patch_embeddings = _PatchProjection(sizes)

    def forward(self, images: Tensor) -> Tensor:
        patches = self.patch_embeddings(images)  # (V, C, h, w)
        height, width = patches.shape[-2:]
        tokens = patches.flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1)
        return tokens + self.positions(height, width).to(tokens.dtype)

    def positions(self, height: int, width: int) -> Tensor:
        """Position embeddings (1, 1 + height * width, C), interpolated for pictures of another size."""
        if height == width == self.native:
            return self.position_embeddings
        first, grid = self.position_embeddings[:, :1], self.position_embeddings[:, 1:]
        square = grid.float().reshape(1, self.native, self.native, -1).permute(0, 3, 1, 2)
        # As in training: the 0.1 and sampling by the factor change the numbers, so the exact size ratio would not do.
        factor = ((height + 0.1) / self.native, (width + 0.1) / self.native)
        square = functional.interpolate(square, scale_factor=factor, mode="bicubic", align_corners=False)
        return torch.cat([first, square.flatten(2).transpose(1, 2).to(first.dtype)], dim=1)


class _QueryKeyValue(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = Linear(width, width)
        self.key = Linear(width, width)
        self.value = Linear(width, width)


class _Dense(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.dense = Linear(inputs, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        result: Tensor = self.dense(tokens)
        return result


class _Attention(nn.Module):
    def __init__(self, sizes: VitSizes) -> None:
        super().__init__()
        self.heads = sizes.heads
        self.attention = _QueryKeyValue(sizes.hidden)
        self.output = _Dense(sizes.hidden, sizes.hidden)

    def forward(self, tokens: Tensor) -> Tensor:
        layers = self.attention.query, self.attention.key, self.attention.value
        query, key, value = (split_heads(layer(tokens), self.heads) for layer in layers)
        result: Tensor = self.output(join_heads(attend(query, key, value)))
        return result


class _Layer(nn.Module):
    """Attention and MLP, each after a layer norm whose shift and scale come from the camera."""

    def __init__(self, sizes: VitSizes) -> None:
        super().__init__()
        self.attention = _Attention(sizes)
        self.intermediate = _Dense(sizes.hidden, sizes.inner)
        self.output = _Dense(sizes.inner, sizes.hidden)
        self.layernorm_before = nn.LayerNorm(sizes.hidden, LAYER_NORM_EPSILON)
        self.layernorm_after = nn.LayerNorm(sizes.hidden, LAYER_NORM_EPSILON)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), Linear(sizes.hidden, 4 * sizes.hidden))

    def forward(self, tokens: Tensor, camera: Tensor) -> Tensor:
        """Update `tokens` in place and return them; in blocks of some pictures, to keep intermediates small."""
        modulation = self.adaLN_modulation(camera)[:, None]
        count = PICTURES_PER_BLOCK if tokens.device.type == "cpu" else len(tokens)
        for block, parameters in zip(tokens.split(count), modulation.split(count), strict=True):
            shift, scale, shift_mlp, scale_mlp = parameters.chunk(4, dim=-1)
            block.add_(self.attention(self.layernorm_before(block) * (1 + scale) + shift))
            inner = self.layernorm_after(block) * (1 + scale_mlp) + shift_mlp
            block.add_(self.output(functional.gelu(self.intermediate(inner))))
        return tokens


class _Layers(nn.Module):
    def __init__(self, sizes: VitSizes) -> None:
        super().__init__()
        self.layer = nn.ModuleList(_Layer(sizes) for _ in range(sizes.layers))


class _Vit(nn.Module):
    def __init__(self, sizes: VitSizes) -> None:
        super().__init__()
        self.embeddings = _Embeddings(sizes)
        self.encoder = _Layers(sizes)
        self.layernorm = nn.LayerNorm(sizes.hidden, LAYER_NORM_EPSILON)

    def forward(self, images: Tensor, cameras: Tensor) -> Tensor:
        tokens = self.embeddings(images)
        for layer in self.encoder.layer:
            tokens = layer(tokens, cameras)
        result: Tensor = self.layernorm(tokens)
        return result


class Encoder(nn.Module):
    """Encodes each picture by itself, with its camera."""

    def __init__(self, sizes: VitSizes) -> None:
        super().__init__()
        self.model = _Vit(sizes)
        self.camera_embedder = nn.Sequential(
            Linear(CAMERA_NUMBERS, sizes.hidden), nn.SiLU(), Linear(sizes.hidden, sizes.hidden)
        )

    def forward(self, images: Tensor, cameras: Tensor) -> Tensor:
        """Pictures (V, 3, H, W) in [0, 1], sides multiples of the patch, with cameras (V, 16): tokens (V, 1 + N, C)."""
        mean, std = (images.new_tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
        tokens: Tensor = self.model((images - mean) / std, self.camera_embedder(cameras))
        return tokens

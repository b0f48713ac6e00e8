"""Whitening to models: fp32 ONNX, and int8 calibrated on corpus pictures.

The int8 form is static, per channel, with 7-bit weights.
"""

import argparse
import os
import random
import tempfile

import numpy as np
import onnx
import trunk
from embed import picture
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from whiten import corpus


class Pictures(CalibrationDataReader):
    def __init__(self, paths, side):
        self.left = ({"image": picture(p, side)[None]} for p in paths)

    def get_next(self):
        return next(self.left, None)


def quantise(fp32, int8, paths, side):
    """The convolutions and what lies between them; the pooling and the whitening stay fp32."""
    with tempfile.TemporaryDirectory() as tmp:
        quant_pre_process(fp32, f"{tmp}/pre.onnx", skip_symbolic_shape=True)
        quantize_static(
            f"{tmp}/pre.onnx",
            int8,
            Pictures(paths, side),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=True,
            calibrate_method=CalibrationMethod.MinMax,
            op_types_to_quantize=["Conv", "Add", "Clip"],
        )


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("whitening", help=".npz of whiten.py")
    ap.add_argument("corpus")
    ap.add_argument("out", help="path of the files without -fp32.onnx and -int8.onnx")
    ap.add_argument("--side", type=int, default=288)
    ap.add_argument("--pictures", type=int, default=1000, help="calibration pictures")
    ap.add_argument("--without", nargs="*", default=[], help="kinds of pictures to leave out")
    a = ap.parse_args()
    os.makedirs(os.path.dirname(a.out) or ".", exist_ok=True)
    z = np.load(a.whitening)
    trunk.export(
        trunk.Embedder(a.side, z["mean"], z["matrix"]).eval(),
        a.side,
        f"{a.out}-fp32.onnx",
        "embedding",
    )
    onnx.checker.check_model(f"{a.out}-fp32.onnx")
    paths, kind, _, _ = corpus(a.corpus, "calibration")
    paths = [p for p, k in zip(paths, kind, strict=True) if k not in a.without]
    random.Random(0).shuffle(paths)
    quantise(f"{a.out}-fp32.onnx", f"{a.out}-int8.onnx", paths[: a.pictures], a.side)

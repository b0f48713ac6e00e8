"""Vectors of pictures by an ONNX model. As a script: of an evaluation set, as an .npz."""

import argparse
import csv
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime as ort
from PIL import Image


def picture(path, side):
    """The whole picture squashed to the side: float32 [3, side, side], (value - 127) / 128."""
    im = Image.open(path).convert("RGB").resize((side, side), Image.BICUBIC)
    return ((np.asarray(im, np.float32) - 127) / 128).transpose(2, 0, 1)


def session(model, threads=1):
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def embed(model, paths, workers=2, batch=8):
    """float32 [paths, dimensions]; one thread of the runtime a worker."""
    net = session(model)
    side = net.get_inputs()[0].shape[2]

    def some(k):
        return net.run(None, {"image": np.stack([picture(p, side) for p in paths[k : k + batch]])})[
            0
        ]

    with ThreadPoolExecutor(workers) as pool:
        return np.concatenate(list(pool.map(some, range(0, len(paths), batch))))


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("model")
    ap.add_argument("set", help="folder with split-closed.csv")
    ap.add_argument("out", help=".npz with paths and vectors")
    a = ap.parse_args()
    with open(f"{a.set}/split-closed.csv") as f:
        names = [r["path"] for r in csv.DictReader(f)]
    np.savez(a.out, paths=np.array(names), vectors=embed(a.model, [f"{a.set}/{n}" for n in names]))

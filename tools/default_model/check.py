"""Checks of a pair of files on corpus pictures.

Unit rows, batch invariance, int8 against fp32, time on one thread.
"""

import argparse
import random
import time

import numpy as np
from embed import picture, session
from whiten import corpus


def best_ms(net, x, rounds=5, calls=30):
    """Milliseconds an image: the best of several rounds of single-image calls."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for k in range(calls):
            net.run(None, {"image": x[k % len(x)][None]})
        times.append((time.perf_counter() - start) / calls)
    return min(times) * 1000


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("model", help="path of the files without -fp32.onnx and -int8.onnx")
    ap.add_argument("corpus")
    ap.add_argument("--pictures", type=int, default=512)
    a = ap.parse_args()
    paths = corpus(a.corpus, "cohort")[0]
    paths = random.Random(1).sample(paths, a.pictures)
    rows = {}
    for kind in ("fp32", "int8"):
        net = session(f"{a.model}-{kind}.onnx")
        side = net.get_inputs()[0].shape[2]
        x = np.stack([picture(p, side) for p in paths])
        one = np.concatenate([net.run(None, {"image": v[None]})[0] for v in x])
        many = np.concatenate(
            [net.run(None, {"image": x[k : k + 16]})[0] for k in range(0, len(x), 16)]
        )
        rows[kind] = one
        off = np.abs(np.linalg.norm(one, axis=1) - 1).max()
        print(
            f"{kind}: dims {one.shape[1]}, |length - 1| <= {off:.1e}, batch 1 against 16: "
            f"largest difference {np.abs(one - many).max():.1e}, {best_ms(net, x):.1f} ms an image"
        )
    cos = (rows["fp32"] * rows["int8"]).sum(1)
    print(
        f"int8 against fp32, cosine: mean {cos.mean():.4f}, "
        f"1 % quantile {np.quantile(cos, 0.01):.4f}, min {cos.min():.4f}"
    )
